//! Exact Shapley values of trees.
//!
//! A tree's expectation given some features follows a condition on a known feature, and takes both sides of another by
//! their covers. It is a sum over leaves of `weight * product over the path's features`, where a known feature gives
//! 1 or 0, whether the row passes all the path's conditions on it, and an unknown one the share of the cover that does.
//!
//! For one leaf with `d` features the Shapley value is a weighted sum over all sets of features; those weights are
//! `|S|! (d - |S| - 1)! / d!`, which is the integral of `t^|S| (1 - t)^(d - |S| - 1)` over (0, 1). So the sum is
//! the integral of `product over j != i of (t * passes_j + (1 - t) * share_j)`, a polynomial of degree `d - 1` in `t`,
//! which a Gauss-Legendre rule of `d / 2` places gives exactly. All its terms have one sign, so deep trees lose no
//! digits, where the usual way (extending and unwinding sums over set sizes) subtracts; the values are the same.
//!
//! # Source
//! Lundberg, Erion, Lee, "Consistent Individualized Feature Attribution for Tree Ensembles" (2018), equation 2 with the
//! expectation of Algorithm 1, which Algorithm 2 computes; the integral form of the weights is Owen's (1972).

use super::GROUP;
use super::quadrature::Rule;
use crate::onnx::{Forest, KeptNode as Node, MAX_DEPTH};

/// The rule for a path of each number of features, from 0.
pub(super) fn rules(forest: &Forest) -> Vec<Rule> {
    let mut longest = 0;
    for tree in forest.trees() {
        leaves(tree, &mut |path, _, _| longest = if path.len() > longest { path.len() } else { longest });
    }
    (0..=longest).map(|features: usize| Rule::new(features.div_ceil(2))).collect()
}

/// The expected sum of leaves.
pub(super) fn expectation(forest: &Forest) -> f64 {
    let mut sum = 0.0;
    for tree in forest.trees() {
        leaves(tree, &mut |path, _, weight| sum += path.iter().fold(weight, |x, step| x * step.share));
    }
    sum
}

/// Adds each slot's share of the sum of leaves, for up to [`GROUP`] rows of `x`; both are row-major `[rows, width]`.
pub(super) fn add(forest: &Forest, rules: &[Rule], x: &[f32], width: usize, sums: &mut [f64]) {
    let mut features: Vec<Feature> = Vec::with_capacity(MAX_DEPTH as usize);
    let mut passing: Vec<u64> = Vec::new();
    let mut tables = Tables::default();
    for tree in forest.trees() {
        passing.clear();
        passing.extend(tree.iter().map(|node| match node {
            Node::Split(split) => (0u32..).zip(x.chunks_exact(width)).fold(0u64, |rows, (k, row)| {
                rows | u64::from(row.get(split.feature as usize).is_some_and(|x| split.holds(*x))) << k
            }),
            Node::Leaf { .. } => 0,
        }));
        leaves(tree, &mut |path, tree_nodes, weight| {
            merge(path, tree_nodes, &passing, &mut features);
            let rule = &rules[features.len()];
            tables.fill(&features, rule);
            for (k, sums) in sums.chunks_exact_mut(width).enumerate().take(GROUP) {
                tables.add(&features, rule, k as u32, weight, sums);
            }
        });
    }
}

/// A condition on the way to a leaf.
#[derive(Clone, Copy)]
struct Step {
    node: u32,
    /// Whether the leaf is on the side where it holds.
    holds: bool,
    /// The share of the cover that takes this side.
    share: f64,
}

/// A feature on the way to a leaf.
struct Feature {
    slot: usize,
    /// The product of its conditions' shares.
    share: f64,
    /// A bit a row: whether the row passes all its conditions.
    passes: u64,
}

