//! Reads the nodes of `TreeEnsemble` (ai.onnx.ml 5): branches and leaves in arrays of their own, named by index.

use super::arena::{Arena, Branch, MAX_NODES, Mode, Raw, Weight};
use crate::onnx::graph::Node;

/// The nodes, leaves behind the branches, and the names by which messages call them.
pub(super) fn read(
    node: &Node,
    n_features: u32,
    columns: usize,
) -> Result<(Arena, impl Fn(usize) -> String + use<>), String> {
    let (features, thresholds) = (node.ints("nodes_featureids"), node.numbers("nodes_splits"));
    let (targets, weights) = (node.ints("leaf_targetids"), node.numbers("leaf_weights"));
    let (branches, leaves) = (features.len(), targets.len());
    if branches == 0 || leaves == 0 || branches.saturating_add(leaves) > MAX_NODES {
        return Err(format!("{branches} branches and {leaves} leaves; 1 to {MAX_NODES} nodes are allowed"));
    }
    let same = |name: &str, len: usize, count: usize| {
        if len == count { Ok(()) } else { Err(format!("`{name}` has {len} entries for {count} nodes")) }
    };
    let modes = node.tensor_ints("nodes_modes");
    let (if_true, if_false) = (node.ints("nodes_truenodeids"), node.ints("nodes_falsenodeids"));
    let (true_leaf, false_leaf) = (node.ints("nodes_trueleafs"), node.ints("nodes_falseleafs"));
    let missing = node.ints("nodes_missing_value_tracks_true");
    same("nodes_splits", thresholds.len(), branches)?;
    same("nodes_modes", modes.len(), branches)?;
    same("nodes_truenodeids", if_true.len(), branches)?;
    same("nodes_falsenodeids", if_false.len(), branches)?;
    same("nodes_trueleafs", true_leaf.len(), branches)?;
    same("nodes_falseleafs", false_leaf.len(), branches)?;
    same("leaf_weights", weights.len(), leaves)?;
    if !missing.is_empty() {
        same("nodes_missing_value_tracks_true", missing.len(), branches)?;
    }
    // A leaf alone is written as a branch with this leaf on both sides; the branch's place becomes the leaf's.
    let mut places: Vec<Option<usize>> = vec![None; leaves];
    for i in 0..branches {
        let alone = true_leaf[i] != 0 && false_leaf[i] != 0 && if_true[i] == if_false[i];
        let place = usize::try_from(if_true[i]).ok().filter(|_| alone).and_then(|leaf| places.get_mut(leaf));
        if place.is_some_and(|place| place.replace(i).is_some()) {
            return Err(format!("leaf {}: it has more than one parent", if_true[i]));
        }
    }
    let mut names: Vec<usize> = Vec::new();
    for (leaf, place) in places.iter_mut().enumerate().filter(|(_, place)| place.is_none()) {
        *place = Some(branches + names.len());
        names.push(leaf);
    }
    let mut arena = Arena::with_capacity(branches + names.len());
    for i in 0..branches {
        let mode = match modes[i] {
            0 => Mode::Leq,
            1 => Mode::Lt,
            2 => Mode::Gte,
            3 => Mode::Gt,
            4 => Mode::Eq,
            5 => Mode::Neq,
            6 => return Err(format!("node {i}: BRANCH_MEMBER, set membership, is not supported")),
            other => return Err(format!("node {i}: mode {other} is unknown")),
        };
        let child = |id: i64, leaf: i64| match (usize::try_from(id), leaf != 0) {
            (Ok(id), false) if id < branches => Ok(id),
            (Ok(id), true) if id < leaves => Ok(places[id].unwrap_or(i)),
            (_, false) => Err(format!("node {i}: there is no node {id}, there are {branches}")),
            (_, true) => Err(format!("node {i}: there is no leaf {id}, there are {leaves}")),
        };
        let (if_true, if_false) = (child(if_true[i], true_leaf[i])?, child(if_false[i], false_leaf[i])?);
        if if_true == i && if_false == i && true_leaf[i] != 0 {
            arena.nodes.push(Raw::Leaf(None));
            continue;
        }
        let branch = Branch {
            mode,
            feature: features[i],
            threshold: thresholds[i],
            missing_is_true: missing.get(i).is_some_and(|&m| m != 0),
        };
        let split = branch.split(n_features, if_true, if_false);
        arena.nodes.push(split.map_err(|why| format!("node {i}: {why}"))?);
    }
    arena.nodes.extend(names.iter().map(|_| Raw::Leaf(None)));
    let name = move |i: usize| match names.get(i.wrapping_sub(branches)) {
        Some(leaf) => format!("leaf {leaf}"),
        None => format!("node {i}"),
    };
    let mut all = Vec::with_capacity(leaves);
    for (leaf, (place, weight)) in places.iter().flatten().zip(weights).enumerate() {
        if !(0..columns as i64).contains(&targets[leaf]) {
            return Err(format!("leaf {leaf}: target {} of {columns}", targets[leaf]));
        }
        all.push(Weight { column: targets[leaf] as u32, node: *place as u32, weight });
    }
    arena.weigh(&all, &name)?;
    for &root in node.ints("tree_roots") {
        match usize::try_from(root) {
            Ok(root) if root < branches => arena.roots.push(root),
            _ => return Err(format!("tree_roots: there is no node {root}, there are {branches}")),
        }
    }
    Ok((arena, name))
}
