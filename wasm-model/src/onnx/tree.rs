//! TreeEnsembleRegressor.
//!
//! The score of a row is `base + sum of leaf weights`, trees in the order of their ids in the file, accumulated in `f64`
//! and rounded once to `f32`. Every kernel must follow that order, so that all agree to the bit.
//!
//! Nodes are laid out in preorder: the left child ("true") of a node is the next node, and both children come after it,
//! so that a walk always moves forward and ends.

use std::collections::BTreeMap;

use super::graph::Node;
use super::{ModelDescription, ModelError, logistic};

const OPERATOR: &str = "TreeEnsembleRegressor";
/// Most nodes of an ensemble.
const MAX_NODES: usize = 1 << 22;
/// Rows that are walked through one tree before the next one, while the tree is in the cache.
const BLOCK: usize = 64;

#[derive(Debug)]
pub(super) struct Ensemble {
    nodes: Vec<Split>,
    /// Index of each tree's root.
    roots: Vec<u32>,
    base: f64,
    /// What the sum is multiplied with: 1, or for AVERAGE one over the number of trees.
    scale: f64,
    logistic: bool,
    depth: u32,
    leaves: u32,
}

/// A node; a leaf where `mode` is [`Mode::Leaf`], then `threshold` is its weight.
#[derive(Clone, Copy, Debug)]
struct Split {
    threshold: f32,
    feature: u32,
    /// Where a row goes for which the condition is false; the next node otherwise.
    if_false: u32,
    mode: Mode,
    missing_is_true: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Leaf,
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// A node as the file has it.
struct Raw {
    feature: i64,
    threshold: f32,
    mode: Mode,
    if_true: i64,
    if_false: i64,
    missing_is_true: bool,
    weight: Option<f32>,
}

impl Ensemble {
    pub(super) fn read(node: &Node, n_features: u32) -> Result<Ensemble, ModelError> {
        let targets = node.int("n_targets", 1);
        if targets != 1 {
            return Err(refuse(format!("{targets} targets, expected 1")));
        }
        if ["nodes_values_as_tensor", "target_weights_as_tensor", "base_values_as_tensor"].iter().any(|a| node.has(a)) {
            return Err(refuse("double-precision tensors are not supported; export 32-bit floats".into()));
        }
        let trees = raw_trees(node, n_features)?;
        let average = match node.text("aggregate_function", "SUM") {
            "SUM" => false,
            "AVERAGE" => true,
            other => return Err(refuse(format!("aggregate_function {other} is not supported"))),
        };
        let logistic = match node.text("post_transform", "NONE") {
            "NONE" => false,
            "LOGISTIC" => true,
            other => return Err(refuse(format!("post_transform {other} is not supported"))),
        };
        let base = match node.floats("base_values") {
            [] => 0.0,
            [base] if base.is_finite() => f64::from(*base),
            other => return Err(refuse(format!("base_values {other:?}, expected one finite number"))),
        };
        let mut ensemble =
            Ensemble { nodes: Vec::new(), roots: Vec::new(), base, scale: 1.0, logistic, depth: 0, leaves: 0 };
        for (id, raw) in &trees {
            ensemble.lay_out(*id, raw)?;
        }
        if average {
            ensemble.scale = 1.0 / trees.len() as f64;
        }
        Ok(ensemble)
    }

    /// Appends one tree in preorder; refuses cycles, shared and unreachable nodes.
    fn lay_out(&mut self, tree: i64, raw: &BTreeMap<i64, Raw>) -> Result<(), ModelError> {
        let refuse_tree = |what: String| refuse(format!("tree {tree}: {what}"));
        let children = raw.values().filter(|n| n.mode != Mode::Leaf).flat_map(|n| [n.if_true, n.if_false]);
        let mut parents: BTreeMap<i64, u32> = raw.keys().map(|&id| (id, 0)).collect();
        for child in children {
            match parents.get_mut(&child) {
                Some(count) => *count += 1,
                None => return Err(refuse_tree(format!("there is no node {child}"))),
            }
        }
        if let Some((node, _)) = parents.iter().find(|(_, count)| **count > 1) {
            return Err(refuse_tree(format!("node {node} has more than one parent")));
        }
        let mut roots = parents.iter().filter(|(_, count)| **count == 0).map(|(node, _)| *node);
        let (Some(root), None) = (roots.next(), roots.next()) else {
            return Err(refuse_tree("it does not have exactly one root, so it has a cycle or loose nodes".into()));
        };
        self.roots.push(self.nodes.len() as u32);
        // Nodes to visit: id, depth, and the node whose `if_false` it is.
        let mut waiting: Vec<(i64, u32, Option<usize>)> = vec![(root, 0, None)];
        let mut visited = 0usize;
        while let Some((id, depth, parent)) = waiting.pop() {
            let at = self.nodes.len();
            if let Some(parent) = parent {
                self.nodes[parent].if_false = at as u32;
            }
            let node = &raw[&id];
            visited += 1;
            self.depth = self.depth.max(depth);
            let leaf = node.mode == Mode::Leaf;
            self.leaves += u32::from(leaf);
            self.nodes.push(Split {
                threshold: if leaf { node.weight.unwrap_or(0.0) } else { node.threshold },
                feature: if leaf { 0 } else { node.feature as u32 },
                if_false: at as u32,
                mode: node.mode,
                missing_is_true: node.missing_is_true,
            });
            if !leaf {
                waiting.push((node.if_false, depth + 1, Some(at)));
                waiting.push((node.if_true, depth + 1, None));
            }
        }
        if visited != raw.len() {
            return Err(refuse_tree("some nodes cannot be reached from its root".into()));
        }
        Ok(())
    }

