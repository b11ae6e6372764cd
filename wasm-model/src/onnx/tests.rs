//! Models are built with a small protobuf writer, so that every rule can be broken on purpose.

use proptest::prelude::*;

use super::*;

/// A protobuf message being written.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, number: u32, value: i64) -> Self {
        self.key(number, 0);
        self.raw_varint(value as u64);
        self
    }

    fn float(mut self, number: u32, value: f32) -> Self {
        self.key(number, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        self.key(number, 2);
        self.raw_varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn key(&mut self, number: u32, wire: u32) {
        self.raw_varint(u64::from(number << 3 | wire));
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, &v| m.varint(8, v))
}

fn floats(name: &str, values: &[f32]) -> Message {
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, &v| m.float(7, v))
}

fn texts(name: &str, values: &[&str]) -> Message {
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, v| m.bytes(9, v.as_bytes()))
}

fn text(name: &str, value: &str) -> Message {
    Message::default().bytes(1, name.as_bytes()).bytes(4, value.as_bytes())
}

fn int(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name.as_bytes()).varint(3, value)
}

fn node(domain: &str, operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i.as_bytes()));
    let node = node.bytes(2, output.as_bytes()).bytes(4, operator.as_bytes()).bytes(7, domain.as_bytes());
    attributes.iter().fold(node, |m, a| m.bytes(5, &a.0))
}

fn port(name: &str, element: i64, columns: i64) -> Message {
    let shape = Message::default()
        .bytes(1, &Message::default().bytes(2, b"N").0)
        .bytes(1, &Message::default().varint(1, columns).0);
    let tensor = Message::default().varint(1, element).bytes(2, &shape.0);
    Message::default().bytes(1, name.as_bytes()).bytes(2, &Message::default().bytes(1, &tensor.0).0)
}

fn tensor(name: &str, shape: &[i64], data: &[f32]) -> Message {
    let m = shape.iter().fold(Message::default(), |m, &d| m.varint(1, d)).varint(2, 1).bytes(8, name.as_bytes());
    let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    m.bytes(9, &raw)
}

fn model(nodes: &[Message], initializers: &[Message], width: i64, ml_opset: i64) -> Vec<u8> {
    let graph = nodes.iter().fold(Message::default(), |m, n| m.bytes(1, &n.0));
    let graph = initializers.iter().fold(graph, |m, t| m.bytes(5, &t.0));
    let graph = graph.bytes(11, &port("features", 1, width).0).bytes(12, &port("score", 1, 1).0);
    let opset = |domain: &str, v| Message::default().bytes(1, domain.as_bytes()).varint(2, v);
    Message::default()
        .varint(1, 8)
        .bytes(7, &graph.0)
        .bytes(8, &opset("", 17).0)
        .bytes(8, &opset("ai.onnx.ml", ml_opset).0)
        .0
}

/// A node of a test's tree: a leaf's weight, or mode, feature, threshold, missing, if true, if false.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Leaf(f32),
    Split(&'static str, i64, f32, bool, Box<Tree>, Box<Tree>),
}

/// The arrays of a TreeEnsembleRegressor.
#[derive(Clone, Default)]
pub(crate) struct Arrays {
    trees: Vec<i64>,
    ids: Vec<i64>,
    features: Vec<i64>,
    values: Vec<f32>,
    modes: Vec<&'static str>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
    missing: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_ids: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
    pub(crate) more: Vec<(&'static str, &'static str)>,
    pub(crate) base: Vec<f32>,
    pub(crate) hitrates: Vec<f32>,
}

impl Arrays {
    pub(crate) fn of(trees: &[Tree]) -> Arrays {
        let mut arrays = Arrays::default();
        for (id, tree) in trees.iter().enumerate() {
            arrays.add(id as i64, tree, &mut 0);
        }
        arrays
    }

