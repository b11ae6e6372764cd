//! Reads the nodes of TreeEnsembleRegressor and TreeEnsembleClassifier: parallel arrays, nodes named by tree and id.

use std::collections::BTreeMap;

use super::arena::{Arena, Branch, MAX_NODES, Mode, Raw};
use super::shape::Tree;
use crate::onnx::graph::Node;

/// The names of the arrays with leaf weights.
struct Weights {
    trees: &'static str,
    nodes: &'static str,
    columns: &'static str,
    weights: &'static str,
    /// What messages call a column.
    column: &'static str,
}

const TARGETS: Weights = Weights {
    trees: "target_treeids",
    nodes: "target_nodeids",
    columns: "target_ids",
    weights: "target_weights",
    column: "target",
};

const CLASSES: Weights = Weights {
    trees: "class_treeids",
    nodes: "class_nodeids",
    columns: "class_ids",
    weights: "class_weights",
    column: "class",
};

/// The nodes, and each column's trees.
pub(super) fn read(
    node: &Node,
    n_features: u32,
    classifier: bool,
    columns: usize,
) -> Result<(Arena, Vec<Vec<Tree>>), String> {
    let (trees, ids) = (node.ints("nodes_treeids"), node.ints("nodes_nodeids"));
    let count = trees.len();
    if count == 0 || count > MAX_NODES {
        return Err(format!("{count} nodes; 1 to {MAX_NODES} are allowed"));
    }
    let same = |name: &str, len: usize| {
        if len == count { Ok(()) } else { Err(format!("`{name}` has {len} entries for {count} nodes")) }
    };
    let (features, thresholds) = (node.ints("nodes_featureids"), node.numbers("nodes_values"));
    let (if_true, if_false) = (node.ints("nodes_truenodeids"), node.ints("nodes_falsenodeids"));
    let missing = node.ints("nodes_missing_value_tracks_true");
    same("nodes_nodeids", ids.len())?;
    same("nodes_featureids", features.len())?;
    same("nodes_values", thresholds.len())?;
    same("nodes_modes", node.texts("nodes_modes").len())?;
    same("nodes_truenodeids", if_true.len())?;
    same("nodes_falsenodeids", if_false.len())?;
    if !missing.is_empty() {
        same("nodes_missing_value_tracks_true", missing.len())?;
    }
    let name = |i: usize| format!("tree {} node {}", trees[i], ids[i]);
    let mut at = BTreeMap::new();
    for i in 0..count {
        if at.insert((trees[i], ids[i]), i).is_some() {
            return Err(format!("{} stands twice", name(i)));
        }
    }
    let mut arena = Arena::default();
    for (i, mode) in node.texts("nodes_modes").enumerate() {
        let mode = mode_of(mode).map_err(|mode| format!("{}: mode {mode} is not supported", name(i)))?;
        let Some(mode) = mode else {
            arena.nodes.push(Raw::Leaf);
            continue;
        };
        let child = |id: i64| at.get(&(trees[i], id)).copied().ok_or(format!("{}: there is no node {id}", name(i)));
        if !(0..i64::from(n_features)).contains(&features[i]) {
            return Err(format!("{}: feature {} of {n_features}", name(i), features[i]));
        }
        if thresholds[i].is_nan() {
            return Err(format!("{}: its threshold is NaN", name(i)));
        }
        let branch = Branch {
            mode,
            feature: features[i] as u32,
            threshold: thresholds[i],
            missing_is_true: missing.get(i).is_some_and(|&m| m != 0),
        };
        arena.nodes.push(branch.split(child(if_true[i])?, child(if_false[i])?));
    }
    leaf_weights(node, if classifier { &CLASSES } else { &TARGETS }, columns, &at, &mut arena)?;
    // Trees in the order of their ids, each with the one node that no other leads to.
    let parents = arena.parents();
    if let Some(shared) = parents.iter().position(|&count| count > 1) {
        return Err(format!("{}: it has more than one parent", name(shared)));
    }
    let mut last = None;
    for (&(tree, _), &i) in &at {
        if parents[i] == 0 {
            if last == Some(tree) {
                return Err(format!("tree {tree}: it does not have exactly one root, so it has loose nodes"));
            }
            last = Some(tree);
            arena.roots.push(i);
        }
    }
    let trees_of = arena.lay_out(columns, name)?;
    Ok((arena, trees_of))
}

/// A branch mode, `None` for a leaf; else its name.
fn mode_of(name: &[u8]) -> Result<Option<Mode>, String> {
    match name {
        b"LEAF" => Ok(None),
        b"BRANCH_LEQ" => Ok(Some(Mode::Leq)),
        b"BRANCH_LT" => Ok(Some(Mode::Lt)),
        b"BRANCH_GTE" => Ok(Some(Mode::Gte)),
        b"BRANCH_GT" => Ok(Some(Mode::Gt)),
        b"BRANCH_EQ" => Ok(Some(Mode::Eq)),
        b"BRANCH_NEQ" => Ok(Some(Mode::Neq)),
        other => Err(String::from_utf8_lossy(other.get(..40).unwrap_or(other)).into_owned()),
    }
}

fn leaf_weights(
    node: &Node,
    names: &Weights,
    columns: usize,
    at: &BTreeMap<(i64, i64), usize>,
    arena: &mut Arena,
) -> Result<(), String> {
    let (trees, ids) = (node.ints(names.trees), node.ints(names.nodes));
    let (targets, weights) = (node.ints(names.columns), node.numbers(names.weights));
    if [ids.len(), targets.len(), weights.len()].iter().any(|&n| n != trees.len()) {
        return Err(format!("the lists of {} weights have different lengths", names.column));
    }
    for i in 0..trees.len() {
        let name = format!("tree {} node {}", trees[i], ids[i]);
        if !(0..columns as i64).contains(&targets[i]) {
            return Err(format!("{name}: {} {} of {columns}", names.column, targets[i]));
        }
        if !weights[i].is_finite() {
            return Err(format!("{name}: its weight is not finite"));
        }
        let Some(&leaf) = at.get(&(trees[i], ids[i])) else {
            return Err(format!("{name} has a weight but does not exist"));
        };
        if !matches!(arena.nodes[leaf], Raw::Leaf) {
            return Err(format!("{name} has a weight but is no leaf"));
        }
        if arena.weights.insert((targets[i] as u32, leaf), weights[i]).is_some() {
            return Err(format!("{name} has two weights"));
        }
    }
    Ok(())
}
