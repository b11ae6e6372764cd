//! Hit rate at k.

/// 1 where one of the first `k` is positive, else 0.
pub(super) fn hit(grades: &[u32], k: usize) -> f64 {
    if grades.iter().take(k).any(|&g| g > 0) { 1.0 } else { 0.0 }
}
