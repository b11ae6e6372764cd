use super::*;

/// Largest difference from a value computed by hand.
const TOLERANCE: f64 = 1e-12;

#[track_caller]
fn check(name: &str, grades: &[u32], scores: &[f32], expected: Option<f64>) {
    let metric = METRICS.iter().find(|m| m.name == name).unwrap();
    let got = (metric.of_request)(grades, scores);
    match (got, expected) {
        (Some(got), Some(expected)) => {
            assert!((got - expected).abs() < TOLERANCE, "{name}: {got}, expected {expected}")
        }
        _ => assert_eq!(got, expected, "{name}"),
    }
}

#[test]
fn values_equal_those_computed_by_hand() {
    let scores = [5.0, 4.0, 3.0, 2.0];
    let ideal = 3.0 + 1.0 / 3f64.log2();
    check("ndcg@10", &[0, 2, 0, 1], &scores, Some((3.0 / 3f64.log2() + 1.0 / 5f64.log2()) / ideal));
    check("ndcg@5", &[1, 0, 0, 0], &scores, Some(1.0));
    check("ndcg@5", &[0, 0, 0, 0, 0, 1], &[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], Some(0.0));
    check("map", &[0, 2, 0, 1], &scores, Some((0.5 + 0.5) / 2.0));
    check("mrr", &[0, 0, 1, 1], &scores, Some(1.0 / 3.0));
    check("hit@1", &[0, 1, 0, 0], &scores, Some(0.0));
    check("hit@10", &[0, 1, 0, 0], &scores, Some(1.0));
    check("recall@10", &[0, 1, 0, 1], &scores, Some(1.0));
    check("auc", &[1, 0, 1, 0], &scores, Some(0.75));
    check("auc", &[1, 0, 0, 0], &[1.0, 1.0, 1.0, 0.0], Some((0.5 + 0.5 + 1.0) / 3.0));
    check("auc", &[0, 0, 0, 0], &scores, None);
    check("auc", &[1, 1], &scores[..2], None);
}
