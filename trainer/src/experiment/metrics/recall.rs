//! Recall at k.

/// The share of the positives that stand among the first `k`, 0 where there is none.
pub(super) fn recall(grades: &[u32], k: usize) -> f64 {
    let count = |grades: &[u32]| grades.iter().filter(|&&g| g > 0).count() as f64;
    let all = count(grades);
    if all == 0.0 { 0.0 } else { count(&grades[..k.min(grades.len())]) / all }
}
