//! What each number of a vector adds to a score: `base + contributions = raw score`, for every row.
//!
//! The raw score is the one before a final logistic function of trees or of a linear model.
//!
//! - Trees: exact Shapley values of path-dependent expectations ([`tree_shap`]); the base is the expected raw score.
//! - Linear models: coefficient times number; the base is the intercept, the score of the vector of zeros.
//! - The rest, and trees deeper than 64: [`occlusion`] by the vector of zeros, whose score is the base.
//!
//! The vector of zeros is the mean where numbers are standardized, and no category where they are one-hot.
//! Everything is summed in `f64` in a fixed order and rounded once, so that all hosts give the same bits;
//! `base` plus a row's contributions differs from its raw score by no more than [`TOLERANCE`] of their absolute sum.

use shared_features::numeric::store;
use shared_features::wire::ExplainMethod;

use crate::onnx::{Exact, Model};

mod occlusion;
mod quadrature;
mod tree_shap;

use quadrature::Rule;

/// How much, of the sum of absolute contributions and base, rounding to `f32` may take or add.
pub const TOLERANCE: f64 = 1e-6;

/// Rows that are explained together.
const GROUP: usize = 64;

/// Explains a model's scores.
#[derive(Debug)]
pub struct Explainer<'a> {
    model: &'a Model,
    width: usize,
    base: f64,
    /// For trees, by the length of a path.
    rules: Vec<Rule>,
}

impl<'a> Explainer<'a> {
    /// Prepares explaining a model.
    pub fn new(model: &'a Model) -> Explainer<'a> {
        let width = model.width();
        let (base, rules) = match model.exact() {
            Some(Exact::Trees { forest, base, scale }) => {
                (base + scale * tree_shap::expectation(forest), tree_shap::rules(forest))
            }
            Some(Exact::Linear { intercept, .. }) => (f64::from(intercept), Vec::new()),
            None => (occlusion::base(model, width), Vec::new()),
        };
        Explainer { model, width, base, rules }
    }

    /// How contributions are found.
    pub fn method(&self) -> ExplainMethod {
        match self.model.exact() {
            Some(Exact::Trees { .. }) => ExplainMethod::TreeShap,
            Some(Exact::Linear { .. }) => ExplainMethod::Linear,
            None => ExplainMethod::Occlusion,
        }
    }

    /// The raw score before any number is known.
    pub fn base(&self) -> f32 {
        store(self.base)
    }

    /// What each number of each row of `x`, row-major `f32[rows, width]`, adds to the row's raw score.
    ///
    /// A missing number has a contribution where trees send it somewhere; of other models it makes all of them missing.
    pub fn contributions(&self, x: &[f32]) -> Vec<f32> {
        let mut contributions = Vec::with_capacity(x.len());
        for group in x.chunks(self.width * GROUP) {
            let mut sums = vec![0.0; group.len()];
            let mut scale_by = 1.0;
            match self.model.exact() {
                Some(Exact::Trees { forest, scale, .. }) => {
                    scale_by = scale;
                    tree_shap::add(forest, &self.rules, group, self.width, &mut sums);
                }
                Some(Exact::Linear { coefficients, .. }) => {
                    for (sums, row) in sums.chunks_exact_mut(self.width).zip(group.chunks_exact(self.width)) {
                        for ((sum, x), w) in sums.iter_mut().zip(row).zip(coefficients) {
                            *sum = f64::from(*x) * f64::from(*w);
                        }
                    }
                }
                None => {
                    for (sums, row) in sums.chunks_exact_mut(self.width).zip(group.chunks_exact(self.width)) {
                        occlusion::explain(self.model, self.base, row, sums);
                    }
                }
            }
            contributions.extend(sums.iter().map(|sum| store(sum * scale_by)));
        }
        contributions
    }
}

#[cfg(test)]
mod tests;
