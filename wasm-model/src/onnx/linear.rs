//! LinearRegressor and LinearClassifier: `sum(x * coefficient) + intercept` a column, in `f64` in index order.

use super::graph::Node;
use super::head::{MAX_COLUMNS, Scores};
use super::transform::{Second, Transform};
use super::{ModelDescription, ModelError, number};

#[derive(Debug)]
pub(super) struct Linear {
    /// `f32[columns, n_features]`.
    coefficients: Vec<f32>,
    /// One a column.
    intercepts: Vec<f32>,
    width: usize,
}

impl Linear {
    /// The columns of a LinearRegressor or LinearClassifier, and what becomes of their scores.
    pub(super) fn read(node: &Node, n_features: u32) -> Result<(Linear, Scores), ModelError> {
        let classifier = node.operator == "LinearClassifier";
        let operator = if classifier { "LinearClassifier" } else { "LinearRegressor" };
        let refuse = |reason: String| Err(ModelError::Node { operator, reason });
        let width = n_features as usize;
        let coefficients = node.floats("coefficients").to_vec();
        let labels = node.labels();
        let columns = match (classifier, node.int("targets", 1)) {
            (true, _) => coefficients.len() / width,
            (false, targets) if (1..=MAX_COLUMNS as i64).contains(&targets) => targets as usize,
            (false, targets) => return refuse(format!("{targets} targets; 1 to {MAX_COLUMNS} are allowed")),
        };
        if columns == 0 || columns > MAX_COLUMNS || coefficients.len() != columns * width {
            let count = coefficients.len();
            return refuse(format!("{count} coefficients, expected {} of {n_features} features", columns.max(1)));
        }
        let mut intercepts = node.floats("intercepts").to_vec();
        if intercepts.is_empty() {
            intercepts = vec![0.0; columns];
        }
        if intercepts.len() != columns {
            return refuse(format!("{} intercepts, expected {columns}", intercepts.len()));
        }
        if !coefficients.iter().chain(&intercepts).all(|x| x.is_finite()) {
            return refuse("a coefficient is not finite".into());
        }
        let second = match (classifier, columns, labels) {
            (false, ..) | (true, 1, 0) => None,
            (true, 1, 2) => Some(Second::Complement),
            (true, _, labels) if labels == columns && columns > 1 => None,
            (true, ..) => return refuse(format!("{labels} class labels for coefficients of {columns} classes")),
        };
        let transform = Transform::named(node.text("post_transform", "NONE"), operator)?;
        Ok((Linear { coefficients, intercepts, width }, Scores { columns, second, transform }))
    }

    /// The score of the first column.
    pub(super) fn score(&self, row: &[f32]) -> f32 {
        self.columns(row).next().map_or(f32::NAN, number)
    }

    /// The score of each column.
    pub(super) fn columns(&self, row: &[f32]) -> impl Iterator<Item = f64> {
        self.coefficients.chunks_exact(self.width).zip(&self.intercepts).map(|(coefficients, intercept)| {
            let mut sum = 0.0;
            for (x, w) in row.iter().zip(coefficients) {
                sum += f64::from(*x) * f64::from(*w);
            }
            sum + f64::from(*intercept)
        })
    }

    pub(super) fn describe(&self) -> ModelDescription {
        let parameters = self.coefficients.len() + self.intercepts.len();
        ModelDescription { kind: "linear", trees: 0, parameters: parameters as u32, depth: 1 }
    }
}
