//! Hearth's engine: extract, encode, score, rank and explain over an encoder, a policy, a model and tables.
//!
//! Compiled to wasm32 it is `engine.wasm`, which travels in every bundle and imports nothing;
//! linked natively it serves only tests and benches.

#[cfg(target_arch = "wasm32")]
mod abi;
pub mod engine;
pub mod explain;
pub mod onnx;
// tract asks for blocks that are aligned to more.
#[cfg(any(test, all(target_arch = "wasm32", not(feature = "onnx"))))]
mod pool;
