//! From the root down, [`ROWS`] rows side by side, so that their steps overlap instead of waiting for each other.

use crate::shape::{Node, Test, Tree};

/// Rows that walk together.
const ROWS: usize = 8;

/// Trees after each other.
#[derive(Debug)]
pub(crate) struct Block {
    nodes: Vec<Step>,
    /// What each node weighs; 0 where it is no leaf.
    weights: Vec<f64>,
    trees: Vec<Start>,
}

#[derive(Debug)]
struct Start {
    root: u32,
    depth: u32,
}

/// A node; a leaf leads to itself.
#[derive(Clone, Copy, Debug)]
struct Step {
    threshold: f32,
    feature: u32,
    /// Where a row goes for which the condition does not hold, and for which it does.
    next: [u32; 2],
    equals: bool,
    missing: bool,
}

impl Block {
    pub(crate) fn build(trees: &[Tree]) -> Block {
        let mut block = Block { nodes: Vec::new(), weights: Vec::new(), trees: Vec::new() };
        for tree in trees {
            let root = block.nodes.len() as u32;
            block.trees.push(Start { root, depth: tree.depth() });
            block.weights.extend(tree.nodes.iter().map(|node| match node {
                Node::Leaf(weight) => *weight,
                Node::Split(_) => 0.0,
            }));
            block.nodes.extend(tree.nodes.iter().zip(root..).map(|(node, at)| match node {
                Node::Leaf(_) => Step { threshold: 0.0, feature: 0, next: [at, at], equals: false, missing: false },
                Node::Split(split) => Step {
                    // No number is at most NaN.
                    threshold: match split.test {
                        Test::AtMost(x) | Test::Equals(x) => x,
                        Test::Never => f32::NAN,
                    },
                    feature: split.feature,
                    next: [root + split.otherwise, at + 1],
                    equals: matches!(split.test, Test::Equals(_)),
                    missing: split.missing,
                },
            }));
        }
        block
    }

    /// Adds each tree's leaf to each row's sum.
    pub(crate) fn add(&self, x: &[f32], width: usize, sums: &mut [f64]) {
        for tree in &self.trees {
            for (rows, sums) in x.chunks(width * ROWS).zip(sums.chunks_mut(ROWS)) {
                let mut at = [tree.root; ROWS];
                for _ in 0..tree.depth {
                    for (at, row) in at.iter_mut().zip(rows.chunks_exact(width)) {
                        *at = self.nodes[*at as usize].next(row);
                    }
                }
                for (sum, at) in sums.iter_mut().zip(at) {
                    *sum += self.weights[at as usize];
                }
            }
        }
    }
}

impl Step {
    fn next(&self, row: &[f32]) -> u32 {
        let x = row[self.feature as usize];
        let holds = if self.equals { x == self.threshold } else { x <= self.threshold };
        self.next[usize::from(holds | (x.is_nan() & self.missing))]
    }
}
