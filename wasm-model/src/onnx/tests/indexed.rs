//! `TreeEnsemble` of ai.onnx.ml 5, and thresholds in double precision.

use super::writer::*;
use super::*;

/// A file of one branch and two leaves, to be broken.
#[derive(Clone)]
struct Indexed {
    roots: Vec<i64>,
    modes: Vec<u8>,
    features: Vec<i64>,
    splits: Vec<f64>,
    children: [Vec<i64>; 2],
    leaves: [Vec<i64>; 2],
    targets: Vec<i64>,
    weights: Vec<f64>,
    more: Vec<Message>,
}

impl Indexed {
    fn new(mode: u8, split: f64) -> Indexed {
        Indexed {
            roots: vec![0],
            modes: vec![mode],
            features: vec![0],
            splits: vec![split],
            children: [vec![0], vec![1]],
            leaves: [vec![1], vec![1]],
            targets: vec![0, 0],
            weights: vec![1.0, -1.0],
            more: Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let doubles = |name: &str, data: &[f64]| {
            let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
            raw_tensor(name, 11, data.len(), &raw)
        };
        let mut attributes = vec![
            ints("tree_roots", &self.roots),
            raw_tensor("nodes_modes", 2, self.modes.len(), &self.modes),
            ints("nodes_featureids", &self.features),
            doubles("nodes_splits", &self.splits),
            ints("nodes_truenodeids", &self.children[0]),
            ints("nodes_falsenodeids", &self.children[1]),
            ints("nodes_trueleafs", &self.leaves[0]),
            ints("nodes_falseleafs", &self.leaves[1]),
            ints("leaf_targetids", &self.targets),
            doubles("leaf_weights", &self.weights),
        ];
        attributes.extend_from_slice(&self.more);
        model(&[node("ai.onnx.ml", "TreeEnsemble", &["features"], "score", &attributes)], &[], 2, 5)
    }
}

/// An attribute that holds a tensor of raw bytes.
fn raw_tensor(name: &str, element: i64, len: usize, raw: &[u8]) -> Message {
    let tensor = Message::default().varint(1, len as i64).varint(2, element).bytes(9, raw);
    Message::default().bytes(1, name.as_bytes()).bytes(5, &tensor.0)
}

#[test]
fn every_branch_mode() {
    for (mode, expected) in [
        (0, [1.0, 1.0, -1.0, -1.0]),
        (1, [1.0, -1.0, -1.0, -1.0]),
        (2, [-1.0, 1.0, 1.0, -1.0]),
        (3, [-1.0, -1.0, 1.0, -1.0]),
        (4, [-1.0, 1.0, -1.0, -1.0]),
        (5, [1.0, -1.0, 1.0, 1.0]),
    ] {
        let bytes = Indexed::new(mode, 0.5).bytes();
        assert_eq!([0.1, 0.5, 0.9, f32::NAN].map(|x| score(&bytes, &[x, 0.0])), expected, "mode {mode}");
    }
}

#[test]
fn double_thresholds_divide_floats_as_doubles_do() {
    let near = 0.1f32;
    let numbers = [near.next_down(), near, near.next_up(), f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.0, -0.0];
    let exact = f64::from(near);
    for threshold in [exact, exact.next_down(), exact.next_up(), 0.1, 1e300, -1e300, 1e-320, -1e-320, 0.0] {
        for x in numbers {
            let wide = f64::from(x);
            for (mode, holds) in [
                (0, wide <= threshold),
                (1, wide < threshold),
                (2, wide >= threshold),
                (3, wide > threshold),
                (4, wide == threshold),
                (5, wide != threshold),
            ] {
                let got = score(&Indexed::new(mode, threshold).bytes(), &[x, 0.0]);
                assert_eq!(got, if holds { 1.0 } else { -1.0 }, "{x:e} in mode {mode} with {threshold:e}");
            }
        }
    }
}

#[test]
fn averages_and_a_leaf_alone() {
    let mut two = Indexed::new(0, 0.5);
    two.roots.push(1);
    two.modes.push(0);
    two.features.push(0);
    two.splits.push(0.0);
    for side in [0, 1] {
        two.children[side].push(2);
        two.leaves[side].push(1);
    }
    two.targets.push(0);
    two.weights.push(4.0);
    assert_eq!(score(&two.bytes(), &[0.0, 0.0]), 5.0);
    two.more.push(int("aggregate_function", 0));
    assert_eq!(score(&two.bytes(), &[0.0, 0.0]), 2.5);
}

#[test]
fn impossible_trees_are_refused() {
    let refused = |change: fn(&mut Indexed), says: &str| {
        let mut file = Indexed::new(0, 0.5);
        change(&mut file);
        let error = Model::load(&file.bytes(), 2).unwrap_err().to_string();
        assert!(error.starts_with("TreeEnsemble: ") && error.contains(says), "`{error}` does not say `{says}`");
    };
    refused(|f| f.modes[0] = 6, "BRANCH_MEMBER");
    refused(|f| f.modes[0] = 7, "mode 7");
    refused(|f| f.roots[0] = 1 << 31, "no node 2147483648");
    refused(|f| f.roots.clear(), "cannot be reached");
    refused(|f| f.roots.push(0), "also a root");
    refused(|f| f.children[0][0] = -1, "no leaf -1");
    refused(|f| f.children[0][0] = 2, "no leaf 2");
    refused(|f| f.leaves[0][0] = 0, "also a root");
    refused(|f| f.features[0] = 2, "feature 2 of 2");
    refused(|f| f.splits[0] = f64::NAN, "NaN");
    refused(|f| f.weights[1] = f64::INFINITY, "not finite");
    refused(|f| f.targets[1] = 1, "target 1 of 1");
    refused(|f| f.targets.clear(), "0 leaves");
    refused(|f| f.splits.push(0.0), "`nodes_splits` has 2 entries");
    refused(|f| f.more.push(int("aggregate_function", 2)), "MIN");
    refused(|f| f.more.push(int("aggregate_function", 3)), "MAX");
    refused(|f| f.more.push(int("post_transform", 4)), "PROBIT");
    refused(|f| f.more.push(int("n_targets", 1 << 31)), "2147483648 targets");
}
