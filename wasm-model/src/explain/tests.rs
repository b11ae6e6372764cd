//! Contributions against LightGBM's and shap's on the same models, against Shapley's formula, and their sums.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::onnx::tests::{Arrays, Tree, any_number, any_tree, dense, holds, leaf};

/// What a fixture's script was told by LightGBM or shap.
#[derive(Deserialize)]
struct Expected {
    x: Vec<Vec<Option<f32>>>,
    contributions: Vec<Vec<f64>>,
    base: f64,
}

macro_rules! fixture {
    ($name:literal) => {
        (
            &include_bytes!(concat!("../../fixtures/contributions/", $name, ".onnx"))[..],
            include_str!(concat!("../../fixtures/contributions/", $name, ".json")),
        )
    };
}

#[track_caller]
fn equals_its_peer((model, expected): (&[u8], &str), method: ExplainMethod) {
    let expected: Expected = serde_json::from_str(expected).unwrap();
    let width = expected.x[0].len();
    let model = Model::load(model, width as u32).unwrap();
    let x: Vec<f32> = expected.x.iter().flatten().map(|x| x.unwrap_or(f32::NAN)).collect();
    let explainer = Explainer::new(&model);
    assert_eq!(explainer.method(), method);
    let contributions = explainer.contributions(&x);
    for (row, (got, expected_row)) in contributions.chunks(width).zip(&expected.contributions).enumerate() {
        let size: f64 = expected_row.iter().map(|c| c.abs()).sum::<f64>() + expected.base.abs();
        for (slot, (got, expected)) in got.iter().zip(expected_row).enumerate() {
            let off = (f64::from(*got) - expected).abs();
            assert!(off <= TOLERANCE * size, "row {row}, slot {slot}: {got}, expected {expected}");
        }
        let off = (f64::from(explainer.base()) - expected.base).abs();
        assert!(off <= TOLERANCE * size, "base {}, expected {}", explainer.base(), expected.base);
    }
    assert_eq!(contributions.len(), expected.contributions.len() * width);
    sums_to_the_score(&model, &x).unwrap();
}

/// Base and contributions sum to the raw score.
fn sums_to_the_score(model: &Model, x: &[f32]) -> Result<(), TestCaseError> {
    let explainer = Explainer::new(model);
    let contributions = explainer.contributions(x);
    let mut raw = Vec::new();
    model.raw(x, &mut raw);
    prop_assert_eq!(contributions.len(), x.len());
    for (row, raw) in contributions.chunks(model.width()).zip(raw) {
        let base = f64::from(explainer.base());
        let sum = base + row.iter().map(|&c| f64::from(c)).sum::<f64>();
        let size = base.abs() + row.iter().map(|&c| f64::from(c).abs()).sum::<f64>();
        prop_assert!((sum - f64::from(raw)).abs() <= TOLERANCE * size, "sum {}, score {}", sum, raw);
    }
    Ok(())
}

#[test]
fn trees_equal_lightgbm() {
    equals_its_peer(fixture!("lightgbm_8x7"), ExplainMethod::TreeShap);
    equals_its_peer(fixture!("lightgbm_missing_10x15"), ExplainMethod::TreeShap);
    equals_its_peer(fixture!("lightgbm_50x31"), ExplainMethod::TreeShap);
}

#[test]
fn linear_models_equal_shap() {
    equals_its_peer(fixture!("logistic"), ExplainMethod::Linear);
}

/// The expectation of a test's tree where only the features of `known` (bits) are, and its number of leaves.
fn expectation(tree: &Tree, row: &[f32], known: u32) -> (f64, f64) {
    match tree {
        Tree::Leaf(weight) => (f64::from(*weight), 1.0),
        Tree::Split(mode, feature, value, missing, a, b) => {
            let ((a, in_a), (b, in_b)) = (expectation(a, row, known), expectation(b, row, known));
            let holds = holds(mode, row[*feature as usize], *value, *missing);
            let of = match (known >> feature & 1 == 1, holds) {
                (false, _) => (a * in_a + b * in_b) / (in_a + in_b),
                (true, true) => a,
                (true, false) => b,
            };
            (of, in_a + in_b)
        }
    }
}

proptest! {
    /// Two features, no hitrates: half of what the first adds alone and half of what it adds to the second.
    #[test]
    fn trees_equal_shapleys_formula(
        trees in prop::collection::vec(any_tree(), 1..8),
        rows in prop::collection::vec((any_number(), any_number()), 1..70),
    ) {
        let model = Model::load(&Arrays::of(&trees).bytes(), 2).unwrap();
        let x: Vec<f32> = rows.iter().flat_map(|(a, b)| [*a, *b]).collect();
        let got = Explainer::new(&model).contributions(&x);
        for (row, got) in x.chunks(2).zip(got.chunks(2)) {
            let sum = |known| trees.iter().map(|t| expectation(t, row, known).0).sum::<f64>();
            let (none, first, second, both) = (sum(0), sum(1), sum(2), sum(3));
            let expected = [(first - none + both - second) / 2.0, (second - none + both - first) / 2.0];
            for (got, expected) in got.iter().zip(expected) {
                prop_assert!((f64::from(*got) - expected).abs() < 1e-6, "{} {}", got, expected);
            }
        }
        sums_to_the_score(&model, &x)?;
    }
}

