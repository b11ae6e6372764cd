//! Models are written by a small protobuf writer; what is expected is computed here or was onnxruntime's answer.

use super::*;

mod arrays;
mod columns;
mod exported;
mod indexed;
mod kernels;
mod operators;
mod refusals;
mod writer;

pub(crate) use arrays::{Arrays, Tree, any_number, any_tree, holds, leaf};
use writer::{model, node};

/// `relu(weights . x + bias)` of two numbers.
pub(crate) fn dense(weights: &[f32; 2], bias: f32) -> Vec<u8> {
    let nodes = [node("", "Gemm", &["features", "w", "b"], "h", &[]), node("", "Relu", &["h"], "score", &[])];
    model(&nodes, &[writer::tensor("w", &[2, 1], weights), writer::tensor("b", &[1], &[bias])], 2, 3)
}

fn score(bytes: &[u8], row: &[f32]) -> f32 {
    let mut out = Vec::new();
    Model::load(bytes, row.len() as u32).unwrap().score(row, &mut out);
    out[0]
}
