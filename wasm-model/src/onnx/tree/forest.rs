//! The trees as explaining needs them: their shape, and how much of the training data came to each leaf.
//!
//! Kernels forget the shape of trees, so it is kept beside them, in 16 bytes a node.
//! A leaf's cover is its `nodes_hitrates`; a node's is the sum of its leaves'.
//! Where a tree's hitrates are absent or not all positive, each leaf counts 1, as it does where they are all the same.

use tree_kernels::{self as shape, Test, Tree};

/// Deepest tree that is kept: paths have at most this many conditions, and explaining takes no more stack for them.
pub(crate) const MAX_DEPTH: u32 = 64;

/// All trees of an ensemble, each in preorder.
#[derive(Debug)]
pub(crate) struct Forest {
    nodes: Vec<Node>,
    /// Where each tree begins.
    starts: Vec<u32>,
}

/// A node; the child for which a condition holds is the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    Leaf {
        weight: f64,
        /// How much of the training data came here, in any unit.
        cover: f32,
    },
    Split(Split),
}

/// A condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    /// `x <= threshold`, or `x == threshold`; NaN where it holds for no number.
    threshold: f32,
    /// The child for which it does not hold, counted from the root.
    pub(crate) otherwise: u32,
    pub(crate) feature: u16,
    equals: bool,
    missing: bool,
}

impl Forest {
    /// Keeps trees; `None` where one is deeper than [`MAX_DEPTH`] or a feature's number does not fit 16 bits.
    pub(super) fn of(trees: &[Tree]) -> Option<Forest> {
        let mut forest = Forest {
            nodes: Vec::with_capacity(trees.iter().map(|t| t.nodes.len()).sum()),
            starts: Vec::with_capacity(trees.len()),
        };
        for tree in trees {
            if tree.depth() > MAX_DEPTH {
                return None;
            }
            forest.starts.push(forest.nodes.len() as u32);
            let known = tree.covers.iter().all(|c| c.is_finite() && *c > 0.0);
            let mut covers = tree.covers.iter().map(|c| if known { *c } else { 1.0 });
            for node in &tree.nodes {
                forest.nodes.push(match node {
                    shape::Node::Leaf(weight) => Node::Leaf { weight: *weight, cover: covers.next().unwrap_or(1.0) },
                    shape::Node::Split(split) => Node::Split(Split {
                        threshold: match split.test {
                            Test::AtMost(x) | Test::Equals(x) => x,
                            Test::Never => f32::NAN,
                        },
                        otherwise: split.otherwise,
                        feature: u16::try_from(split.feature).ok()?,
                        equals: matches!(split.test, Test::Equals(_)),
                        missing: split.missing,
                    }),
                });
            }
        }
        Some(forest)
    }

    /// The nodes of each tree.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &[Node]> {
        let ends = self.starts.iter().skip(1).map(|&end| end as usize).chain([self.nodes.len()]);
        self.starts.iter().zip(ends).map(|(&start, end)| &self.nodes[start as usize..end])
    }
}

impl Split {
    /// Whether a row with this number goes to the next node.
    pub(crate) fn holds(&self, x: f32) -> bool {
        let holds = if self.equals { x == self.threshold } else { x <= self.threshold };
        holds | (x.is_nan() & self.missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_small() {
        assert_eq!(size_of::<Node>(), 16);
    }
}
