//! Reads a TreeEnsembleRegressor: every index, cycle and number is checked here, once.

use shared_features::order;
use tree_kernels::{self as shape, Split, Test, Tree};

use crate::onnx::ModelError;
use crate::onnx::graph::Node;

const OPERATOR: &str = "TreeEnsembleRegressor";
/// Most nodes of an ensemble.
const MAX_NODES: usize = 1 << 22;

/// What a file says.
pub(super) struct File {
    /// By id.
    pub(super) trees: Vec<Tree>,
    pub(super) base: f64,
    pub(super) average: bool,
    pub(super) logistic: bool,
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
    tree: i64,
    id: i64,
    feature: i64,
    threshold: f32,
    mode: Mode,
    if_true: i64,
    if_false: i64,
    missing_is_true: bool,
    weight: Option<f32>,
    hitrate: Option<f32>,
}

pub(super) fn read(node: &Node, n_features: u32) -> Result<File, ModelError> {
    let targets = node.int("n_targets", 1);
    if targets != 1 {
        return Err(refuse(format!("{targets} targets, expected 1")));
    }
    if ["nodes_values_as_tensor", "target_weights_as_tensor", "base_values_as_tensor"].iter().any(|a| node.has(a)) {
        return Err(refuse("double-precision tensors are not supported; export 32-bit floats".into()));
    }
    let nodes = raw_nodes(node, n_features)?;
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
    let trees = nodes.chunk_by(|a, b| a.tree == b.tree).map(lay_out).collect::<Result<_, _>>()?;
    Ok(File { trees, base, average, logistic })
}

impl Raw {
    /// Its condition, and the children for which it holds and does not.
    fn split(&self) -> (Split, i64, i64) {
        let (test, swapped) = match self.mode {
            Mode::Leaf | Mode::Leq => (Test::AtMost(self.threshold), false),
            Mode::Lt => (Test::below(self.threshold), false),
            Mode::Gte => (Test::below(self.threshold), true),
            Mode::Gt => (Test::AtMost(self.threshold), true),
            Mode::Eq => (Test::Equals(self.threshold), false),
            Mode::Neq => (Test::Equals(self.threshold), true),
        };
        let missing = self.missing_is_true != swapped;
        let split = Split { feature: self.feature as u32, test, missing, otherwise: 0 };
        if swapped { (split, self.if_false, self.if_true) } else { (split, self.if_true, self.if_false) }
    }
}

/// Puts the nodes of one tree, sorted by id, into preorder; refuses cycles, shared and unreachable nodes.
fn lay_out(raw: &[Raw]) -> Result<Tree, ModelError> {
    let refuse_tree = |what: String| refuse(format!("tree {}: {what}", raw[0].tree));
    let place =
        |id: i64| raw.binary_search_by(|n| n.id.cmp(&id)).map_err(|_| refuse_tree(format!("there is no node {id}")));
    let mut parents = vec![0u32; raw.len()];
    for child in raw.iter().filter(|n| n.mode != Mode::Leaf).flat_map(|n| [n.if_true, n.if_false]) {
        parents[place(child)?] += 1;
    }
    if let Some(shared) = parents.iter().position(|count| *count > 1) {
        return Err(refuse_tree(format!("node {} has more than one parent", raw[shared].id)));
    }
    let mut roots = (0..raw.len()).filter(|&k| parents[k] == 0);
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err(refuse_tree("it does not have exactly one root, so it has a cycle or loose nodes".into()));
    };
    let mut nodes: Vec<shape::Node> = Vec::with_capacity(raw.len());
    let mut covers = Vec::new();
    // Nodes to visit, and the node whose `otherwise` each is.
    let mut waiting: Vec<(usize, Option<usize>)> = vec![(root, None)];
    while let Some((k, parent)) = waiting.pop() {
        let at = nodes.len();
        if let Some(shape::Node::Split(parent)) = parent.map(|p| &mut nodes[p]) {
            parent.otherwise = at as u32;
        }
        let node = &raw[k];
        if node.mode == Mode::Leaf {
            nodes.push(shape::Node::Leaf(node.weight.unwrap_or(0.0)));
            covers.extend(node.hitrate);
            continue;
        }
        let (split, if_true, if_false) = node.split();
        nodes.push(shape::Node::Split(split));
        waiting.push((place(if_false)?, Some(at)));
        waiting.push((place(if_true)?, None));
    }
    if nodes.len() != raw.len() {
        return Err(refuse_tree("some nodes cannot be reached from its root".into()));
    }
    Ok(Tree { nodes, covers })
}

/// All nodes, sorted by tree and id.
fn raw_nodes(node: &Node, n_features: u32) -> Result<Vec<Raw>, ModelError> {
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
    let hitrates = node.floats("nodes_hitrates");
    same("nodes_nodeids", ids.len())?;
    same("nodes_featureids", features.len())?;
    same("nodes_values", thresholds.len())?;
    same("nodes_modes", node.texts("nodes_modes").len())?;
    same("nodes_truenodeids", if_true.len())?;
    same("nodes_falsenodeids", if_false.len())?;
    if !missing.is_empty() {
        same("nodes_missing_value_tracks_true", missing.len())?;
    }
    if !hitrates.is_empty() {
        same("nodes_hitrates", hitrates.len())?;
    }
    let modes: Vec<&[u8]> = node.texts("nodes_modes").collect();
    let mut raw: Vec<Raw> = Vec::with_capacity(count);
    for i in order::sorted(count, &|a, b| (trees[a], ids[a]).cmp(&(trees[b], ids[b]))) {
        let i = i as usize;
        let name = || format!("tree {} node {}", trees[i], ids[i]);
        if raw.last().is_some_and(|last| (last.tree, last.id) == (trees[i], ids[i])) {
            return Err(refuse(format!("{} stands twice", name())));
        }
        let mode = match modes[i] {
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
        raw.push(Raw {
            tree: trees[i],
            id: ids[i],
            feature: features[i],
            threshold: thresholds[i],
            mode,
            if_true: if_true[i],
            if_false: if_false[i],
            missing_is_true: missing.get(i).is_some_and(|&m| m != 0),
            weight: None,
            hitrate: hitrates.get(i).copied(),
        });
    }
    leaf_weights(node, &mut raw)?;
    Ok(raw)
}

fn leaf_weights(node: &Node, raw: &mut [Raw]) -> Result<(), ModelError> {
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
        let at = raw.binary_search_by(|n| (n.tree, n.id).cmp(&(trees[i], ids[i])));
        match at.ok().map(|at| &mut raw[at]) {
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
