//! Learners: what fits a model to labelled vectors. Each gives an ONNX file and can score by itself, for tests.
//!
//! To add one, write its file in `learners/` and register it in [`Learner`].

use serde::Deserialize;

use super::dataset::TrainingSet;

mod lambda_loss;
pub mod lambdamart;
pub mod logistic;

/// A learner with its settings; `kind` in a spec's `[learner]` names it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Learner {
    /// Gradient-boosted trees with a ranking objective.
    Lambdamart(lambdamart::Settings),
    /// Logistic regression on "has a positive label".
    Logistic(logistic::Settings),
}

/// A fitted model.
#[derive(Debug)]
pub struct Fitted {
    /// The model file.
    pub onnx: Vec<u8>,
    /// The learner's own scores of the training rows, for comparison with the engine.
    pub training_scores: Vec<f32>,
    /// Sum over trees of the largest absolute leaf weight, or of absolute coefficients: the scale of rounding errors.
    pub weight: f64,
}

/// Why a learner gives no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnerError {
    /// A setting out of its range.
    #[error("`{name}` is {got}, expected {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was set.
        got: String,
        /// The range.
        expected: &'static str,
    },
    /// A learner that cannot use missing numbers got one.
    #[error("number {column} of row {row} is missing; add `impute` to the feature's transforms")]
    Missing {
        /// Place in the vector.
        column: usize,
        /// Row.
        row: usize,
    },
    /// Labels of one class only.
    #[error("all {rows} training rows have the same class; there is nothing to learn")]
    OneClass {
        /// How many rows.
        rows: usize,
    },
    /// The library fails.
    #[error("{learner}: {reason}")]
    Library {
        /// Which.
        learner: &'static str,
        /// What it says.
        reason: String,
    },
}

impl Learner {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first one that is out of range.
    pub fn check(&self) -> Result<(), LearnerError> {
        match self {
            Learner::Lambdamart(settings) => settings.check(),
            Learner::Logistic(settings) => settings.check(),
        }
    }

    /// Whether a missing number means something to its models.
    pub fn handles_missing(&self) -> bool {
        matches!(self, Learner::Lambdamart(_))
    }

    /// Fits a model; the same data and seed give the same bytes at any number of threads.
    ///
    /// # Errors
    /// Data that the learner cannot use.
    pub fn fit(
        &self,
        data: &TrainingSet,
        seed: u64,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Fitted, LearnerError> {
        match self {
            Learner::Lambdamart(settings) => lambdamart::fit(settings, data, seed, progress),
            Learner::Logistic(settings) => logistic::fit(settings, data),
        }
    }
}

/// A setting that must lie in a range.
fn in_range(
    name: &'static str,
    got: f64,
    range: std::ops::RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), LearnerError> {
    if range.contains(&got) { Ok(()) } else { Err(LearnerError::Setting { name, got: got.to_string(), expected }) }
}

#[cfg(test)]
mod tests;
