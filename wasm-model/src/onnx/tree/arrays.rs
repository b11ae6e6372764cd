//! Reads the nodes of TreeEnsembleRegressor and TreeEnsembleClassifier: parallel arrays, nodes named by tree and id.

use shared_features::order;

use super::arena::{Arena, Branch, MAX_NODES, Mode, Raw, Weight};
use crate::onnx::graph::Node;

/// The names of the arrays with leaf weights.
pub(super) struct Weights {
    trees: &'static str,
    nodes: &'static str,
    columns: &'static str,
    weights: &'static str,
    /// What messages call a column.
    column: &'static str,
}

/// Of a regressor.
pub(super) const TARGETS: Weights = Weights {
    trees: "target_treeids",
    nodes: "target_nodeids",
    columns: "target_ids",
    weights: "target_weights",
    column: "target",
};

/// Of a classifier.
pub(super) const CLASSES: Weights = Weights {
    trees: "class_treeids",
    nodes: "class_nodeids",
    columns: "class_ids",
    weights: "class_weights",
    column: "class",
};

/// Nodes are named by tree and id; here they stand sorted by both.
struct Names<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    order: Vec<u32>,
}

impl Names<'_> {
    fn key(&self, place: usize) -> (i64, i64) {
        let at = self.order[place] as usize;
        (self.trees[at], self.ids[at])
    }

    fn find(&self, tree: i64, id: i64) -> Option<usize> {
        self.order.binary_search_by(|&at| (self.trees[at as usize], self.ids[at as usize]).cmp(&(tree, id))).ok()
    }

    fn name(&self, place: usize) -> String {
        let (tree, id) = self.key(place);
        format!("tree {tree} node {id}")
    }
}

/// The nodes and the names by which messages call them; `columns` is how many there are weights for.
pub(super) fn read<'a>(
    node: &'a Node,
    n_features: u32,
    weights: &Weights,
    columns: usize,
) -> Result<(Arena, impl Fn(usize) -> String + use<'a>), String> {
    let (trees, ids) = (node.ints("nodes_treeids"), node.ints("nodes_nodeids"));
    let count = trees.len();
    if count == 0 || count > MAX_NODES {
        return Err(format!("{count} nodes; 1 to {MAX_NODES} are allowed"));
    }
    let same = |name: &str, len: usize| {
        if len == count { Ok(()) } else { Err(format!("`{name}` has {len} entries for {count} nodes")) }
    };
    let some = |name: &str, len: usize| if len == 0 { Ok(()) } else { same(name, len) };
    let (features, thresholds) = (node.ints("nodes_featureids"), node.numbers("nodes_values"));
    let (if_true, if_false) = (node.ints("nodes_truenodeids"), node.ints("nodes_falsenodeids"));
    let (missing, hitrates) = (node.ints("nodes_missing_value_tracks_true"), node.floats("nodes_hitrates"));
    let modes = node.texts("nodes_modes");
    same("nodes_nodeids", ids.len())?;
    same("nodes_featureids", features.len())?;
    same("nodes_values", thresholds.len())?;
    same("nodes_modes", modes.len())?;
    same("nodes_truenodeids", if_true.len())?;
    same("nodes_falsenodeids", if_false.len())?;
    some("nodes_missing_value_tracks_true", missing.len())?;
    some("nodes_hitrates", hitrates.len())?;
    let order = order::sorted(count, &|a, b| (trees[a], ids[a]).cmp(&(trees[b], ids[b])));
    let names = Names { trees, ids, order };
    if let Some(place) = (1..count).find(|&place| names.key(place) == names.key(place - 1)) {
        return Err(format!("{} stands twice", names.name(place)));
    }
    let mut arena = Arena::with_capacity(count);
    for (place, &at) in names.order.iter().enumerate() {
        let at = at as usize;
        let Some(mode) = mode_of(&modes[at]).map_err(|why| format!("{}: {why}", names.name(place)))? else {
            arena.nodes.push(Raw::Leaf(hitrates.get(at).copied()));
            continue;
        };
        let child =
            |id: i64| names.find(trees[at], id).ok_or_else(|| format!("{}: there is no node {id}", names.name(place)));
        let branch = Branch {
            mode,
            feature: features[at],
            threshold: thresholds[at],
            missing_is_true: missing.get(at).is_some_and(|&m| m != 0),
        };
        let split = branch.split(n_features, child(if_true[at])?, child(if_false[at])?);
        arena.nodes.push(split.map_err(|why| format!("{}: {why}", names.name(place)))?);
    }
    arena.weigh(&leaf_weights(node, weights, columns, &names)?, &|place| names.name(place))?;
    // Trees in the order of their ids, each with the one node that no other leads to.
    let mut last = None;
    for (place, parents) in arena.parents().into_iter().enumerate() {
        if parents == 0 {
            let (tree, _) = names.key(place);
            if last.replace(tree) == Some(tree) {
                return Err(format!("tree {tree}: it does not have exactly one root, so it has loose nodes"));
            }
            arena.roots.push(place);
        }
    }
    Ok((arena, move |place| names.name(place)))
}

/// A branch mode, `None` for a leaf.
fn mode_of(name: &[u8]) -> Result<Option<Mode>, String> {
    match name {
        b"LEAF" => Ok(None),
        b"BRANCH_LEQ" => Ok(Some(Mode::Leq)),
        b"BRANCH_LT" => Ok(Some(Mode::Lt)),
        b"BRANCH_GTE" => Ok(Some(Mode::Gte)),
        b"BRANCH_GT" => Ok(Some(Mode::Gt)),
        b"BRANCH_EQ" => Ok(Some(Mode::Eq)),
        b"BRANCH_NEQ" => Ok(Some(Mode::Neq)),
        other => {
            let mode: String = String::from_utf8_lossy(other).chars().take(40).collect();
            Err(format!("mode {mode} is not supported"))
        }
    }
}

fn leaf_weights(node: &Node, arrays: &Weights, columns: usize, names: &Names<'_>) -> Result<Vec<Weight>, String> {
    let (trees, ids) = (node.ints(arrays.trees), node.ints(arrays.nodes));
    let (targets, weights) = (node.ints(arrays.columns), node.numbers(arrays.weights));
    if [ids.len(), targets.len(), weights.len()].iter().any(|&n| n != trees.len()) {
        return Err(format!("the lists of {} weights have different lengths", arrays.column));
    }
    let mut all = Vec::with_capacity(trees.len());
    for (at, weight) in weights.into_iter().enumerate() {
        let name = || format!("tree {} node {}", trees[at], ids[at]);
        if !(0..columns as i64).contains(&targets[at]) {
            return Err(format!("{}: {} {} of {columns}", name(), arrays.column, targets[at]));
        }
        let Some(node) = names.find(trees[at], ids[at]) else {
            return Err(format!("{} has a weight but does not exist", name()));
        };
        all.push(Weight { column: targets[at] as u32, node: node as u32, weight });
    }
    Ok(all)
}
