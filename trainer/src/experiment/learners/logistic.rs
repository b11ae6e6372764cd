//! Logistic regression on "has a positive label", by linfa.

use linfa::DatasetBase;
use linfa::prelude::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};
use serde::Deserialize;

use super::{Fitted, LearnerError, in_range};
use crate::experiment::dataset::TrainingSet;
use crate::experiment::onnx_export;

/// Settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Strength of the L2 penalty.
    pub l2: f64,
    /// Most iterations of the optimiser.
    pub iterations: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { l2: 1.0, iterations: 100 }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), LearnerError> {
        in_range("l2", self.l2, 0.0..=1e12, "at least 0")?;
        in_range("iterations", self.iterations.into(), 1.0..=100_000.0, "1 to 100000")
    }
}

pub(super) fn fit(settings: &Settings, data: &TrainingSet) -> Result<Fitted, LearnerError> {
    let width = data.n_features();
    if let Some(at) = data.x().iter().position(|x| x.is_nan()) {
        return Err(LearnerError::Missing { column: at % width, row: at / width });
    }
    let positive: Vec<bool> = data.labels().iter().map(|&l| l > 0.0).collect();
    if positive.iter().all(|&p| p) || !positive.iter().any(|&p| p) {
        return Err(LearnerError::OneClass { rows: positive.len() });
    }
    let shape = |e: ndarray::ShapeError| library(&e);
    let x = Array2::from_shape_vec((data.rows(), width), data.x().iter().map(|&x| f64::from(x)).collect())
        .map_err(shape)?;
    let dataset = DatasetBase::new(x, Array1::from_vec(positive));
    let model = LogisticRegression::default()
        .alpha(settings.l2)
        .max_iterations(settings.iterations.into())
        .fit(&dataset)
        .map_err(|e| library(&e))?;
    // The library calls one of the two classes positive by its own rule; ours is `true`.
    let sign = if model.labels().pos.class { 1.0 } else { -1.0 };
    let coefficients: Vec<f32> = model.params().iter().map(|w| (sign * w) as f32).collect();
    let intercept = (sign * model.intercept()) as f32;
    let scores = data.x().chunks_exact(width).map(|row| {
        let sum: f64 = row.iter().zip(&coefficients).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        (sum + f64::from(intercept)) as f32
    });
    Ok(Fitted {
        training_scores: scores.collect(),
        weight: coefficients.iter().map(|w| f64::from(w.abs())).sum(),
        onnx: onnx_export::linear(&coefficients, intercept),
    })
}

fn library(error: &dyn std::error::Error) -> LearnerError {
    LearnerError::Library { learner: "logistic", reason: error.to_string() }
}