/// A tree of `depth` conditions after each other, each on a feature of its own.
fn chain(depth: i64) -> Tree {
    (0..depth).rev().fold(Tree::Leaf(1.0), |rest, feature| {
        Tree::Split("BRANCH_LEQ", feature, 0.5, false, Box::new(rest), leaf(feature as f32 / 7.0))
    })
}

#[test]
fn the_deepest_trees_sum_to_the_score() {
    let model = Model::load(&Arrays::of(&[chain(64)]).bytes_for(64), 64).unwrap();
    let mut x = vec![0.0; 64];
    x.extend((0..64).map(|i| if i == 40 { 1.0 } else { 0.0 }));
    x.extend((0..64).map(|i| if i % 2 == 0 { 1.0 } else { f32::NAN }));
    assert_eq!(Explainer::new(&model).method(), ExplainMethod::TreeShap);
    sums_to_the_score(&model, &x).unwrap();
    // As likely as any other leaf is the one that only passes every condition.
    let base: f64 = ((0..64).map(|f| f as f64 / 7.0).sum::<f64>() + 1.0) / 65.0;
    assert_eq!(Explainer::new(&model).base(), base as f32);
}

#[test]
fn deeper_trees_are_explained_by_occlusion() {
    let model = Model::load(&Arrays::of(&[chain(65)]).bytes_for(65), 65).unwrap();
    assert_eq!(Explainer::new(&model).method(), ExplainMethod::Occlusion);
    let mut x = vec![0.0; 65];
    x[3] = 1.0;
    let contributions = Explainer::new(&model).contributions(&x);
    assert_eq!(contributions[3], (3.0f64 / 7.0) as f32 - 1.0);
    assert_eq!(contributions.iter().filter(|c| **c != 0.0).count(), 1);
}

#[test]
fn covers_weigh_the_expectation() {
    let tree = Tree::Split("BRANCH_LEQ", 0, 0.5, false, leaf(4.0), leaf(8.0));
    let explain = |hitrates: &[f32], more: &[(&'static str, &'static str)]| {
        let mut arrays = Arrays::of(std::slice::from_ref(&tree));
        arrays.hitrates = hitrates.to_vec();
        arrays.more = more.to_vec();
        let model = Model::load(&arrays.bytes(), 2).unwrap();
        let explainer = Explainer::new(&model);
        (explainer.base(), explainer.contributions(&[0.0, 0.0]))
    };
    assert_eq!(explain(&[4.0, 3.0, 1.0], &[]), (5.0, vec![-1.0, 0.0]));
    // Absent, all the same, or not what a count can be: a leaf is as likely as another.
    for hitrates in [&[][..], &[1.0; 3], &[4.0, 4.0, 0.0], &[1.0, f32::NAN, 1.0]] {
        assert_eq!(explain(hitrates, &[]), (6.0, vec![-2.0, 0.0]));
    }
}

#[test]
fn averages_and_bases() {
    let trees = [Tree::Split("BRANCH_LEQ", 0, 0.5, false, leaf(4.0), leaf(8.0)), Tree::Leaf(10.0)];
    let mut arrays = Arrays::of(&trees);
    arrays.base = vec![0.5];
    arrays.more = vec![("aggregate_function", "AVERAGE")];
    let model = Model::load(&arrays.bytes(), 2).unwrap();
    let explainer = Explainer::new(&model);
    assert_eq!((explainer.base(), explainer.contributions(&[1.0, 0.0])), (8.5, vec![1.0, 0.0]));
}

#[test]
fn occlusion_gives_the_rest_by_size() {
    // relu(x0 + x1 - 1) at (2, 1) is 2; losing x0 costs 2 and losing x1 costs 1, which is 1 too much.
    let model = Model::load(&dense(&[1.0, 1.0], -1.0), 2).unwrap();
    let explainer = Explainer::new(&model);
    assert_eq!(explainer.method(), ExplainMethod::Occlusion);
    assert_eq!(explainer.base(), 0.0);
    let third = 1.0 / 3.0;
    let expected = [2.0 - 2.0 * third, 1.0 - third, 0.0, 0.0, 0.0, 1.0];
    assert_eq!(explainer.contributions(&[2.0, 1.0, 0.0, 0.5, 0.0, 2.0]), expected.map(|x: f64| x as f32));
    sums_to_the_score(&model, &[2.0, 1.0, 0.5, 0.6, 0.6, 0.6, -3.0, 9.0]).unwrap();
    // relu(1 - x0 - x1) at (1, 1): each alone takes the base's 1 away, so that losing the other changes nothing.
    let model = Model::load(&dense(&[-1.0, -1.0], 1.0), 2).unwrap();
    assert_eq!(Explainer::new(&model).contributions(&[1.0, 1.0]), [-0.5, -0.5]);
}
