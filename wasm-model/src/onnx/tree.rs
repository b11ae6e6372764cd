//! Tree ensembles: `base + sum of leaf weights`, for a row.
//!
//! Trees are added in the order of their ids in the file, in `f64`; [`tree_kernels`] does it.

use tree_kernels::{Kernels, Tree};

use super::ModelDescription;

mod arena;
mod arrays;
mod forest;
mod indexed;
mod read;

pub(crate) use forest::{Forest, MAX_DEPTH, Node as KeptNode};
pub(super) use read::read;

/// A checked ensemble with one output.
#[derive(Debug)]
pub(super) struct Ensemble {
    kernels: Kernels,
    trees: u32,
    base: f64,
    /// What the sum is multiplied with: 1, or for AVERAGE one over the number of trees.
    scale: f64,
    depth: u32,
    leaves: u32,
    /// For explaining; `None` where trees are too deep.
    forest: Option<Forest>,
}

impl Ensemble {
    fn of(trees: &[Tree], base: f64, scale: f64) -> Ensemble {
        Ensemble {
            trees: trees.len() as u32,
            depth: trees.iter().map(Tree::depth).max().unwrap_or(0),
            leaves: trees.iter().map(|t| t.leaves() as u32).sum(),
            base,
            scale,
            forest: Forest::of(trees),
            kernels: Kernels::new(trees),
        }
    }

    /// Gives the sum for each row of `x`.
    pub(super) fn sums(&self, x: &[f32], width: usize, give: &mut dyn FnMut(f64)) {
        if self.scale == 1.0 {
            self.kernels.sums(x, width, self.base, give);
        } else {
            self.kernels.sums(x, width, 0.0, &mut |sum| give(sum * self.scale + self.base));
        }
    }

    /// The trees, the base and the scale of the sum.
    pub(super) fn exact(&self) -> Option<(&Forest, f64, f64)> {
        Some((self.forest.as_ref()?, self.base, self.scale))
    }

    pub(super) fn describe(&self) -> ModelDescription {
        ModelDescription { kind: "trees", trees: self.trees, parameters: self.leaves, depth: self.depth }
    }
}