/// Calls `f` with the path to each leaf of a tree, the tree, and the leaf's weight, from left to right.
fn leaves(tree: &[Node], f: &mut impl FnMut(&[Step], &[Node], f64)) {
    let covers = covers(tree);
    let mut path: Vec<Step> = Vec::with_capacity(MAX_DEPTH as usize);
    let step =
        |node: usize, child: usize, holds| Step { node: node as u32, holds, share: covers[child] / covers[node] };
    for (at, node) in tree.iter().enumerate() {
        match node {
            Node::Split(_) => path.push(step(at, at + 1, true)),
            Node::Leaf { weight, .. } => {
                f(&path, tree, *weight);
                // What comes next in preorder is the other side of the last condition that was taken on its true side.
                while path.pop_if(|last| !last.holds).is_some() {}
                if let Some(last) = path.last_mut()
                    && let Node::Split(split) = &tree[last.node as usize]
                {
                    *last = step(last.node as usize, split.otherwise as usize, false);
                }
            }
        }
    }
}

/// The cover of each node: the sum of its leaves'.
fn covers(tree: &[Node]) -> Vec<f64> {
    let mut covers = vec![0.0; tree.len()];
    // Both children come after their parent.
    for (at, node) in tree.iter().enumerate().rev() {
        covers[at] = match node {
            Node::Leaf { cover, .. } => f64::from(*cover),
            Node::Split(split) => covers[at + 1] + covers[split.otherwise as usize],
        };
    }
    covers
}

/// Joins the conditions of a path by feature, in the order in which features come first.
fn merge(path: &[Step], tree: &[Node], passing: &[u64], features: &mut Vec<Feature>) {
    features.clear();
    for step in path {
        let Node::Split(split) = &tree[step.node as usize] else { continue };
        let slot = split.feature as usize;
        let rows = passing[step.node as usize];
        let passes = if step.holds { rows } else { !rows };
        match features.iter_mut().find(|f| f.slot == slot) {
            Some(feature) => {
                feature.share *= step.share;
                feature.passes &= passes;
            }
            None => features.push(Feature { slot, share: step.share, passes }),
        }
    }
}

/// What all rows share at a leaf, `[features, places]`.
#[derive(Default)]
struct Tables {
    /// The factor of a feature that a row passes, and of one that it does not.
    factor: [Vec<f64>; 2],
    /// `(1 - share) / factor`, for a feature that a row passes.
    passed: Vec<f64>,
}

impl Tables {
    fn fill(&mut self, features: &[Feature], rule: &Rule) {
        let [out, within] = &mut self.factor;
        out.clear();
        within.clear();
        self.passed.clear();
        for feature in features {
            for t in &rule.at {
                let unknown = (1.0 - t) * feature.share;
                out.push(unknown);
                within.push(t + unknown);
                self.passed.push((1.0 - feature.share) / (t + unknown));
            }
        }
    }

    /// Adds the leaf's share of each feature for row `k`.
    fn add(&self, features: &[Feature], rule: &Rule, k: u32, weight: f64, sums: &mut [f64]) {
        let places = rule.at.len();
        let mut product = [0.0; MAX_DEPTH as usize / 2];
        let product = &mut product[..places];
        for (p, w) in product.iter_mut().zip(&rule.weight) {
            *p = w * weight;
        }
        let passes = |feature: &Feature| (feature.passes >> k & 1) as usize;
        for (j, feature) in features.iter().enumerate() {
            let factors = &self.factor[passes(feature)][j * places..(j + 1) * places];
            product.iter_mut().zip(factors).for_each(|(p, f)| *p *= f);
        }
        // A feature that the row does not pass: `-share / ((1 - t) share)`, the same for all of them.
        let failed: f64 = product.iter().zip(&rule.at).fold(0.0, |sum, (p, t)| sum - p / (1.0 - t));
        for (j, feature) in features.iter().enumerate() {
            sums[feature.slot] += if passes(feature) == 1 {
                let factors = &self.passed[j * places..(j + 1) * places];
                product.iter().zip(factors).fold(0.0, |sum, (p, f)| sum + p * f)
            } else {
                failed
            };
        }
    }
}
