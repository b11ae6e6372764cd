//! LinearRegressor and LinearClassifier: `sum(x * coefficient) + intercept` a column, in `f64` in index order.

use super::graph::Node;
use super::head::{MAX_COLUMNS, Scores};
use super::transform::{Second, Transform};
use super::{ModelDescription, ModelError};

/// One column.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) coefficients: Vec<f32>,
    pub(super) intercept: f32,
}

/// The columns of a LinearRegressor or LinearClassifier, and what becomes of their scores.
///
/// # Errors
/// Numbers that do not fit each other or are not finite, or a transform that is not supported.
pub(super) fn read(node: &Node, n_features: u32) -> Result<(Vec<Linear>, Scores), ModelError> {
    let classifier = node.operator == "LinearClassifier";
    let operator = if classifier { "LinearClassifier" } else { "LinearRegressor" };
    let refuse = |reason: String| Err(ModelError::Node { operator, reason });
    let width = n_features as usize;
    let coefficients = node.floats("coefficients");
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
    let intercepts = node.floats("intercepts");
    if !intercepts.is_empty() && intercepts.len() != columns {
        return refuse(format!("{} intercepts, expected {columns}", intercepts.len()));
    }
    if !coefficients.iter().chain(intercepts).all(|x| x.is_finite()) {
        return refuse("a coefficient is not finite".into());
    }
    let second = match (classifier, columns, labels) {
        (false, ..) | (true, 1, 0) => None,
        (true, 1, 2) => Some(Second::Complement),
        (true, _, labels) if labels == columns && columns > 1 => None,
        (true, ..) => return refuse(format!("{labels} class labels for coefficients of {columns} classes")),
    };
    let transform = Transform::named(node.text("post_transform", "NONE"), operator)?;
    let column = |(at, coefficients): (usize, &[f32])| Linear {
        coefficients: coefficients.to_vec(),
        intercept: intercepts.get(at).copied().unwrap_or(0.0),
    };
    let linear = coefficients.chunks_exact(width).enumerate().map(column).collect();
    Ok((linear, Scores { columns, second, transform }))
}

impl Linear {
    /// Gives the sum for each row of `x`.
    pub(super) fn sums(&self, x: &[f32], width: usize, give: &mut dyn FnMut(f64)) {
        for row in x.chunks_exact(width) {
            let mut sum = 0.0;
            for (x, w) in row.iter().zip(&self.coefficients) {
                sum += f64::from(*x) * f64::from(*w);
            }
            give(sum + f64::from(self.intercept));
        }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        let parameters = self.coefficients.len() + 1;
        ModelDescription { kind: "linear", trees: 0, parameters: parameters as u32, depth: 1 }
    }
}
