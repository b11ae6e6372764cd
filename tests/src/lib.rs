//! Shared by the tests that no single crate can hold: a spec that uses everything, generated requests, a published world, a running edge.

pub mod binary;
pub mod bucket;
pub mod cases;
pub mod client;
pub mod cluster;
pub mod collector;
pub mod edge;
pub mod faulty;
pub mod foreign;
pub mod lightgbm_rank;
pub mod load;
pub mod parity;
pub mod world;
