//! What a head makes of its sums: `post_transform`, and the second class of a classifier that has weights for one.
//!
//! Defined as onnxruntime does it, also where the standard says less:
//! one score of a regressor stays as it is. PROBIT is refused, because onnxruntime computes a rough approximation of it.

use super::ModelError;

/// How scores become the head's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
}

/// How the score `s` of the only class with weights becomes the scores of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    /// `[1 - s, s]`: votes.
    Complement,
    /// `[-s, s]`: margins.
    Opposite,
}

/// Numbers this close to 0 are 0 to SOFTMAX_ZERO.
const ZERO: f64 = 0.000_000_1;

impl Transform {
    /// By its name in `post_transform`.
    pub(super) fn named(name: &str, operator: &'static str) -> Result<Transform, ModelError> {
        match name {
            "NONE" => Ok(Transform::None),
            "LOGISTIC" => Ok(Transform::Logistic),
            "SOFTMAX" => Ok(Transform::Softmax),
            "SOFTMAX_ZERO" => Ok(Transform::SoftmaxZero),
            other => {
                let other: String = other.chars().take(40).collect();
                Err(ModelError::Node { operator, reason: format!("post_transform {other} is not supported") })
            }
        }
    }

    /// Turns one row's scores into what the head gives; one score alone stays as it is.
    pub(super) fn apply(self, scores: &mut [f64]) {
        match self {
            _ if scores.len() < 2 => {}
            Transform::None => {}
            Transform::Logistic => scores.iter_mut().for_each(|x| *x = logistic(*x)),
            Transform::Softmax => softmax(scores),
            Transform::SoftmaxZero => softmax_zero(scores),
        }
    }

    /// The output for two classes of the score of one; only LOGISTIC is applied.
    pub(super) fn of_one(self, second: Second, score: f64) -> [f64; 2] {
        match (self, second) {
            (Transform::Logistic, _) => [logistic(-score), logistic(score)],
            (_, Second::Complement) => [1.0 - score, score],
            (_, Second::Opposite) => [-score, score],
        }
    }
}

/// The logistic function, without overflow.
pub(super) fn logistic(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

/// `exp(x - max)` over their sum, added in order.
pub(super) fn softmax(scores: &mut [f64]) {
    let max = max(scores);
    let mut sum = 0.0;
    for x in scores.iter_mut() {
        *x = libm::exp(*x - max);
        sum += *x;
    }
    scores.iter_mut().for_each(|x| *x /= sum);
}

/// The softmax of those that are not 0.
fn softmax_zero(scores: &mut [f64]) {
    let max = max(scores);
    let mut sum = 0.0;
    for x in scores.iter_mut() {
        if *x > ZERO || *x < -ZERO {
            *x = libm::exp(*x - max);
            sum += *x;
        } else {
            *x *= libm::exp(-max);
        }
    }
    scores.iter_mut().for_each(|x| *x /= sum);
}

fn max(scores: &[f64]) -> f64 {
    scores.iter().fold(f64::NEG_INFINITY, |max, &x| if x > max { x } else { max })
}
