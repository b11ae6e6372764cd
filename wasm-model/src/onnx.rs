//! ONNX models the compact engine runs: tree ensembles, linear models, dense layers, and graphs of them.
//!
//! [`Model::load`] checks everything that scoring relies on; [`Model::score`] cannot fail.
//! A model has one input `features f32[n, n_features]` and one output `score f32[n, 1]`.

mod dense;
mod graph;
mod head;
mod linear;
mod protobuf;
mod tensor;
#[cfg(feature = "onnx")]
mod tract;
mod transform;
mod tree;

use graph::Graph;
use head::Single;
pub(crate) use tree::{Forest, KeptNode, MAX_DEPTH};

/// Newest operator set of the default domain.
const MAX_OPSET: i64 = 24;
/// Newest operator set of `ai.onnx.ml`.
const MAX_ML_OPSET: i64 = 5;

/// A checked model.
#[derive(Debug)]
pub struct Model {
    width: usize,
    kind: ModelKind,
}

#[derive(Debug)]
enum ModelKind {
    /// One column of trees or of a linear model.
    Single(Single),
    /// Any other graph.
    Chain(dense::Chain),
    #[cfg(feature = "onnx")]
    Tract(tract::Plan),
}

/// What a model computes, where explaining it exactly needs to look inside.
pub(crate) enum Exact<'a> {
    /// `base + scale * sum of leaves`.
    Trees { forest: &'a Forest, base: f64, scale: f64 },
    /// `sum(x * coefficient) + intercept`.
    Linear { coefficients: &'a [f32], intercept: f32 },
}

/// What a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDescription {
    /// `trees`, `linear`, `dense` or `graph`.
    pub kind: &'static str,
    /// Trees, 0 for other kinds.
    pub trees: u32,
    /// Leaves of all trees, or weights of other kinds.
    pub parameters: u32,
    /// Longest path from a root to a leaf, layers of a dense chain, or operators of a graph.
    pub depth: u32,
}

/// Why a model is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not a ModelProto.
    #[error("not an ONNX file: {reason}")]
    Malformed {
        /// Why.
        reason: &'static str,
    },
    /// An operator this engine does not run.
    #[error("operator {domain}{operator} is not run by this engine; export the model with supported operators")]
    Operator {
        /// `ai.onnx.ml.` or empty.
        domain: String,
        /// Its name.
        operator: String,
    },
    /// An operator set that is too new.
    #[error("operator set {version} of domain `{domain}` is newer than {newest}; export with an older one")]
    Opset {
        /// The domain.
        domain: String,
        /// The model's.
        version: i64,
        /// What this engine reads.
        newest: i64,
    },
    /// Inputs or outputs of another shape.
    #[error("the model has {what}; expected {expected}")]
    Interface {
        /// What it has.
        what: String,
        /// What it must have.
        expected: String,
    },
    /// An attribute or initializer that is missing, inconsistent or not supported.
    #[error("{operator}: {reason}")]
    Node {
        /// The operator.
        operator: &'static str,
        /// Why.
        reason: String,
    },
    /// A graph that tract refuses or cannot run; only of the onnx engine.
    #[error("graph: {reason}")]
    Graph {
        /// Why.
        reason: String,
    },
}

impl Model {
    /// Reads and checks a model for vectors of `n_features` numbers.
    ///
    /// # Errors
    /// Malformed bytes, an unsupported operator, another width, or a structure that scoring could not rely on.
    pub fn load(bytes: &[u8], n_features: u32) -> Result<Model, ModelError> {
        match Model::load_compact(bytes, n_features) {
            #[cfg(feature = "onnx")]
            Err(_) => {
                let plan = tract::Plan::read(bytes, n_features)?;
                Ok(Model { width: n_features as usize, kind: ModelKind::Tract(plan) })
            }
            compact => compact,
        }
    }

    /// A model that needs nothing but this crate's own kernels.
    fn load_compact(bytes: &[u8], n_features: u32) -> Result<Model, ModelError> {
        let graph = Graph::read(bytes)?;
        for (domain, version) in &graph.opsets {
            let newest = match domain.as_str() {
                "" | "ai.onnx" => MAX_OPSET,
                "ai.onnx.ml" => MAX_ML_OPSET,
                _ => continue,
            };
            if *version > newest {
                return Err(ModelError::Opset { domain: domain.clone(), version: *version, newest });
            }
        }
        graph.check_interface(n_features)?;
        let kind = match dense::Chain::read(&graph, n_features)?.into_single() {
            Ok(single) => ModelKind::Single(single),
            Err(chain) => ModelKind::Chain(chain),
        };
        Ok(Model { width: n_features as usize, kind })
    }

    /// Appends a score for each row of `x`, row-major `f32[rows, n_features]`; what is left over of a row is ignored.
    ///
    /// Missing numbers follow the trees' default direction; linear and dense models give NaN.
    pub fn score(&self, x: &[f32], out: &mut Vec<f32>) {
        match &self.kind {
            ModelKind::Single(single) => single.score(x, self.width, out),
            ModelKind::Chain(chain) => chain.score(x, self.width, out),
            #[cfg(feature = "onnx")]
            ModelKind::Tract(plan) => plan.score(x, out),
        }
    }

    /// Like [`Model::score`], before a final logistic function of trees or of a linear model.
    pub fn raw(&self, x: &[f32], out: &mut Vec<f32>) {
        match &self.kind {
            ModelKind::Single(single) => single.raw(x, self.width, out),
            _ => self.score(x, out),
        }
    }

    /// Numbers in a vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// How the raw score comes about; `None` where it can only be asked for.
    pub(crate) fn exact(&self) -> Option<Exact<'_>> {
        match &self.kind {
            ModelKind::Single(single) => single.exact(),
            _ => None,
        }
    }

    /// Whether a missing number means something to this model.
    pub fn handles_missing(&self) -> bool {
        match &self.kind {
            ModelKind::Single(single) => single.handles_missing(),
            ModelKind::Chain(chain) => chain.handles_missing(),
            #[cfg(feature = "onnx")]
            ModelKind::Tract(_) => false,
        }
    }

    /// What this model is.
    pub fn describe(&self) -> ModelDescription {
        match &self.kind {
            ModelKind::Single(single) => single.describe(),
            ModelKind::Chain(chain) => chain.describe(),
            #[cfg(feature = "onnx")]
            ModelKind::Tract(plan) => plan.describe(),
        }
    }
}

impl std::fmt::Display for ModelDescription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            "trees" => write!(f, "{} trees, {} leaves, depth {}", self.trees, self.parameters, self.depth),
            kind => write!(f, "{kind}, {} weights", self.parameters),
        }
    }
}

/// A score as it leaves the engine: rounded once, and every NaN the same one.
fn number(x: f64) -> f32 {
    if x.is_nan() { f32::NAN } else { x as f32 }
}

/// The first 80 characters of a name, for a message in which it does not stand in backticks.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
pub(crate) mod tests;
