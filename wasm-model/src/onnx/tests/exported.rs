//! Models as exporters write them give onnxruntime's answers; `wasm-model/fixtures/exported.py` made both.

use super::*;

const FEATURES: usize = 8;
/// How much of a row's absolute leaf weights or products the answers may differ by.
const TOLERANCE: f64 = 1e-6;

macro_rules! exported {
    ($($name:literal),* $(,)?) => {
        [$((
            $name,
            include_bytes!(concat!("../../../fixtures/exported/", $name, ".onnx")).as_slice(),
            include_bytes!(concat!("../../../fixtures/exported/", $name, ".f32")).as_slice(),
        )),*]
    };
}

/// Whole leaf weights with an exact sum: equal sums are equal leaves.
const LEAVES: &[(&str, &[u8], &[u8])] = &exported![
    "catboost-binary-leaves",
    "catboost-regressor-leaves",
    "lightgbm-binary-leaves",
    "lightgbm-regressor-leaves",
    "lightgbm-three-classes-leaves",
    "sklearn-boosting-binary-leaves",
    "sklearn-boosting-leaves",
    "sklearn-forest-leaves",
    "xgboost-binary-leaves",
    "xgboost-regressor-leaves",
    "xgboost-three-classes-leaves",
];

/// With their own weights.
const SCORES: &[(&str, &[u8], &[u8])] = &exported![
    "catboost-binary",
    "catboost-regressor",
    "lightgbm-binary",
    "lightgbm-regressor",
    "lightgbm-three-classes",
    "sklearn-boosting",
    "sklearn-boosting-binary",
    "sklearn-forest",
    "sklearn-linear",
    "sklearn-logistic",
    "sklearn-logistic-three",
    "sklearn-mlp",
    "sklearn-mlp-binary",
    "sklearn-mlp-three",
    "tree-ensemble-5",
    "xgboost-binary",
    "xgboost-regressor",
    "xgboost-three-classes",
];

/// A fixture's rows, onnxruntime's scores and their sizes.
fn expected(numbers: &[u8]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let numbers: Vec<f32> = numbers.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect();
    let rows = numbers.len() / (FEATURES + 2);
    let (x, rest) = numbers.split_at(rows * FEATURES);
    let (scores, sizes) = rest.split_at(rows);
    (x.to_vec(), scores.to_vec(), sizes.to_vec())
}

fn scores(name: &str, model: &[u8], x: &[f32]) -> Vec<f32> {
    let model = Model::load(model, FEATURES as u32).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut scores = Vec::new();
    model.score(x, &mut scores);
    scores
}

#[test]
fn rows_come_to_the_leaves_that_onnxruntime_finds() {
    for (name, model, numbers) in LEAVES {
        let (x, expected, _) = expected(numbers);
        assert_eq!(scores(name, model, &x), expected, "{name}");
    }
}

#[test]
fn scores_are_those_of_onnxruntime() {
    for (name, model, numbers) in SCORES {
        let (x, expected, sizes) = expected(numbers);
        let got = scores(name, model, &x);
        assert_eq!(got.len(), expected.len(), "{name}");
        for (row, ((got, expected), size)) in got.iter().zip(expected).zip(sizes).enumerate() {
            let off = (f64::from(*got) - f64::from(expected)).abs();
            assert!(off <= TOLERANCE * f64::from(size), "{name}, row {row}: {got}, expected {expected}, size {size}");
        }
    }
}

/// LightGBM's splits by sets of categories are exported as branches that share their children.
#[test]
fn shared_nodes_are_refused() {
    let model = include_bytes!("../../../fixtures/exported/lightgbm-categories.onnx");
    let error = Model::load(model, FEATURES as u32).unwrap_err().to_string();
    assert!(error.contains("TreeEnsembleRegressor") && error.contains("more than one parent"), "{error}");
}

#[test]
fn trees_and_linear_models_can_be_explained_exactly() {
    let graphs: Vec<&str> = SCORES
        .iter()
        .filter(|(_, model, _)| Model::load(model, FEATURES as u32).unwrap().exact().is_none())
        .map(|(name, ..)| *name)
        .collect();
    // Softmax makes of every class's sum one score; networks have no sum.
    let softmax = ["lightgbm-three-classes", "sklearn-logistic-three", "xgboost-three-classes"];
    assert_eq!(graphs.iter().filter(|name| !name.contains("mlp")).collect::<Vec<_>>(), softmax.each_ref());
}

#[test]
fn altered_files_never_panic() {
    for (_, model, numbers) in LEAVES.iter().chain(SCORES) {
        let (x, ..) = expected(numbers);
        // Every part of the file is hit, at strides that are no multiple of each other.
        for (stride, change) in [(7, 0x80), (11, 0x01), (13, 0xff)] {
            let mut bytes = model.to_vec();
            let mut at = stride;
            while at < bytes.len() {
                bytes[at] ^= change;
                if let Ok(model) = Model::load(&bytes, FEATURES as u32) {
                    model.score(&x[..2 * FEATURES], &mut Vec::new());
                }
                bytes[at] ^= change;
                at += stride * (1 + model.len() / 2_000);
            }
        }
    }
}
