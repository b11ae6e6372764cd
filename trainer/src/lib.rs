//! Hearth's trainer: learns from what edges logged, judges a candidate against plain heuristics, and publishes it.
//!
//! Three phases: [`data`] (import, simulate, replay, labels), [`experiment`] (learners, metrics, evaluation)
//! and [`release`] (gate, bundle, registry). [`cli`] is a thin layer of commands over them.

pub mod cli;
pub mod data;
pub mod experiment;
pub mod release;
pub mod spec;

/// The engine that this trainer puts into bundles: `wasm-model`, compiled by the build script.
pub static ENGINE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.wasm"));
