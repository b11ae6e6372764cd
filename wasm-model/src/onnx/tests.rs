//! Models are written by a small protobuf writer, or come from the fixtures that `fixtures/make.py` made.

use super::*;

mod arrays;
mod fixtures;
mod kernels;
mod operators;
mod refusals;
mod writer;

fn score(bytes: &[u8], row: &[f32]) -> f32 {
    let mut out = Vec::new();
    Model::load(bytes, row.len() as u32).unwrap().score(row, &mut out);
    out[0]
}
