//! The nodes of all trees of a file, by index: checks that they are trees and lays each out for the kernels.

use shared_features::order;
use tree_kernels::{self as shape, Split, Test, Tree};

/// Most nodes of an ensemble, counted once a column.
pub(super) const MAX_NODES: usize = 1 << 22;

/// A file's nodes.
pub(super) struct Arena {
    pub(super) nodes: Vec<Raw>,
    /// The root of each tree, in the order in which trees are summed.
    pub(super) roots: Vec<usize>,
    weights: Vec<Weight>,
}

/// A node as the file has it; children are indices.
pub(super) enum Raw {
    /// A leaf, and how much of the training data came to it where the file says so.
    Leaf(Option<f32>),
    Split {
        split: Split,
        /// Where rows go for which the condition holds.
        holds: usize,
        /// Where the others go.
        fails: usize,
    },
}

/// What a leaf weighs in a column.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    pub(super) column: u32,
    pub(super) node: u32,
    pub(super) weight: f64,
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
    pub(super) feature: i64,
    pub(super) threshold: f64,
    pub(super) missing_is_true: bool,
}

impl Branch {
    /// The condition that the kernels ask. A missing number is unequal to every value, as in onnxruntime.
    ///
    /// # Errors
    /// A feature that is not there, or a threshold that is no number.
    pub(super) fn split(&self, n_features: u32, if_true: usize, if_false: usize) -> Result<Raw, String> {
        if !(0..i64::from(n_features)).contains(&self.feature) {
            return Err(format!("feature {} of {n_features}", self.feature));
        }
        if self.threshold.is_nan() {
            return Err("its threshold is NaN".into());
        }
        let (test, turned) = match self.mode {
            Mode::Leq => (Test::at_most(self.threshold), false),
            Mode::Lt => (Test::below(self.threshold), false),
            Mode::Gte => (Test::below(self.threshold), true),
            Mode::Gt => (Test::at_most(self.threshold), true),
            Mode::Eq => (Test::equals(self.threshold), false),
            Mode::Neq => (Test::equals(self.threshold), true),
        };
        let missing_is_true = self.missing_is_true || self.mode == Mode::Neq;
        let split = Split { feature: self.feature as u32, test, missing: missing_is_true != turned, otherwise: 0 };
        let (holds, fails) = if turned { (if_false, if_true) } else { (if_true, if_false) };
        Ok(Raw::Split { split, holds, fails })
    }
}

impl Arena {
    pub(super) fn with_capacity(nodes: usize) -> Arena {
        Arena { nodes: Vec::with_capacity(nodes), roots: Vec::new(), weights: Vec::new() }
    }

    /// Takes the weights of leaves.
    ///
    /// # Errors
    /// A node of two weights in a column, one that is no leaf, or a weight that is not finite; `name` names nodes.
    pub(super) fn weigh(&mut self, weights: &[Weight], name: &dyn Fn(usize) -> String) -> Result<(), String> {
        let key = |at: usize| (weights[at].column, weights[at].node);
        let order = order::sorted(weights.len(), &|a, b| key(a).cmp(&key(b)));
        self.weights = order.iter().map(|at| weights[*at as usize]).collect();
        for (at, weight) in self.weights.iter().enumerate() {
            let node = weight.node as usize;
            if !weight.weight.is_finite() {
                return Err(format!("{}: its weight is not finite", name(node)));
            }
            if !matches!(self.nodes[node], Raw::Leaf(_)) {
                return Err(format!("{} has a weight but is no leaf", name(node)));
            }
            let next = self.weights.get(at + 1);
            if next.is_some_and(|next| (next.column, next.node) == (weight.column, weight.node)) {
                return Err(format!("{} has two weights", name(node)));
            }
        }
        Ok(())
    }

