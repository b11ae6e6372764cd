//! Tree ensembles: `base + sum of leaf weights`, for a row.
//!
//! Trees are added in the order of their ids in the file, in `f64`, and the sum is rounded once to `f32`;
//! [`tree_kernels`] does it.

use tree_kernels::{Kernels, Tree};

use super::graph::Node;
use super::{Exact, ModelDescription, ModelError, logistic};

mod forest;
mod read;

pub(crate) use forest::{Forest, MAX_DEPTH, Node as KeptNode};

/// A checked ensemble with one output.
#[derive(Debug)]
pub(super) struct Ensemble {
    kernels: Kernels,
    trees: u32,
    base: f64,
    /// What the sum is multiplied with: 1, or for AVERAGE one over the number of trees.
    scale: f64,
    logistic: bool,
    depth: u32,
    leaves: u32,
    /// For explaining; `None` where trees are too deep.
    forest: Option<Forest>,
}

impl Ensemble {
    pub(super) fn read(node: &Node, n_features: u32) -> Result<Ensemble, ModelError> {
        let file = read::read(node, n_features)?;
        let trees = file.trees;
        Ok(Ensemble {
            trees: trees.len() as u32,
            depth: trees.iter().map(Tree::depth).max().unwrap_or(0),
            leaves: trees.iter().map(|t| t.leaves() as u32).sum(),
            base: file.base,
            scale: if file.average { 1.0 / trees.len() as f64 } else { 1.0 },
            logistic: file.logistic,
            forest: Forest::of(&trees),
            kernels: Kernels::new(&trees),
        })
    }

    /// Appends a score for each row of `x`.
    pub(super) fn score(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        self.sum(x, width, |sum| out.push((if self.logistic { logistic(sum) } else { sum }) as f32));
    }

    /// Appends the sum for each row of `x`, before a logistic function.
    pub(super) fn raw(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        self.sum(x, width, |sum| out.push(sum as f32));
    }

    /// How the sum comes about.
    pub(super) fn exact(&self) -> Option<Exact<'_>> {
        Some(Exact::Trees { forest: self.forest.as_ref()?, base: self.base, scale: self.scale })
    }

    fn sum(&self, x: &[f32], width: usize, mut give: impl FnMut(f64)) {
        if self.scale == 1.0 {
            self.kernels.sums(x, width, self.base, &mut give);
        } else {
            self.kernels.sums(x, width, 0.0, &mut |sum| give(sum * self.scale + self.base));
        }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        ModelDescription { kind: "trees", trees: self.trees, parameters: self.leaves, depth: self.depth }
    }
}
