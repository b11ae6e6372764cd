//! Hearth's engine: extract, encode, score, rank and explain over an encoder, a policy, a model and tables.
//!
//! Compiled to wasm32 it is `engine.wasm`, which travels in every bundle and imports nothing;
//! linked natively it serves only tests and benches.

#[cfg(target_arch = "wasm32")]
mod abi;
pub mod engine;
pub mod explain;
pub mod onnx;
