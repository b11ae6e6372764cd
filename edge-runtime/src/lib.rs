//! Hearth's host: verifies, sandboxes, hot-swaps and rolls back bundles; keeps histories; spools logs.
//!
//! A library to embed and a server. What it trusts is one pinned root document ([`keys`]); everything else is
//! verified on the way in: [`sign`]ed [`channel`] pointers, and [`bundle`]s by digest, from a [`registry`].
//!
//! Built for wasm32 it is an edge in a page: the same verification and the same answers, with the browser's own
//! WebAssembly as the sandbox, `fetch` as the way to the registry, and IndexedDB as the store.

pub mod answer;
#[cfg(target_arch = "wasm32")]
pub mod browser;
pub mod bundle;
pub mod channel;
#[cfg(not(target_arch = "wasm32"))]
pub mod drift;
pub mod entry;
pub mod explain;
pub mod golden;
#[cfg(not(target_arch = "wasm32"))]
pub mod host;
#[cfg(target_arch = "wasm32")]
#[path = "browser/host.rs"]
pub mod host;
pub mod keys;
pub mod profile;
#[cfg(not(target_arch = "wasm32"))]
pub mod pseudonym;
pub mod registry;
#[cfg(not(target_arch = "wasm32"))]
pub mod runtime;
pub mod sampling;
#[cfg(not(target_arch = "wasm32"))]
pub mod server;
mod serving;
pub mod sign;
#[cfg(not(target_arch = "wasm32"))]
pub mod spool;
#[cfg(not(target_arch = "wasm32"))]
pub mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod upload;
