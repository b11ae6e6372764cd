//! Contributions to any score: what is lost when one number is replaced by zero.
//!
//! What is lost one at a time does not sum to what is lost together. The difference is given to the numbers by the
//! size of their loss; where none alone loses anything, to those that are not zero, in equal parts.

use crate::onnx::Model;

/// Vectors that are scored together.
const ROWS: usize = 64;

/// The raw score of the vector of zeros.
pub(super) fn base(model: &Model, width: usize) -> f64 {
    let mut score = Vec::with_capacity(1);
    model.raw(&vec![0.0; width], &mut score);
    score.first().map_or(f64::NAN, |&x| f64::from(x))
}

/// Writes what each number of a row adds to `base`.
pub(super) fn explain(model: &Model, base: f64, row: &[f32], contributions: &mut [f64]) {
    let mut scores = Vec::with_capacity(1 + row.len());
    model.raw(row, &mut scores);
    let changed: Vec<usize> = (0..row.len()).filter(|&i| row[i] != 0.0).collect();
    for slots in changed.chunks(ROWS) {
        let mut without = row.repeat(slots.len());
        for (k, &slot) in slots.iter().enumerate() {
            without[k * row.len() + slot] = 0.0;
        }
        model.raw(&without, &mut scores);
    }
    let Some((&score, without)) = scores.split_first() else { return };
    let score = f64::from(score);
    let (mut alone, mut size) = (0.0, 0.0);
    for (&slot, &without) in changed.iter().zip(without) {
        let lost = score - f64::from(without);
        contributions[slot] = lost;
        alone += lost;
        size += lost.abs();
    }
    let rest = score - base - alone;
    for &slot in &changed {
        let part = if size > 0.0 { contributions[slot].abs() / size } else { 1.0 / changed.len() as f64 };
        contributions[slot] += rest * part;
    }
}
