//! LinearRegressor: `sum(x * coefficient) + intercept`, in `f64` in index order, rounded once.

use super::graph::Node;
use super::{Exact, ModelDescription, ModelError, logistic};

#[derive(Debug)]
pub(super) struct Linear {
    coefficients: Vec<f32>,
    intercept: f32,
    logistic: bool,
}

const OPERATOR: &str = "LinearRegressor";

impl Linear {
    pub(super) fn read(node: &Node, n_features: u32) -> Result<Linear, ModelError> {
        let refuse = |reason: String| Err(ModelError::Node { operator: OPERATOR, reason });
        if node.int("targets", 1) != 1 {
            return refuse(format!("{} targets, expected 1", node.int("targets", 1)));
        }
        let coefficients = node.floats("coefficients").to_vec();
        if coefficients.len() != n_features as usize {
            return refuse(format!("{} coefficients, expected {n_features}", coefficients.len()));
        }
        let intercept = match node.floats("intercepts") {
            [] => 0.0,
            [intercept] => *intercept,
            more => return refuse(format!("{} intercepts, expected 1", more.len())),
        };
        if !coefficients.iter().chain([&intercept]).all(|x| x.is_finite()) {
            return refuse("a coefficient is not finite".into());
        }
        let logistic = match node.text("post_transform", "NONE") {
            "NONE" => false,
            "LOGISTIC" => true,
            other => return refuse(format!("post_transform {other} is not supported")),
        };
        Ok(Linear { coefficients, intercept, logistic })
    }

    pub(super) fn score(&self, row: &[f32]) -> f32 {
        let sum = self.raw(row);
        (if self.logistic { logistic(sum) } else { sum }) as f32
    }

    /// The sum, before a logistic function.
    pub(super) fn raw(&self, row: &[f32]) -> f64 {
        let mut sum = 0.0;
        for (x, w) in row.iter().zip(&self.coefficients) {
            sum += f64::from(*x) * f64::from(*w);
        }
        sum + f64::from(self.intercept)
    }

    pub(super) fn exact(&self) -> Exact<'_> {
        Exact::Linear { coefficients: &self.coefficients, intercept: self.intercept }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        ModelDescription { kind: "linear", trees: 0, parameters: self.coefficients.len() as u32 + 1, depth: 1 }
    }
}
