//! Area under the ROC curve of one request.

/// The share of (positive, other) pairs in the right order, equal scores counting half; `None` without both classes.
pub(super) fn auc(grades: &[u32], scores: &[f32]) -> Option<f64> {
    // In ranked order, the pairs of a positive are the others after it; a run of equal scores is settled as one.
    let positives = grades.iter().filter(|&&g| g > 0).count();
    let others = grades.len() - positives;
    if positives == 0 || others == 0 {
        return None;
    }
    let equal = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
    let (mut right, mut others_before, mut at) = (0.0, 0usize, 0);
    while at < grades.len() {
        let mut end = at + 1;
        while end < grades.len() && equal(scores[end], scores[at]) {
            end += 1;
        }
        let positive = grades[at..end].iter().filter(|&&g| g > 0).count();
        let other = end - at - positive;
        let after = others - others_before - other;
        right += positive as f64 * (after as f64 + other as f64 / 2.0);
        others_before += other;
        at = end;
    }
    Some(right / (positives as f64 * others as f64))
}
