//! Trees of tests, written as the arrays of a TreeEnsembleRegressor.

use proptest::prelude::*;

use super::writer::*;

/// A node of a test's tree: a leaf's weight, or mode, feature, threshold, missing, if true, if false.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Leaf(f32),
    Split(&'static str, i64, f32, bool, Box<Tree>, Box<Tree>),
}

/// The arrays of a TreeEnsembleRegressor.
#[derive(Clone, Default)]
pub(crate) struct Arrays {
    pub(super) trees: Vec<i64>,
    pub(super) ids: Vec<i64>,
    pub(super) features: Vec<i64>,
    pub(super) values: Vec<f32>,
    pub(super) modes: Vec<&'static str>,
    pub(super) if_true: Vec<i64>,
    pub(super) if_false: Vec<i64>,
    pub(super) missing: Vec<i64>,
    pub(super) leaf_trees: Vec<i64>,
    pub(super) leaf_ids: Vec<i64>,
    pub(super) targets: Vec<i64>,
    pub(super) weights: Vec<f32>,
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

    pub(super) fn add(&mut self, tree: i64, node: &Tree, next: &mut i64) -> i64 {
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

/// Whether a number passes a branch; a missing number is unequal to every value.
pub(crate) fn holds(mode: &str, x: f32, value: f32, missing: bool) -> bool {
    match mode {
        _ if x.is_nan() => missing || mode == "BRANCH_NEQ",
        "BRANCH_LEQ" => x <= value,
        "BRANCH_LT" => x < value,
        "BRANCH_GTE" => x >= value,
        "BRANCH_GT" => x > value,
        "BRANCH_EQ" => x == value,
        _ => x != value,
    }
}

pub(crate) fn leaf(weight: f32) -> Box<Tree> {
    Box::new(Tree::Leaf(weight))
}

pub(super) fn stump(mode: &'static str, missing: bool) -> Tree {
    Tree::Split(mode, 1, 0.5, missing, leaf(1.0), leaf(-1.0))
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
