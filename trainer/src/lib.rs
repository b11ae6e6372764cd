//! Hearth's trainer: learns from what edges logged, judges a candidate against plain heuristics, and publishes it.
//!
//! Three phases: [`data`] (import, simulate, replay, labels), [`experiment`] (learners, metrics, evaluation)
//! and [`release`] (gate, bundle, registry). [`collect`] takes what edges upload; `cluster` runs the first phase's queries on several machines. [`cli`] is a thin layer of commands over them.

pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod collect;
pub mod data;
pub mod experiment;
pub mod release;
pub mod spec;

/// The compact engine, which runs trees, linear models and small dense chains: `wasm-model`, compiled by the build script.
pub static ENGINE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.wasm"));

/// The onnx engine, which runs what tract runs too: `wasm-model` with the feature `onnx`. Bundles get it where the compact one refuses the model.
pub static ENGINE_ONNX: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine-onnx.wasm"));
