//! Reciprocal rank of one request; its mean over requests is MRR.

/// One over the rank of the first positive, 0 where there is none.
pub(super) fn reciprocal_rank(grades: &[u32]) -> f64 {
    grades.iter().position(|&g| g > 0).map_or(0.0, |at| 1.0 / (at as f64 + 1.0))
}
