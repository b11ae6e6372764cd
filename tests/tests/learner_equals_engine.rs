//! The learner's own scores against the engine's on the exported ONNX file, on every training row.

use shared_features::random::Random;
use trainer::experiment::dataset::TrainingSet;
use trainer::experiment::learners::lambdamart::{RankObjective, Settings};
use trainer::experiment::learners::{Learner, logistic};
use wasm_model::onnx::Model;

/// Largest difference, as a share of the sum over trees of the largest leaf weight (linear: of the coefficients).
const TOLERANCE: f64 = 1e-6;
const WIDTH: u32 = 12;

/// Rows with missing, equal, huge and tiny numbers.
fn generated(missing: bool) -> TrainingSet {
    let mut random = Random::keyed("learner equals engine", "rows");
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..5_000 {
        let row: Vec<f32> = (0..WIDTH)
            .map(|k| match random.below(12) {
                0 if missing => f32::NAN,
                1 => 0.0,
                2 if missing => 1e30,
                3 if missing => -1e-30,
                // What infinities are clipped to.
                4 if missing => f32::MAX,
                5 if missing => f32::MIN,
                _ if k % 3 == 0 => random.below(5) as f32,
                _ => random.next_f64() as f32,
            })
            .collect();
        let grade = if row[0] > 2.0 && random.below(3) > 0 { 1.0 + f64::from(row[1] > 0.5) as f32 } else { 0.0 };
        labels.push(grade);
        x.extend(row);
    }
    TrainingSet::new(WIDTH, x, labels, vec![20; 250]).unwrap()
}

#[track_caller]
fn check(learner: &Learner, data: &TrainingSet) {
    let fitted = learner.fit(data, 3, &|_, _| {}).unwrap();
    let model = Model::load(&fitted.onnx, WIDTH).unwrap();
    let mut scores = Vec::new();
    model.score(data.x(), &mut scores);
    assert_eq!(scores.len(), fitted.training_scores.len());
    for (row, (engine, own)) in scores.iter().zip(&fitted.training_scores).enumerate() {
        let difference = (f64::from(*engine) - f64::from(*own)).abs();
        assert!(difference <= TOLERANCE * fitted.weight, "row {row}: engine {engine}, learner {own}");
    }
}

#[test]
fn trees_of_both_objectives() {
    for objective in [RankObjective::Lightgbm, RankObjective::Xgboost] {
        for bags in [1, 3] {
            let settings = Settings { objective, trees: 60, bags, feature_share: 0.7, ..Settings::default() };
            check(&Learner::Lambdamart(settings), &generated(true));
        }
    }
}

#[test]
fn logistic_regression() {
    check(&Learner::Logistic(logistic::Settings::default()), &generated(false));
}
