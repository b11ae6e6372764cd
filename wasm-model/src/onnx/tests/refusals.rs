//! What is refused at load, and that the message names it.

use super::arrays::*;
use super::writer::*;
use super::*;

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let error = Model::load(bytes, 2).unwrap_err().to_string();
    assert!(error.contains(says), "`{error}` does not say `{says}`");
}

fn broken(change: impl FnOnce(&mut Arrays)) -> Vec<u8> {
    let mut arrays = Arrays::of(&[stump("BRANCH_LT", false), stump("BRANCH_LT", false)]);
    change(&mut arrays);
    arrays.bytes()
}

#[test]
fn impossible_trees_are_refused() {
    refused(&broken(|a| a.features[0] = 2), "feature 2 of 2");
    refused(&broken(|a| a.features[0] = -1), "feature -1 of 2");
    refused(&broken(|a| a.values[0] = f32::NAN), "NaN");
    refused(&broken(|a| a.modes[0] = "BRANCH_MEMBER"), "BRANCH_MEMBER");
    refused(&broken(|a| a.if_true[0] = 9), "no node 9");
    refused(&broken(|a| a.if_true[0] = 0), "cannot be reached");
    refused(&broken(|a| a.modes[0] = "LEAF"), "exactly one root");
    refused(&broken(|a| a.if_true[0] = a.if_false[0]), "exactly one root");
    refused(&broken(|a| a.ids[1] = 0), "stands twice");
    refused(&broken(|a| a.trees[2] = 7), "no node 2");
    refused(&broken(|a| a.weights[0] = f32::INFINITY), "not finite");
    refused(&broken(|a| a.targets[0] = 1), "target 1");
    refused(&broken(|a| a.leaf_ids[0] = 0), "no leaf");
    refused(&broken(|a| a.leaf_ids[0] = 99), "does not exist");
    refused(&broken(|a| a.leaf_ids[1] = a.leaf_ids[0]), "two weights");
    refused(&broken(|a| a.values.truncate(5)), "`nodes_values` has 5 entries");
    refused(&broken(|a| a.weights.truncate(3)), "different lengths");
    refused(&broken(|a| a.base = vec![1.0, 2.0]), "base_values");
    refused(&broken(|a| a.more.push(("aggregate_function", "MAX"))), "MAX");
    refused(&broken(|a| a.more.push(("post_transform", "PROBIT"))), "PROBIT");
    refused(&broken(|a| *a = Arrays::default()), "0 nodes");
}

#[test]
fn a_long_cycle_is_refused() {
    // Root 0 and its leaf 1; 2 and 3 have each other as parents.
    let bytes = broken(|a| {
        *a = Arrays::of(&[stump("BRANCH_LT", false)]);
        for (id, child) in [(3, 4), (4, 3)] {
            a.trees.push(0);
            a.ids.push(id);
            a.modes.push("BRANCH_LT");
            a.features.push(0);
            a.values.push(0.0);
            a.missing.push(0);
            a.if_true.push(child);
            a.if_false.push(child + 10);
        }
    });
    refused(&bytes, "no node");
}

#[test]
fn other_interfaces_operators_and_versions_are_refused_by_name() {
    let tree = || Arrays::of(&[stump("BRANCH_LT", false)]).bytes();
    assert!(Model::load(&tree(), 3).unwrap_err().to_string().contains("f32[n, 3]"));
    let regressor = |width, opset| {
        let attributes = [floats("coefficients", &[2.0, -1.0])];
        model(&[node("ai.onnx.ml", "LinearRegressor", &["features"], "score", &attributes)], &[], width, opset)
    };
    refused(&regressor(5, 3), "[0, 5]");
    refused(&regressor(2, 6), "newer than 5");
    refused(&model(&[node("", "Conv", &["features"], "score", &[])], &[], 2, 3), "Conv");
    refused(
        &model(&[node("ai.onnx.ml", "SVMRegressor", &["features"], "score", &[])], &[], 2, 3),
        "ai.onnx.ml.SVMRegressor",
    );
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[], 2, 3), "`w`, which is no constant");
    let wide = tensor("w", &[2, 2], &[0.0; 4]);
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[wide], 2, 3), "2 numbers a row");
    let infinite = tensor("w", &[2, 1], &[f32::INFINITY, 0.0]);
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[infinite], 2, 3), "not finite");
    let cut = tensor("w", &[3, 1], &[0.0; 2]);
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[cut], 2, 3), "does not fit its shape");
    refused(&[], "no graph");
    refused(b"not a model", "not an ONNX file");
}

