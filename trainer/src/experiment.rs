//! Experiment: learners, metrics, and judging a model beside plain heuristics.

pub mod bootstrap;
pub mod dataset;
pub mod evaluation;
pub mod foreign;
pub mod judge;
pub mod learners;
pub mod metrics;
pub mod onnx_export;
pub mod prepared;
pub mod train;
