//! Average precision of one request; its mean over requests is MAP.

/// Mean over the positive places of the share of positives up to there, 0 to 1.
pub(super) fn average_precision(grades: &[u32]) -> f64 {
    let (mut found, mut sum) = (0u32, 0.0);
    for (at, &grade) in grades.iter().enumerate() {
        if grade > 0 {
            found += 1;
            sum += f64::from(found) / (at as f64 + 1.0);
        }
    }
    if found == 0 { 0.0 } else { sum / f64::from(found) }
}
