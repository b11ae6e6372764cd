//! Tree ensembles: `base + sum of leaf weights`, for a row.
//!
//! Trees are added in the order of their ids in the file, in `f64`, and the sum is rounded once to `f32`.
//! Every kernel follows that order, so that all agree to the bit; which one runs a tree depends on its shape:
//!
//! - [`bits`]: trees of up to 256 leaves, a bit a leaf, 64 rows side by side;
//! - [`walk`]: larger ones and those with `==`, from the root down, eight rows at a time.

use super::graph::Node;
use super::{Exact, ModelDescription, ModelError, logistic};

mod bits;
mod forest;
mod lanes;
mod read;
mod shape;
mod walk;

pub(crate) use forest::{Forest, MAX_DEPTH, Node as KeptNode};
use shape::Tree;

/// Rows that go through the trees together.
const GROUP: usize = 64;

/// A checked ensemble with one output.
#[derive(Debug)]
pub(super) struct Ensemble {
    runs: Vec<Run>,
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

/// Neighbouring trees that one kernel runs.
#[derive(Debug)]
enum Run {
    Bits(bits::Block),
    Walk(walk::Block),
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
            runs: plan(&trees),
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
        let mut scratch = bits::Scratch::default();
        for group in x.chunks(width * GROUP) {
            let rows = group.len() / width;
            let mut sums = [if self.scale == 1.0 { self.base } else { 0.0 }; GROUP];
            for run in &self.runs {
                match run {
                    Run::Bits(block) => block.add(group, width, &mut sums, &mut scratch),
                    Run::Walk(block) => block.add(group, width, &mut sums[..rows]),
                }
            }
            for &sum in &sums[..rows] {
                give(if self.scale == 1.0 { sum } else { sum * self.scale + self.base });
            }
        }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        ModelDescription { kind: "trees", trees: self.trees, parameters: self.leaves, depth: self.depth }
    }
}

/// Cuts the trees, in their order, into runs of one kernel.
fn plan(trees: &[Tree]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut rest = trees;
    while !rest.is_empty() {
        let (run, taken) = match bits::Block::build(rest) {
            (block, taken) if taken > 0 => (Run::Bits(block), taken),
            _ => {
                let taken = rest.iter().position(bits::takes).unwrap_or(rest.len()).max(1);
                (Run::Walk(walk::Block::build(&rest[..taken])), taken)
            }
        };
        runs.push(run);
        rest = &rest[taken..];
    }
    runs
}
