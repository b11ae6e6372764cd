//! Release: the gate, bundles, and publishing to a registry's channels.

pub mod bundle;
pub mod canonical;
pub mod gate;
pub mod golden;
pub mod profile;
pub mod publish;
pub mod whole;
