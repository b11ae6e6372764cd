//! Shared by the tests that no single crate can hold: a spec that uses everything, and generated requests.

pub mod binary;
pub mod cases;
pub mod edge;
pub mod lightgbm_rank;
