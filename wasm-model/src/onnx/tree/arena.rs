//! The nodes of all trees of a file, by index: checks that they are trees and lays each out for the kernels.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::{self, Split, Test, Tree};

/// Most nodes of an ensemble, counted once a column.
pub(super) const MAX_NODES: usize = 1 << 22;

/// A file's nodes.
#[derive(Default)]
pub(super) struct Arena {
    pub(super) nodes: Vec<Raw>,
    /// The root of each tree, in the order in which trees are summed.
    pub(super) roots: Vec<usize>,
    /// Leaf weights by column and node.
    pub(super) weights: BTreeMap<(u32, usize), f64>,
}

/// A node as the file has it; children are indices.
pub(super) enum Raw {
    Leaf,
    Split {
        split: Split,
        /// Where rows go for which the condition holds.
        holds: usize,
        /// Where the others go.
        fails: usize,
    },
}

/// A branch mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// A branch before its children are indices.
pub(super) struct Branch {
    pub(super) mode: Mode,
    pub(super) feature: u32,
    pub(super) threshold: f64,
    pub(super) missing_is_true: bool,
}

impl Branch {
    /// The condition that the kernels ask. A missing number is unequal to every value, as in onnxruntime.
    pub(super) fn split(&self, if_true: usize, if_false: usize) -> Raw {
        let (test, turned) = match self.mode {
            Mode::Leq => (Test::at_most(self.threshold), false),
            Mode::Lt => (Test::below(self.threshold), false),
            Mode::Gte => (Test::below(self.threshold), true),
            Mode::Gt => (Test::at_most(self.threshold), true),
            Mode::Eq => (Test::equals(self.threshold), false),
            Mode::Neq => (Test::equals(self.threshold), true),
        };
        let missing_is_true = self.missing_is_true || self.mode == Mode::Neq;
        let split = Split { feature: self.feature, test, missing: missing_is_true != turned, otherwise: 0 };
        let (holds, fails) = if turned { (if_false, if_true) } else { (if_true, if_false) };
        Raw::Split { split, holds, fails }
    }
}

impl Arena {
    /// How many nodes lead to each.
    pub(super) fn parents(&self) -> Vec<u32> {
        let mut parents = vec![0; self.nodes.len()];
        for node in &self.nodes {
            if let Raw::Split { holds, fails, .. } = node {
                parents[*holds] += 1;
                parents[*fails] += 1;
            }
        }
        parents
    }

    /// The trees with weights for each of `columns`; of a single column all trees.
    ///
    /// # Errors
    /// Shared nodes, cycles, nodes out of reach, too many nodes; `name` says what a node is called.
    pub(super) fn lay_out(&self, columns: usize, name: impl Fn(usize) -> String) -> Result<Vec<Vec<Tree>>, String> {
        let mut parents = self.parents();
        self.roots.iter().for_each(|&root| parents[root] += 1);
        if let Some(shared) = parents.iter().position(|&count| count > 1) {
            return Err(format!("{}: it has more than one parent, or is also a root", name(shared)));
        }
        // A node has one parent or is a root, so no walk from a root meets a node twice.
        let trees: Vec<Laid> = self.roots.iter().map(|&root| self.lay_out_one(root)).collect();
        if trees.iter().map(|laid| laid.tree.nodes.len()).sum::<usize>() != self.nodes.len() {
            let mut reached = vec![false; self.nodes.len()];
            trees.iter().flat_map(|laid| &laid.from).for_each(|&node| reached[node] = true);
            let lost = reached.iter().position(|r| !r).unwrap_or(0);
            return Err(format!(
                "{}: it cannot be reached from a root, so there is a cycle or a loose node",
                name(lost)
            ));
        }
        let mut tree_of = vec![0; self.nodes.len()];
        for (at, laid) in trees.iter().enumerate() {
            laid.from.iter().for_each(|&node| tree_of[node] = at);
        }
        let used: BTreeSet<(u32, usize)> = self.weights.keys().map(|&(column, node)| (column, tree_of[node])).collect();
        let mut nodes = 0;
        let mut all = Vec::with_capacity(columns);
        for column in 0..columns as u32 {
            let mut own = Vec::new();
            let wanted: Vec<usize> = if columns == 1 {
                (0..trees.len()).collect()
            } else {
                used.range((column, 0)..(column + 1, 0)).map(|&(_, tree)| tree).collect()
            };
            for laid in wanted.into_iter().map(|tree| &trees[tree]) {
                nodes += laid.tree.nodes.len();
                if nodes > MAX_NODES {
                    return Err(format!("more than {MAX_NODES} nodes over all columns"));
                }
                own.push(laid.column(column, &self.weights));
            }
            all.push(own);
        }
        Ok(all)
    }

    /// Whether every row gets a weight for `column` from some tree.
    pub(super) fn always_weighs(&self, column: u32) -> bool {
        self.roots.iter().any(|&root| {
            let mut waiting = vec![root];
            while let Some(at) = waiting.pop() {
                match &self.nodes[at] {
                    Raw::Split { holds, fails, .. } => waiting.extend([*holds, *fails]),
                    Raw::Leaf if !self.weights.contains_key(&(column, at)) => return false,
                    Raw::Leaf => {}
                }
            }
            true
        })
    }

    /// Puts one tree into preorder.
    fn lay_out_one(&self, root: usize) -> Laid {
        let mut laid = Laid { tree: Tree { nodes: Vec::new() }, from: Vec::new() };
        // Nodes to visit, and the node whose `otherwise` each is.
        let mut waiting: Vec<(usize, Option<usize>)> = vec![(root, None)];
        while let Some((from, parent)) = waiting.pop() {
            let at = laid.tree.nodes.len();
            if let Some(shape::Node::Split(parent)) = parent.map(|p| &mut laid.tree.nodes[p]) {
                parent.otherwise = at as u32;
            }
            laid.from.push(from);
            match &self.nodes[from] {
                Raw::Leaf => laid.tree.nodes.push(shape::Node::Leaf(0.0)),
                Raw::Split { split, holds, fails } => {
                    laid.tree.nodes.push(shape::Node::Split(*split));
                    waiting.push((*fails, Some(at)));
                    waiting.push((*holds, None));
                }
            }
        }
        laid
    }
}

/// A tree without weights, and the file's index of each node.
struct Laid {
    tree: Tree,
    from: Vec<usize>,
}

impl Laid {
    /// The tree with the weights of a column; a leaf without one weighs 0.
    fn column(&self, column: u32, weights: &BTreeMap<(u32, usize), f64>) -> Tree {
        let mut tree = self.tree.clone();
        for (node, from) in tree.nodes.iter_mut().zip(&self.from) {
            if let shape::Node::Leaf(weight) = node {
                *weight = weights.get(&(column, *from)).copied().unwrap_or(0.0);
            }
        }
        tree
    }
}
