//! A tree as every kernel takes it: two kinds of condition, nodes in preorder.
//!
//! The child for which a condition holds is the next node, and both children come after their parent,
//! so that a walk always moves forward and ends.

/// A checked tree.
#[derive(Clone, Debug)]
pub struct Tree {
    /// In preorder; at least a leaf.
    pub nodes: Vec<Node>,
    /// How much of the training data came to each leaf, in preorder; empty where that is not known.
    pub covers: Vec<f32>,
}

/// A node.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// A leaf's weight.
    Leaf(f64),
    /// A condition on a feature.
    Split(Split),
}

/// A condition; where it holds a row goes to the next node.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Which number of a row.
    pub feature: u32,
    /// What is asked of it.
    pub test: Test,
    /// Whether it holds where the feature is missing.
    pub missing: bool,
    /// The node for rows for which it does not hold.
    pub otherwise: u32,
}

/// What is asked of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// `x <= threshold`; the threshold may be infinite, never NaN.
    AtMost(f32),
    /// `x == value`.
    Equals(f32),
    /// Never true of a number.
    Never,
}

impl Test {
    /// `x <= threshold` for every 32-bit `x`.
    pub fn at_most(threshold: f64) -> Test {
        Test::AtMost(floor(threshold))
    }

    /// `x < threshold` for every 32-bit `x`.
    pub fn below(threshold: f64) -> Test {
        let ceil = -floor(-threshold);
        if ceil == f32::NEG_INFINITY { Test::Never } else { Test::AtMost(ceil.next_down()) }
    }

    /// `x == value` for every 32-bit `x`.
    pub fn equals(value: f64) -> Test {
        let near = value as f32;
        if f64::from(near) == value { Test::Equals(near) } else { Test::Never }
    }
}

/// The largest 32-bit float that is at most `x`, which is not NaN.
fn floor(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) > x { near.next_down() } else { near }
}

impl Tree {
    /// How many leaves.
    pub fn leaves(&self) -> usize {
        self.nodes.iter().filter(|n| matches!(n, Node::Leaf(_))).count()
    }

    /// The conditions, in preorder.
    pub fn splits(&self) -> impl Iterator<Item = &Split> {
        self.nodes.iter().filter_map(|n| match n {
            Node::Split(split) => Some(split),
            Node::Leaf(_) => None,
        })
    }

    /// The longest path from the root to a leaf, in conditions.
    pub fn depth(&self) -> u32 {
        let mut depths = vec![0u32; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            if let Node::Split(split) = node {
                depths[at + 1] = depths[at] + 1;
                depths[split.otherwise as usize] = depths[at] + 1;
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }
}
