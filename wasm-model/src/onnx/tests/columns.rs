//! Heads of several columns, with a chain that picks one; numbers in tables are onnxruntime 1.32's.

use super::writer::*;
use super::*;

/// onnxruntime computes in 32-bit floats; its numbers here are below 2.
const ONNXRUNTIME: f32 = 2e-7;

/// `x[0] <= 0.5` of a tree with two leaves, and leaf weights as (leaf, class, weight).
fn stump(classifier: bool, weights: &[(i64, i64, f32)], more: &[Message]) -> Message {
    let names = if classifier {
        ["class_treeids", "class_nodeids", "class_ids", "class_weights"]
    } else {
        ["target_treeids", "target_nodeids", "target_ids", "target_weights"]
    };
    let mut attributes = vec![
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        texts("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints(names[0], &vec![0; weights.len()]),
        ints(names[1], &weights.iter().map(|w| w.0).collect::<Vec<_>>()),
        ints(names[2], &weights.iter().map(|w| w.1).collect::<Vec<_>>()),
        floats(names[3], &weights.iter().map(|w| w.2).collect::<Vec<_>>()),
    ];
    attributes.extend_from_slice(more);
    head(if classifier { "TreeEnsembleClassifier" } else { "TreeEnsembleRegressor" }, &attributes)
}

/// A head that writes `all`; a classifier writes a label too.
fn head(operator: &str, attributes: &[Message]) -> Message {
    let node = Message::default().bytes(1, b"features");
    let node = if operator.ends_with("Classifier") { node.bytes(2, b"label") } else { node };
    let node = node.bytes(2, b"all").bytes(4, operator.as_bytes()).bytes(7, b"ai.onnx.ml");
    attributes.iter().fold(node, |node, attribute| node.bytes(5, &attribute.0))
}

fn one_hot(columns: usize, column: usize) -> Vec<f32> {
    (0..columns).map(|c| if c == column { 1.0 } else { 0.0 }).collect()
}

/// Every column of a head for the rows 0.5 and 0.9.
fn columns(head: &Message, count: usize) -> Vec<[f32; 2]> {
    let column = |column: usize| {
        let weights = tensor("w", &[count as i64, 1], &one_hot(count, column));
        let bytes = model(&[head.clone(), node("", "MatMul", &["all", "w"], "score", &[])], &[weights], 2, 3);
        [0.5, 0.9].map(|x| score(&bytes, &[x, 0.0]))
    };
    (0..count).map(column).collect()
}

#[track_caller]
fn agree(head: &Message, first: &[f32], second: &[f32]) {
    for (column, got) in columns(head, first.len()).into_iter().enumerate() {
        for (got, expected) in got.into_iter().zip([first[column], second[column]]) {
            assert!((got - expected).abs() <= ONNXRUNTIME, "column {column}: {got}, expected {expected}");
        }
    }
}

#[test]
fn a_classifier_with_weights_for_one_of_two_classes() {
    let labels = ints("classlabels_int64s", &[0, 1]);
    let binary = |weights: [f32; 2], transform: &str, base: &[f32]| {
        let more = [labels.clone(), text("post_transform", transform), floats("base_values", base)];
        stump(true, &[(1, 0, weights[0]), (2, 0, weights[1])], &more)
    };
    let (mixed, votes) = ([1.0, -1.0], [0.25, 0.75]);
    agree(&binary(mixed, "NONE", &[]), &[-1.0, 1.0], &[1.0, -1.0]);
    agree(&binary(mixed, "NONE", &[0.125]), &[-1.125, 1.125], &[0.875, -0.875]);
    agree(&binary(mixed, "LOGISTIC", &[0.125]), &[0.245_085, 0.754_915], &[0.705_785, 0.294_214_96]);
    agree(&binary(mixed, "SOFTMAX", &[]), &[-1.0, 1.0], &[1.0, -1.0]);
    agree(&binary(votes, "NONE", &[]), &[0.75, 0.25], &[0.25, 0.75]);
    agree(&binary(votes, "SOFTMAX_ZERO", &[0.125]), &[0.625, 0.375], &[0.125, 0.875]);
    agree(&binary(votes, "LOGISTIC", &[]), &[0.437_823_47, 0.562_176_5], &[0.320_821_3, 0.679_178_7]);
}

#[test]
fn a_classifier_with_weights_for_each_class() {
    let two = |transform: &str| {
        let weights = [(1, 0, 0.25), (1, 1, -0.5), (2, 0, 1.0), (2, 1, 2.0)];
        stump(true, &weights, &[ints("classlabels_int64s", &[0, 1]), text("post_transform", transform)])
    };
    agree(&two("NONE"), &[0.25, -0.5], &[1.0, 2.0]);
    agree(&two("LOGISTIC"), &[0.562_176_5, 0.377_540_65], &[0.731_058_6, 0.880_797]);
    agree(&two("SOFTMAX"), &[0.679_178_7, 0.320_821_3], &[0.268_941_43, 0.731_058_6]);
    let three = |base: &[f32]| {
        let more = [
            ints("classlabels_int64s", &[0, 1, 2]),
            text("post_transform", "SOFTMAX_ZERO"),
            floats("base_values", base),
        ];
        stump(true, &[(1, 0, 0.25), (2, 1, -0.5)], &more)
    };
    agree(&three(&[]), &[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0]);
    let (first, second) = ([0.306_157_1, 0.346_921_44, 0.346_921_44], [0.407_333_37, 0.0, 0.592_666_6]);
    agree(&three(&[0.125, 0.5, 0.5]), &first, &second);
}

#[test]
fn a_regressor_of_two_targets() {
    let transform = text("post_transform", "LOGISTIC");
    let head = stump(false, &[(1, 0, 1.0), (2, 1, -1.0)], &[int("n_targets", 2), transform]);
    agree(&head, &[0.731_058_6, 0.5], &[0.5, 0.268_941_4]);
}

#[test]
fn one_score_stays_as_it_is_before_a_chain_too() {
    let head = stump(false, &[(1, 0, 1.0), (2, 0, -1.0)], &[text("post_transform", "LOGISTIC")]);
    agree(&head, &[1.0], &[-1.0]);
}

#[test]
fn linear_classifiers() {
    let linear = |coefficients: &[f32], intercepts: &[f32], transform: &str| {
        let attributes = [
            floats("coefficients", coefficients),
            floats("intercepts", intercepts),
            ints("classlabels_ints", &[0, 1]),
            text("post_transform", transform),
        ];
        head("LinearClassifier", &attributes)
    };
    // The scores are 1.5 and 2.3.
    agree(&linear(&[2.0, 0.0], &[0.5], "NONE"), &[-0.5, 1.5], &[-1.3, 2.3]);
    agree(&linear(&[2.0, 0.0], &[0.5], "LOGISTIC"), &[0.182_425_56, 0.817_574_44], &[0.091_122_96, 0.908_877]);
    let both = linear(&[-2.0, 0.0, 2.0, 0.0], &[-0.5, 0.5], "SOFTMAX");
    agree(&both, &[0.047_425_87, 0.952_574_1], &[0.009_951_8, 0.990_048_2]);
}

/// Picking one column of a head needs no graph: the sum behind it can be explained.
#[test]
fn a_single_column_is_the_same_alone_and_in_a_graph() {
    let labels = ints("classlabels_int64s", &[0, 1]);
    let logistic = text("post_transform", "LOGISTIC");
    let binary = stump(true, &[(1, 0, 1.0), (2, 0, -3.0)], &[labels, logistic.clone()]);
    let targets = stump(false, &[(1, 0, 1.0), (2, 1, -3.0)], &[int("n_targets", 2), logistic]);
    for (head, column, raw) in [(&binary, 1, [1.0, -3.0]), (&targets, 0, [1.0, 0.0]), (&targets, 1, [0.0, -3.0])] {
        let place = Message::default().varint(1, 1).varint(2, 7).varint(7, column).bytes(8, b"place");
        let gather = node("", "Gather", &["all", "place"], "score", &[int("axis", 1)]);
        let alone =
            Model::load(&model(&[head.clone(), gather.clone()], std::slice::from_ref(&place), 2, 3), 2).unwrap();
        let other = node("", "Mul", &["features", "features"], "unused", &[]);
        let graph = Model::load(&model(&[head.clone(), other, gather], &[place], 2, 3), 2).unwrap();
        assert!(alone.exact().is_some() && graph.exact().is_none());
        let scores = |model: &Model| {
            let mut scores = Vec::new();
            model.score(&[0.5, 0.0, 0.9, 0.0], &mut scores);
            scores.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(scores(&alone), scores(&graph));
        let mut sums = Vec::new();
        alone.raw(&[0.5, 0.0, 0.9, 0.0], &mut sums);
        assert_eq!(sums, raw);
    }
}

#[test]
fn a_head_may_be_followed_by_other_layers_and_gather() {
    let head = stump(false, &[(1, 0, 1.0), (2, 1, -1.0)], &[int("n_targets", 2)]);
    let tail = [
        node("", "Concat", &["all", "features"], "wide", &[int("axis", 1)]),
        node("", "Gather", &["wide", "places"], "two", &[int("axis", 1)]),
        node("", "Sub", &["one", "two"], "less", &[]),
        node("", "Div", &["less", "half"], "twice", &[]),
        node("", "Softmax", &["twice"], "share", &[int("axis", -1)]),
        node("", "Mul", &["share", "twice"], "each", &[]),
        node("", "MatMul", &["each", "w"], "score", &[]),
    ];
    let places = [0i64, -1].iter().fold(Message::default().varint(1, 2).varint(2, 7), |m, &at| m.varint(7, at));
    let constants = [
        places.bytes(8, b"places"),
        tensor("one", &[], &[1.0]),
        tensor("half", &[2], &[0.5, 0.5]),
        tensor("w", &[2, 1], &[1.0, 1.0]),
    ];
    let nodes: Vec<Message> = std::iter::once(head).chain(tail).collect();
    let bytes = model(&nodes, &constants, 2, 3);
    // Column 0 of the head is 1 and the last feature 1: both numbers are 0. At 0.9 they are 2 and 0.
    assert_eq!(score(&bytes, &[0.5, 1.0]), 0.0);
    let e = 1.0f64 / (1.0 + libm::exp(-2.0));
    assert!((score(&bytes, &[0.9, 1.0]) - (2.0 * e) as f32).abs() <= ONNXRUNTIME);
    assert!(!Model::load(&bytes, 2).unwrap().handles_missing());
}

#[test]
fn what_is_not_clear_is_refused() {
    let pick = |head: &Message| {
        let weights = tensor("w", &[2, 1], &[0.0, 1.0]);
        model(&[head.clone(), node("", "MatMul", &["all", "w"], "score", &[])], &[weights], 2, 3)
    };
    let refused = |head: &Message, says: &str| {
        let error = Model::load(&pick(head), 2).unwrap_err().to_string();
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    };
    let labels = ints("classlabels_int64s", &[0, 1]);
    let one = [(1, 0, 1.0), (2, 0, -1.0)];
    refused(&stump(true, &one, &[labels.clone(), floats("base_values", &[0.1, 0.2])]), "two base_values");
    let both = [(1, 0, 1.0), (1, 1, 1.0), (2, 0, 1.0), (2, 1, -1.0)];
    refused(&stump(true, &both, &[labels.clone(), floats("base_values", &[0.1])]), "base_values");
    refused(&stump(true, &[(1, 0, 1.0), (2, 1, 1.0)], std::slice::from_ref(&labels)), "second of two classes");
    refused(&stump(true, &one, &[]), "0 class labels");
    refused(&stump(true, &[(1, 2, 1.0)], std::slice::from_ref(&labels)), "class 2 of 2");
    refused(&stump(true, &one, &[labels, text("post_transform", "PROBIT")]), "PROBIT");
    refused(&stump(false, &one, &[int("n_targets", 1 << 31)]), "2147483648 targets");
    refused(&head("LinearClassifier", &[floats("coefficients", &[1.0; 3])]), "3 coefficients");
    let label = [stump(true, &one, &[ints("classlabels_int64s", &[0, 1])]), node("", "Relu", &["label"], "score", &[])];
    let error = Model::load(&model(&label, &[], 2, 3), 2).unwrap_err().to_string();
    assert!(error.contains("a classifier's label"), "{error}");
}
