//! Sums of tree ensembles: the engine's hot loop, a crate of its own so that it alone is compiled for speed.
//!
//! Trees are added in the order given, in `f64`.
//! Every kernel follows that order, so that all agree to the bit; which one runs a tree depends on its shape:
//!
//! - `bits`: trees of up to 256 leaves, a bit a leaf, 64 rows side by side;
//! - `walk`: larger ones and those with `==`, from the root down, eight rows at a time.
//!
//! What a file says is read and checked in `wasm-model`; nothing here can fail.

mod bits;
mod lanes;
mod shape;
mod walk;

pub use shape::{Node, Split, Test, Tree};

/// Rows that go through the trees together.
const GROUP: usize = 64;

/// Trees, prepared for scoring.
#[derive(Debug)]
pub struct Kernels {
    runs: Vec<Run>,
}

/// Neighbouring trees that one kernel runs.
#[derive(Debug)]
enum Run {
    Bits(bits::Block),
    Walk(walk::Block),
}

impl Kernels {
    /// Cuts the trees, in their order, into runs of one kernel.
    pub fn new(trees: &[Tree]) -> Kernels {
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
        Kernels { runs }
    }

    /// Gives `start` plus each tree's leaf weight for each row of `x`, row-major `f32[rows, width]`.
    ///
    /// A missing number goes where its condition says. What is left over of a row is ignored.
    ///
    /// # Panics
    /// A tree asks for a feature at or above `width`, which is at least 1.
    pub fn sums(&self, x: &[f32], width: usize, start: f64, give: &mut dyn FnMut(f64)) {
        let mut scratch = bits::Scratch::default();
        for group in x.chunks(width * GROUP) {
            let rows = group.len() / width;
            let mut sums = [start; GROUP];
            for run in &self.runs {
                match run {
                    Run::Bits(block) => block.add(group, width, &mut sums, &mut scratch),
                    Run::Walk(block) => block.add(group, width, &mut sums[..rows]),
                }
            }
            sums[..rows].iter().for_each(|sum| give(*sum));
        }
    }
}