    fn add(&mut self, tree: i64, node: &Tree, next: &mut i64) -> i64 {
        let (id, at) = (*next, self.ids.len());
        *next += 1;
        self.trees.push(tree);
        self.ids.push(id);
        let (mode, feature, value, missing) = match node {
            Tree::Leaf(_) => ("LEAF", 0, 0.0, false),
            Tree::Split(mode, feature, value, missing, ..) => (*mode, *feature, *value, *missing),
        };
        self.modes.push(mode);
        self.features.push(feature);
        self.values.push(value);
        self.missing.push(i64::from(missing));
        self.if_true.push(0);
        self.if_false.push(0);
        match node {
            Tree::Leaf(weight) => {
                self.leaf_trees.push(tree);
                self.leaf_ids.push(id);
                self.targets.push(0);
                self.weights.push(*weight);
            }
            Tree::Split(.., a, b) => {
                self.if_true[at] = self.add(tree, a, next);
                self.if_false[at] = self.add(tree, b, next);
            }
        }
        id
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_for(2)
    }

    /// The file for vectors of `width` numbers.
    pub(crate) fn bytes_for(&self, width: i64) -> Vec<u8> {
        let mut attributes = vec![
            ints("nodes_treeids", &self.trees),
            ints("nodes_nodeids", &self.ids),
            ints("nodes_featureids", &self.features),
            floats("nodes_values", &self.values),
            texts("nodes_modes", &self.modes),
            ints("nodes_truenodeids", &self.if_true),
            ints("nodes_falsenodeids", &self.if_false),
            ints("nodes_missing_value_tracks_true", &self.missing),
            ints("target_treeids", &self.leaf_trees),
            ints("target_nodeids", &self.leaf_ids),
            ints("target_ids", &self.targets),
            floats("target_weights", &self.weights),
            floats("base_values", &self.base),
            floats("nodes_hitrates", &self.hitrates),
        ];
        attributes.extend(self.more.iter().map(|(name, value)| text(name, value)));
        model(&[node("ai.onnx.ml", "TreeEnsembleRegressor", &["features"], "score", &attributes)], &[], width, 3)
    }
}

pub(crate) fn leaf(weight: f32) -> Box<Tree> {
    Box::new(Tree::Leaf(weight))
}

fn stump(mode: &'static str, missing: bool) -> Tree {
    Tree::Split(mode, 1, 0.5, missing, leaf(1.0), leaf(-1.0))
}

/// `relu(weights . x + bias)` of two numbers.
pub(crate) fn dense(weights: &[f32; 2], bias: f32) -> Vec<u8> {
    let nodes = [node("", "Gemm", &["features", "w", "b"], "h", &[]), node("", "Relu", &["h"], "score", &[])];
    model(&nodes, &[tensor("w", &[2, 1], weights), tensor("b", &[1], &[bias])], 2, 3)
}

fn score(bytes: &[u8], row: &[f32]) -> f32 {
    let mut out = Vec::new();
    Model::load(bytes, row.len() as u32).unwrap().score(row, &mut out);
    out[0]
}

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
            assert_eq!(got, [below, equal, above, if missing { 1.0 } else { -1.0 }], "{mode}");
        }
    }
}

#[test]
fn sums_averages_bases_and_the_logistic() {
    let trees = [stump("BRANCH_LT", false), Tree::Leaf(0.25)];
    let with = |more: &[(&'static str, &'static str)]| {
        Arrays { more: more.to_vec(), base: vec![2.0], ..Arrays::of(&trees) }.bytes()
    };
    assert_eq!(score(&with(&[]), &[0.0, 0.0]), 3.25);
    assert_eq!(score(&with(&[("aggregate_function", "AVERAGE")]), &[0.0, 0.0]), 2.625);
    assert_eq!(score(&with(&[("post_transform", "LOGISTIC")]), &[0.0, 0.0]), logistic(3.25) as f32);
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
    refused(&broken(|a| a.if_true[0] = a.if_false[0]), "more than one parent");
    refused(&broken(|a| a.ids[1] = 0), "stands twice");
    refused(&broken(|a| a.trees[2] = 7), "does not exist");
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
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[], 2, 3), "`w` is not a constant");
    let wide = tensor("w", &[2, 2], &[0.0; 4]);
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[wide], 2, 3), "2 numbers a row");
    let infinite = tensor("w", &[2, 1], &[f32::INFINITY, 0.0]);
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[infinite], 2, 3), "not finite");
    let cut = tensor("w", &[3, 1], &[0.0; 2]);
    refused(&model(&[node("", "MatMul", &["features", "w"], "score", &[])], &[cut], 2, 3), "does not fit its shape");
    refused(&[], "no graph");
    refused(b"not a model", "not an ONNX file");
}

