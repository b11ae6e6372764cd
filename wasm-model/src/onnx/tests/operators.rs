//! What each operator computes.

use super::arrays::*;
use super::writer::*;
use super::*;
use crate::onnx::transform::logistic;

#[test]
fn every_branch_mode_and_missing_direction() {
    let half = 0.5;
    for (mode, below, equal, above) in [
        ("BRANCH_LEQ", 1.0, 1.0, -1.0),
        ("BRANCH_LT", 1.0, -1.0, -1.0),
        ("BRANCH_GTE", -1.0, 1.0, 1.0),
        ("BRANCH_GT", -1.0, -1.0, 1.0),
        ("BRANCH_EQ", -1.0, 1.0, -1.0),
        ("BRANCH_NEQ", 1.0, -1.0, 1.0),
    ] {
        for missing in [false, true] {
            let bytes = Arrays::of(&[stump(mode, missing)]).bytes();
            let got = [0.1, half, 0.9, f32::NAN].map(|x| score(&bytes, &[9.0, x]));
            // A missing number is unequal to every value.
            let nan = if missing || mode == "BRANCH_NEQ" { 1.0 } else { -1.0 };
            assert_eq!(got, [below, equal, above, nan], "{mode}");
        }
    }
}

#[test]
fn sums_averages_and_bases() {
    let trees = [stump("BRANCH_LT", false), Tree::Leaf(0.25)];
    let with = |more: &[(&'static str, &'static str)]| {
        Arrays { more: more.to_vec(), base: vec![2.0], ..Arrays::of(&trees) }.bytes()
    };
    assert_eq!(score(&with(&[]), &[0.0, 0.0]), 3.25);
    assert_eq!(score(&with(&[("aggregate_function", "AVERAGE")]), &[0.0, 0.0]), 2.625);
    // One score of a regressor stays as it is in onnxruntime.
    assert_eq!(score(&with(&[("post_transform", "LOGISTIC")]), &[0.0, 0.0]), 3.25);
    let description = Model::load(&with(&[]), 2).unwrap().describe();
    assert_eq!((description.trees, description.parameters, description.depth), (2, 3, 1));
}

#[test]
fn linear_models() {
    let attributes = [floats("coefficients", &[2.0, -1.0]), floats("intercepts", &[0.5])];
    let bytes = model(&[node("ai.onnx.ml", "LinearRegressor", &["features"], "score", &attributes)], &[], 2, 1);
    assert_eq!(score(&bytes, &[3.0, 1.0]), 5.5);
    assert!(score(&bytes, &[f32::NAN, 1.0]).is_nan());
    assert!(!Model::load(&bytes, 2).unwrap().handles_missing());
}

#[test]
fn dense_chains() {
    let nodes = [
        node("", "Gemm", &["features", "w1", "b1"], "h", &[int("transB", 1)]),
        node("", "Relu", &["h"], "a", &[]),
        node("", "MatMul", &["a", "w2"], "m", &[]),
        node("", "Add", &["m", "b2"], "s", &[]),
        node("", "Sigmoid", &["s"], "score", &[]),
    ];
    let constants = [
        tensor("w1", &[3, 2], &[1.0, 0.0, 0.0, 1.0, -1.0, -1.0]),
        tensor("b1", &[3], &[0.0, 1.0, 0.0]),
        tensor("w2", &[3, 1], &[1.0, 2.0, 3.0]),
        tensor("b2", &[1], &[-1.0]),
    ];
    let bytes = model(&nodes, &constants, 2, 3);
    // relu(2, 4, -5) . (1, 2, 3) - 1 = 9
    assert_eq!(score(&bytes, &[2.0, 3.0]), logistic(9.0) as f32);
    assert_eq!(Model::load(&bytes, 2).unwrap().describe().parameters, 6 + 3 + 3 + 1 + 1);
    let tanh = model(
        &[node("", "MatMul", &["features", "w"], "m", &[]), node("", "Tanh", &["m"], "score", &[])],
        &[tensor("w", &[2, 1], &[1.0, 1.0])],
        2,
        3,
    );
    assert_eq!(score(&tanh, &[0.25, 0.25]), libm::tanh(0.5) as f32);
}

#[test]
fn identities_between_nodes_change_nothing() {
    let attributes = [floats("coefficients", &[2.0, -1.0])];
    let nodes = [
        node("ai.onnx.ml", "LinearRegressor", &["features"], "a", &attributes),
        node("", "Identity", &["a"], "b", &[]),
        node("", "Identity", &["b"], "score", &[]),
    ];
    assert_eq!(score(&model(&nodes, &[], 2, 1), &[3.0, 1.0]), 5.0);
}
