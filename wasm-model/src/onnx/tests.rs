//! Models are written by a small protobuf writer; what is expected is computed here or was onnxruntime's answer.

use super::*;

mod arrays;
mod columns;
mod indexed;
mod kernels;
mod operators;
mod refusals;
mod writer;

fn score(bytes: &[u8], row: &[f32]) -> f32 {
    let mut out = Vec::new();
    Model::load(bytes, row.len() as u32).unwrap().score(row, &mut out);
    out[0]
}