    /// Whether no weight is negative.
    pub(super) fn votes(&self) -> bool {
        self.weights.iter().all(|w| w.weight >= 0.0)
    }

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
    pub(super) fn lay_out(&self, columns: usize, name: &dyn Fn(usize) -> String) -> Result<Vec<Vec<Tree>>, String> {
        let mut parents = self.parents();
        self.roots.iter().for_each(|&root| parents[root] += 1);
        if let Some(shared) = parents.iter().position(|&count| count > 1) {
            return Err(format!("{}: it has more than one parent, or is also a root", name(shared)));
        }
        // A node has one parent or is a root, so no walk from a root meets a node twice.
        let trees: Vec<Laid> = self.roots.iter().map(|&root| self.lay_out_one(root)).collect();
        const NOWHERE: u32 = u32::MAX;
        let mut tree_of = vec![NOWHERE; self.nodes.len()];
        for (at, laid) in trees.iter().enumerate() {
            laid.from.iter().for_each(|&node| tree_of[node as usize] = at as u32);
        }
        if let Some(lost) = tree_of.iter().position(|&tree| tree == NOWHERE) {
            let name = name(lost);
            return Err(format!("{name}: it cannot be reached from a root, so there is a cycle or a loose node"));
        }
        let mut nodes = 0;
        let mut all = Vec::with_capacity(columns);
        for weights in self.weights_by_column(columns) {
            // A tree without weights for one of many columns adds nothing to it.
            let own: Vec<u32> = if columns == 1 {
                (0..trees.len() as u32).collect()
            } else {
                let of: Vec<u32> = weights.iter().map(|w| tree_of[w.node as usize]).collect();
                let mut own: Vec<u32> =
                    order::sorted(of.len(), &|a, b| of[a].cmp(&of[b])).iter().map(|at| of[*at as usize]).collect();
                own.dedup();
                own
            };
            let mut column = Vec::with_capacity(own.len());
            for laid in own.iter().map(|tree| &trees[*tree as usize]) {
                nodes += laid.tree.nodes.len();
                if nodes > MAX_NODES {
                    return Err(format!("more than {MAX_NODES} nodes over all columns"));
                }
                column.push(laid.weighed(weights));
            }
            all.push(column);
        }
        Ok(all)
    }

    /// Whether every row gets a weight for `column` from some tree.
    pub(super) fn always_weighs(&self, column: usize) -> bool {
        let weights = self.weights_by_column(column + 1).last().unwrap_or_default();
        self.roots.iter().any(|&root| {
            let mut waiting = vec![root];
            while let Some(at) = waiting.pop() {
                match &self.nodes[at] {
                    Raw::Split { holds, fails, .. } => waiting.extend([*holds, *fails]),
                    Raw::Leaf(_) if weight_of(weights, at as u32).is_none() => return false,
                    Raw::Leaf(_) => {}
                }
            }
            true
        })
    }

    /// The weights of each column, by node.
    fn weights_by_column(&self, columns: usize) -> impl Iterator<Item = &[Weight]> {
        let mut rest = self.weights.as_slice();
        (0..columns as u32).map(move |column| {
            let (own, others) = rest.split_at(rest.partition_point(|w| w.column <= column));
            rest = others;
            own
        })
    }

    /// Puts one tree into preorder.
    fn lay_out_one(&self, root: usize) -> Laid {
        let mut laid = Laid { tree: Tree { nodes: Vec::new(), covers: Vec::new() }, from: Vec::new() };
        // Nodes to visit, and the node whose `otherwise` each is.
        let mut waiting: Vec<(usize, Option<usize>)> = vec![(root, None)];
        while let Some((from, parent)) = waiting.pop() {
            let at = laid.tree.nodes.len();
            if let Some(shape::Node::Split(parent)) = parent.map(|p| &mut laid.tree.nodes[p]) {
                parent.otherwise = at as u32;
            }
            laid.from.push(from as u32);
            match &self.nodes[from] {
                Raw::Leaf(cover) => {
                    laid.tree.nodes.push(shape::Node::Leaf(0.0));
                    laid.tree.covers.extend(*cover);
                }
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
    from: Vec<u32>,
}

impl Laid {
    /// The tree with the weights of a column; a leaf without one weighs 0.
    fn weighed(&self, weights: &[Weight]) -> Tree {
        let mut tree = self.tree.clone();
        for (node, from) in tree.nodes.iter_mut().zip(&self.from) {
            if let shape::Node::Leaf(weight) = node {
                *weight = weight_of(weights, *from).unwrap_or(0.0);
            }
        }
        tree
    }
}

/// What a node weighs, of a column's weights.
fn weight_of(weights: &[Weight], node: u32) -> Option<f64> {
    weights.binary_search_by(|w| w.node.cmp(&node)).ok().map(|at| weights[at].weight)
}
