//! Hearth's host: verifies, sandboxes, hot-swaps and rolls back bundles; keeps histories; spools logs.
//!
//! A library to embed and a server. What it trusts is one pinned root document ([`keys`]); everything else is
//! verified on the way in: [`sign`]ed [`channel`] pointers, and [`bundle`]s by digest, from a [`registry`].

pub mod bundle;
pub mod channel;
pub mod golden;
pub mod host;
pub mod keys;
pub mod registry;
pub mod runtime;
pub mod server;
pub mod sign;
pub mod spool;
pub mod store;
