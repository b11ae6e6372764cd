//! NDCG@k.
//!
//! # Source
//! Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with gain `2^grade - 1`.

/// Normalised discounted cumulative gain of the first `k` places, 0 to 1; 0 where no grade is positive.
pub(super) fn ndcg(grades: &[u32], k: usize) -> f64 {
    let mut ideal = grades.to_vec();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = dcg(&ideal, k);
    if best == 0.0 { 0.0 } else { dcg(grades, k) / best }
}

fn dcg(grades: &[u32], k: usize) -> f64 {
    let gain = |grade: u32| libm::exp2(f64::from(grade)) - 1.0;
    grades.iter().take(k).enumerate().map(|(at, &grade)| gain(grade) / libm::log2(at as f64 + 2.0)).sum()
}
