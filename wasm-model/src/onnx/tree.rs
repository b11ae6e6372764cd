//! Tree ensembles: `base + sum of leaf weights`, for a row.
//!
//! Trees are added in the order of their ids in the file, in `f64`, and the sum is rounded once to `f32`.
//! Every kernel follows that order, so that all agree to the bit; which one runs a tree depends on its shape:
//!
//! - [`bits`]: trees of up to 256 leaves, a bit a leaf, 64 rows side by side;
//! - [`walk`]: larger ones and those with `==`, from the root down, eight rows at a time.

use super::{ModelDescription, number};

mod arena;
mod arrays;
mod bits;
mod indexed;
mod lanes;
mod read;
mod shape;
mod walk;

use shape::Tree;

pub(super) use bits::Scratch;
pub(super) use read::read;

/// Rows that go through the trees together.
pub(super) const GROUP: usize = 64;
/// Fewest leaves that are worth a block of bits, which is padded, where other trees follow.
const MIN_LEAVES: usize = 64;

/// A checked ensemble with one output.
#[derive(Debug)]
pub(super) struct Ensemble {
    runs: Vec<Run>,
    trees: u32,
    base: f64,
    /// What the sum is multiplied with: 1, or for AVERAGE one over the number of trees.
    scale: f64,
    depth: u32,
    leaves: u32,
}

/// Neighbouring trees that one kernel runs.
#[derive(Debug)]
enum Run {
    Bits(bits::Block),
    Walk(walk::Block),
}

impl Ensemble {
    fn of(trees: &[Tree], base: f64, scale: f64) -> Ensemble {
        Ensemble {
            trees: trees.len() as u32,
            depth: trees.iter().map(Tree::depth).max().unwrap_or(0),
            leaves: trees.iter().map(|t| t.leaves() as u32).sum(),
            base,
            scale,
            runs: plan(trees),
        }
    }

    /// Appends a score for each row of `x`.
    pub(super) fn score(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        let mut scratch = Scratch::default();
        for group in x.chunks(width * GROUP) {
            let sums = self.sums(group, width, &mut scratch);
            out.extend(sums[..group.len() / width].iter().map(|&sum| number(sum)));
        }
    }

    /// The sums of up to [`GROUP`] rows; those of rows that are not there mean nothing.
    pub(super) fn sums(&self, group: &[f32], width: usize, scratch: &mut Scratch) -> [f64; GROUP] {
        let rows = group.len() / width;
        let mut sums = [if self.scale == 1.0 { self.base } else { 0.0 }; GROUP];
        for run in &self.runs {
            match run {
                Run::Bits(block) => block.add(group, width, &mut sums, scratch),
                Run::Walk(block) => block.add(group, width, &mut sums[..rows]),
            }
        }
        if self.scale != 1.0 {
            sums.iter_mut().for_each(|sum| *sum = *sum * self.scale + self.base);
        }
        sums
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
        let (block, taken) = bits::Block::build(rest);
        let leaves: usize = rest[..taken].iter().map(Tree::leaves).sum();
        let (run, taken) = if taken > 0 && (taken == rest.len() || leaves >= MIN_LEAVES) {
            (Run::Bits(block), taken)
        } else {
            let others = rest[taken..].iter().position(bits::takes).unwrap_or(rest.len() - taken);
            let taken = (taken + others).max(1);
            (Run::Walk(walk::Block::build(&rest[..taken])), taken)
        };
        runs.push(run);
        rest = &rest[taken..];
    }
    runs
}