    pub(super) fn score(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        for block in x.chunks(width * BLOCK) {
            let mut sums = [self.base; BLOCK];
            if self.scale != 1.0 {
                sums = [0.0; BLOCK];
            }
            let rows = block.len() / width;
            for &root in &self.roots {
                for (sum, row) in sums.iter_mut().zip(block.chunks_exact(width)) {
                    *sum += f64::from(self.walk(root, row));
                }
            }
            out.extend(sums[..rows].iter().map(|&sum| {
                let sum = if self.scale == 1.0 { sum } else { sum * self.scale + self.base };
                (if self.logistic { logistic(sum) } else { sum }) as f32
            }));
        }
    }

    fn walk(&self, root: u32, row: &[f32]) -> f32 {
        let mut at = root as usize;
        loop {
            let node = &self.nodes[at];
            let x = row[node.feature as usize];
            let holds = match node.mode {
                Mode::Leaf => return node.threshold,
                Mode::Leq => x <= node.threshold,
                Mode::Lt => x < node.threshold,
                Mode::Gte => x >= node.threshold,
                Mode::Gt => x > node.threshold,
                Mode::Eq => x == node.threshold,
                Mode::Neq => x != node.threshold && !x.is_nan(),
            };
            at = if holds || (node.missing_is_true && x.is_nan()) { at + 1 } else { node.if_false as usize };
        }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        ModelDescription { kind: "trees", trees: self.roots.len() as u32, parameters: self.leaves, depth: self.depth }
    }
}

/// The nodes of each tree, by tree and node id.
fn raw_trees(node: &Node, n_features: u32) -> Result<BTreeMap<i64, BTreeMap<i64, Raw>>, ModelError> {
    let (trees, ids) = (node.ints("nodes_treeids"), node.ints("nodes_nodeids"));
    let count = trees.len();
    if count == 0 || count > MAX_NODES {
        return Err(refuse(format!("{count} nodes; 1 to {MAX_NODES} are allowed")));
    }
    let same = |name: &str, len: usize| {
        if len == count { Ok(()) } else { Err(refuse(format!("`{name}` has {len} entries for {count} nodes"))) }
    };
    let (features, thresholds) = (node.ints("nodes_featureids"), node.floats("nodes_values"));
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
    let mut raw: BTreeMap<i64, BTreeMap<i64, Raw>> = BTreeMap::new();
    for (i, mode) in node.texts("nodes_modes").enumerate() {
        let name = || format!("tree {} node {}", trees[i], ids[i]);
        let mode = match mode {
            b"LEAF" => Mode::Leaf,
            b"BRANCH_LEQ" => Mode::Leq,
            b"BRANCH_LT" => Mode::Lt,
            b"BRANCH_GTE" => Mode::Gte,
            b"BRANCH_GT" => Mode::Gt,
            b"BRANCH_EQ" => Mode::Eq,
            b"BRANCH_NEQ" => Mode::Neq,
            other => {
                let mode: String = String::from_utf8_lossy(other).chars().take(40).collect();
                return Err(refuse(format!("{}: mode {mode} is unknown", name())));
            }
        };
        if mode != Mode::Leaf {
            if !(0..i64::from(n_features)).contains(&features[i]) {
                return Err(refuse(format!("{}: feature {} of {n_features}", name(), features[i])));
            }
            if thresholds[i].is_nan() {
                return Err(refuse(format!("{}: its threshold is NaN", name())));
            }
        }
        let node = Raw {
            feature: features[i],
            threshold: thresholds[i],
            mode,
            if_true: if_true[i],
            if_false: if_false[i],
            missing_is_true: missing.get(i).is_some_and(|&m| m != 0),
            weight: None,
        };
        if raw.entry(trees[i]).or_default().insert(ids[i], node).is_some() {
            return Err(refuse(format!("{} stands twice", name())));
        }
    }
    leaf_weights(node, &mut raw)?;
    Ok(raw)
}

fn leaf_weights(node: &Node, raw: &mut BTreeMap<i64, BTreeMap<i64, Raw>>) -> Result<(), ModelError> {
    let (trees, ids) = (node.ints("target_treeids"), node.ints("target_nodeids"));
    let (targets, weights) = (node.ints("target_ids"), node.floats("target_weights"));
    if [ids.len(), targets.len(), weights.len()].iter().any(|&n| n != trees.len()) {
        return Err(refuse("the lists of target weights have different lengths".into()));
    }
    for i in 0..trees.len() {
        let name = format!("tree {} node {}", trees[i], ids[i]);
        if targets[i] != 0 {
            return Err(refuse(format!("{name}: target {}, expected 0", targets[i])));
        }
        if !weights[i].is_finite() {
            return Err(refuse(format!("{name}: its weight is not finite")));
        }
        match raw.get_mut(&trees[i]).and_then(|tree| tree.get_mut(&ids[i])) {
            Some(node) if node.mode == Mode::Leaf && node.weight.is_none() => node.weight = Some(weights[i]),
            Some(node) if node.mode == Mode::Leaf => return Err(refuse(format!("{name} has two weights"))),
            Some(_) => return Err(refuse(format!("{name} has a weight but is no leaf"))),
            None => return Err(refuse(format!("{name} has a weight but does not exist"))),
        }
    }
    Ok(())
}

fn refuse(reason: String) -> ModelError {
    ModelError::Node { operator: OPERATOR, reason }
}