/// A chain of branches as deep as it has nodes, and a graph as deep as it may be.
#[test]
fn depth_is_no_danger() {
    let mut tree = Tree::Leaf(0.5);
    for _ in 0..2_000 {
        tree = Tree::Split("BRANCH_LT", 0, 1.0, false, Box::new(tree), leaf(1.0));
    }
    assert_eq!(score(&Arrays::of(&[tree]).bytes(), &[0.0, 0.0]), 0.5);
    let names: Vec<String> = (0..2_000).map(|at| format!("v{at}")).collect();
    let nodes: Vec<Message> = names.windows(2).map(|pair| node("", "Relu", &[&pair[0]], &pair[1], &[])).collect();
    refused(&model(&nodes, &[], 2, 3), "too many nodes");
}

#[test]
fn claims_without_bytes_are_refused() {
    let mat_mul = || node("", "MatMul", &["features", "w"], "score", &[]);
    let huge = |shape: &[i64]| model(&[mat_mul()], &[tensor("w", shape, &[])], 2, 3);
    refused(&huge(&[1 << 31, 1 << 31]), "does not fit its shape");
    refused(&huge(&[1 << 62, 4]), "does not fit its shape");
    refused(&huge(&[2, -1]), "does not fit its shape");
    refused(&huge(&[0, 1 << 31]), "the value has 2");
    // A graph of 2^31 bytes that are not there.
    refused(&[0x3a, 0x80, 0x80, 0x80, 0x80, 0x08], "cut off");
    // Each Concat doubles its value.
    let names: Vec<String> = (0..40).map(|at| format!("v{at}")).collect();
    let concat = |from: &str, to: &str| node("", "Concat", &[from, from], to, &[int("axis", 1)]);
    let mut nodes = vec![concat("features", "v0")];
    nodes.extend(names.windows(2).map(|pair| concat(&pair[0], &pair[1])));
    refused(&model(&nodes, &[], 2, 3), "numbers a row");
    // Each value is as wide as it may be, and there are many.
    let names: Vec<String> = (0..40).map(|at| format!("v{at}")).collect();
    let wide = node("", "MatMul", &["features", "w"], "v0", &[]);
    let relu = names.windows(2).map(|pair| node("", "Relu", &[&pair[0]], &pair[1], &[]));
    let nodes: Vec<Message> = std::iter::once(wide).chain(relu).collect();
    let weights = tensor("w", &[2, 16_384], &vec![0.0; 2 * 16_384]);
    refused(&model(&nodes, &[weights], 2, 3), "Relu: a value of 16384 numbers a row");
}

#[test]
fn a_constant_that_many_layers_read_counts_for_each() {
    let (width, layers) = (1 << 10, 34);
    let names: Vec<String> = (0..layers).map(|at| format!("v{at}")).collect();
    let layer = |from: &str, to: &str, weights: &str| node("", "MatMul", &[from, weights], to, &[]);
    let mut nodes = vec![layer("features", "v0", "first")];
    nodes.extend(names.windows(2).map(|pair| layer(&pair[0], &pair[1], "w")));
    let first = tensor("first", &[2, width], &vec![0.0; 2 * width as usize]);
    let square = tensor("w", &[width, width], &vec![0.0; (width * width) as usize]);
    refused(&model(&nodes, &[first, square], 2, 3), "MatMul: its layers have more than 33554432 weights");
}

#[test]
fn where_numbers_are_is_told_by_one_field_or_by_a_location_that_is_not_the_default() {
    let weights = || tensor("w", &[2, 1], &[1.0, 2.0]);
    let with = |weights: Message| model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[weights], 2, 3);
    assert_eq!(score(&with(weights().varint(14, 0)), &[1.0, 1.0]), 3.0);
    for external in [weights().varint(14, 1), weights().varint(14, 2), weights().bytes(13, &[])] {
        refused(&with(external), "external tensor data");
    }
}

#[test]
fn a_long_name_is_cut() {
    let long = "x".repeat(100_000);
    for (domain, operator) in [("", long.as_str()), (&long, "Relu")] {
        let bytes = model(&[node(domain, operator, &["features"], "score", &[])], &[], 2, 3);
        let error = Model::load(&bytes, 2).unwrap_err().to_string();
        assert!(error.contains(&long[..80]) && error.len() < 300, "{} bytes", error.len());
    }
}

#[test]
fn graphs_that_are_not_in_order_are_refused() {
    let relu = |from: &str, to: &str| node("", "Relu", &[from], to, &[]);
    refused(&model(&[relu("b", "a"), relu("a", "b")], &[], 2, 3), "Relu: it reads `b`");
    refused(&model(&[relu("features", "a"), relu("features", "a")], &[], 2, 3), "made twice");
    refused(&model(&[relu("features", "a")], &[], 2, 3), "no node makes its output");
}