pub(crate) fn any_number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -2.0f32..2.0,
        1 => prop::sample::select(vec![0.0, -0.0, 0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, f32::MAX]),
    ]
}

pub(crate) fn any_tree() -> impl Strategy<Value = Tree> {
    let modes = vec!["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
    (-1.0f32..1.0).prop_map(Tree::Leaf).prop_recursive(6, 40, 2, move |inner| {
        let threshold = any_number().prop_filter("thresholds are not NaN", |x| !x.is_nan());
        (prop::sample::select(modes.clone()), 0i64..2, threshold, any::<bool>(), inner.clone(), inner).prop_map(
            |(mode, feature, value, missing, a, b)| {
                Tree::Split(mode, feature, value, missing, Box::new(a), Box::new(b))
            },
        )
    })
}

fn walk(tree: &Tree, row: &[f32]) -> f32 {
    match tree {
        Tree::Leaf(weight) => *weight,
        Tree::Split(mode, feature, value, missing, a, b) => {
            let x = row[*feature as usize];
            let holds = match *mode {
                _ if x.is_nan() => *missing,
                "BRANCH_LEQ" => x <= *value,
                "BRANCH_LT" => x < *value,
                "BRANCH_GTE" => x >= *value,
                "BRANCH_GT" => x > *value,
                "BRANCH_EQ" => x == *value,
                _ => x != *value,
            };
            walk(if holds { a } else { b }, row)
        }
    }
}

/// A tree of 1 to 300 leaves that asks one kind of question.
fn binary_tree() -> impl Strategy<Value = Tree> {
    let mode = prop::sample::select(vec!["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]);
    (mode, 0usize..300, any::<u64>()).prop_map(|(mode, splits, seed)| {
        let mut state = seed | 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut tree = Tree::Leaf(0.5);
        for _ in 0..splits {
            // Grow a random leaf.
            let mut at = &mut tree;
            while let Tree::Split(.., a, b) = at {
                at = if next() % 2 == 0 { a } else { b };
            }
            let threshold = next() as f32 / (1u32 << 29) as f32 - 2.0;
            let weight = |n: u32| n as f32 / (1u32 << 30) as f32 - 1.0;
            let (a, b) = (leaf(weight(next())), leaf(weight(next())));
            *at = Tree::Split(mode, i64::from(next() % 2), threshold, next() % 3 == 0, a, b);
        }
        tree
    })
}

fn equals_a_plain_walk(trees: &[Tree], rows: &[(f32, f32)]) -> Result<(), TestCaseError> {
    let model = Model::load(&Arrays::of(trees).bytes(), 2).unwrap();
    let x: Vec<f32> = rows.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let mut got = Vec::new();
    model.score(&x, &mut got);
    for (row, got) in x.chunks(2).zip(&got) {
        let mut sum = 0.0f64;
        for tree in trees {
            sum += f64::from(walk(tree, row));
        }
        prop_assert_eq!(got.to_bits(), (sum as f32).to_bits());
    }
    prop_assert_eq!(got.len(), rows.len());
    Ok(())
}

proptest! {
    #[test]
    fn kernels_equal_a_plain_walk_bit_for_bit(
        trees in prop::collection::vec(any_tree(), 1..8),
        rows in prop::collection::vec((any_number(), any_number()), 1..150),
    ) {
        equals_a_plain_walk(&trees, &rows)?;
    }

    /// As trees are in practice: `<=` or `<` throughout, so that bit vectors run all but the largest.
    #[test]
    fn kernels_of_every_size_equal_a_plain_walk_bit_for_bit(
        trees in prop::collection::vec(binary_tree(), 1..40),
        rows in prop::collection::vec((any_number(), any_number()), 1..150),
    ) {
        equals_a_plain_walk(&trees, &rows)?;
    }

    #[test]
    fn altered_files_never_panic(trees in prop::collection::vec(any_tree(), 1..4), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = Arrays::of(&trees).bytes();
        let whole = bytes.len();
        for (at, value) in flips {
            bytes[at.index(whole)] = value;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(whole)]] {
            if let Ok(model) = Model::load(bytes, 2) {
                model.score(&[0.5, f32::NAN, -1.0, 1e30], &mut Vec::new());
            }
        }
    }
}
