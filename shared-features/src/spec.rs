//! Feature specs.
