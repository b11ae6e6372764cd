use super::*;
use shared_features::random::Random;

/// Requests of 10 rows with 4 features; the first feature tells the grade, noisily, and the third is often missing.
fn generated(requests: usize, missing: bool) -> TrainingSet {
    let mut random = Random::keyed("learners", "test");
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..requests * 10 {
        let row: Vec<f32> = (0..4).map(|_| random.next_f64() as f32).collect();
        let truth = row[0] + 0.3 * row[1] + 0.2 * random.next_f64() as f32;
        // Positives are rare: about one row in ten.
        labels.push(if truth > 1.15 { 1.0 } else { 0.0 });
        x.extend(row);
        if missing && random.below(3) == 0 {
            let at = x.len() - 2;
            x[at] = f32::NAN;
        }
    }
    TrainingSet::new(4, x, labels, vec![10; requests]).unwrap()
}

/// The share of (positive, other) pairs in the right order.
fn auc(labels: &[f32], scores: &[f32]) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for (i, a) in labels.iter().enumerate().filter(|(_, l)| **l > 0.0) {
        for (j, _) in labels.iter().enumerate().filter(|(_, l)| **l < *a) {
            all += 1.0;
            right += if scores[i] > scores[j] { 1.0 } else { 0.0 };
        }
    }
    right / all
}

fn nothing(_: u64, _: u64) {}

#[test]
fn both_objectives_learn_and_repeat_themselves_to_the_byte() {
    let data = generated(100, true);
    for objective in [lambdamart::RankObjective::Lightgbm, lambdamart::RankObjective::Xgboost] {
        let settings = lambdamart::Settings { objective, trees: 20, bags: 2, feature_share: 0.5, ..Default::default() };
        let learner = Learner::Lambdamart(settings);
        let fitted = learner.fit(&data, 7, &nothing).unwrap();
        assert!(auc(data.labels(), &fitted.training_scores) > 0.9, "{objective:?}");
        assert_eq!(fitted.onnx, learner.fit(&data, 7, &nothing).unwrap().onnx, "same seed, same bytes");
        assert_ne!(fitted.onnx, learner.fit(&data, 8, &nothing).unwrap().onnx, "another seed, another model");
    }
}

#[test]
fn logistic_regression_ranks_rare_positives_first() {
    let data = generated(100, false);
    assert!(data.labels().iter().filter(|l| **l > 0.0).count() * 5 < data.rows(), "positives are rare");
    let fitted = Learner::Logistic(logistic::Settings::default()).fit(&data, 0, &nothing).unwrap();
    assert!(auc(data.labels(), &fitted.training_scores) > 0.9, "scores are not inverted");
    // The same with the classes exchanged: now positives are common.
    let common: Vec<f32> = data.labels().iter().map(|l| 1.0 - l).collect();
    let swapped = TrainingSet::new(4, data.x().to_vec(), common, vec![10; 100]).unwrap();
    let fitted = Learner::Logistic(logistic::Settings::default()).fit(&swapped, 0, &nothing).unwrap();
    assert!(auc(swapped.labels(), &fitted.training_scores) > 0.9, "scores are not inverted");
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let logistic = Learner::Logistic(logistic::Settings::default());
    assert!(matches!(logistic.fit(&generated(10, true), 0, &nothing), Err(LearnerError::Missing { column: 2, .. })));
    let one_class = TrainingSet::new(1, vec![0.0; 4], vec![0.0; 4], vec![4]).unwrap();
    assert!(matches!(logistic.fit(&one_class, 0, &nothing), Err(LearnerError::OneClass { rows: 4 })));
    for settings in [
        lambdamart::Settings { trees: 0, ..Default::default() },
        lambdamart::Settings { learning_rate: f64::NAN, ..Default::default() },
        lambdamart::Settings { leaves: 1, ..Default::default() },
    ] {
        assert!(matches!(Learner::Lambdamart(settings).check(), Err(LearnerError::Setting { .. })));
    }
}

/// Rows, and XGBoost's raw predictions on them: `trainer/fixtures/xgboost-rank/make.py` wrote them.
fn xgboost_fixture() -> (TrainingSet, Vec<u32>) {
    let (mut x, mut labels, mut groups, mut expected) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in include_str!("../../../fixtures/xgboost-rank/rows.csv").lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let request: usize = cells[0].parse().unwrap();
        groups.resize(groups.len().max(request + 1), 0);
        groups[request] += 1;
        labels.push(cells[1].parse().unwrap());
        x.extend(cells[2..8].iter().map(|cell| if cell.is_empty() { f32::NAN } else { cell.parse().unwrap() }));
        expected.push(u32::from_str_radix(cells[8], 16).unwrap());
    }
    (TrainingSet::new(6, x, labels, groups).unwrap(), expected)
}

#[test]
fn the_xgboost_objective_predicts_what_xgboost_predicts_to_the_bit() {
    let (data, expected) = xgboost_fixture();
    let settings = lambdamart::Settings {
        objective: lambdamart::RankObjective::Xgboost,
        trees: 30,
        leaves: 8,
        min_rows: 1,
        min_hessian: 0.1,
        l2: 1.0,
        bins: 64,
        ..Default::default()
    };
    let fitted = Learner::Lambdamart(settings).fit(&data, 0, &nothing).unwrap();
    let got: Vec<u32> = fitted.training_scores.iter().map(|s| s.to_bits()).collect();
    let different = got.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert_eq!(different, 0, "rows of {} whose bits differ", expected.len());
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    // The library builds histograms on several threads from 8,192 rows.
    let data = generated(2_500, true);
    let settings = lambdamart::Settings { trees: 5, feature_share: 0.5, row_share: 0.7, ..Default::default() };
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Learner::Lambdamart(settings.clone()).fit(&data, 3, &nothing).unwrap().onnx)
    };
    let one = with(1);
    assert!(one == with(2) && one == with(5), "models of 1, 2 and 5 threads are equal");
}
