//! Makes a model that another exporter wrote what the engines run: one input `features f32[N, width]`, one output `score f32[N, 1]`.
//!
//! Ports are renamed, maps and labels dropped, a column of probabilities taken; no operator that the score needs is touched.
//! A file that is like that already is kept byte for byte.
//! Whether an engine runs the operators is for the engines to say.

mod graph;
mod output;
mod wire;

use shared_features::printable::{name, sentence};

use graph::{FLOAT, Graph, Kind, Port};
use wire::{Malformed, Message};

/// Names of the ports.
const FEATURES: &str = "features";
const SCORE: &str = "score";
/// The newest operator sets that an engine reads, by domain.
const NEWEST: [(&str, i64); 2] = [("ai.onnx", 24), ("ai.onnx.ml", 5)];

/// What a model is asked for, where there is a choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// The output, by name; the only one that may be a score where absent.
    pub output: Option<String>,
    /// What is taken of several columns.
    pub column: Column,
}

/// What becomes of an output with several columns, such as a classifier's probabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Column {
    /// The last one is the score: the positive class of two.
    #[default]
    Last,
    /// This one is, from 0.
    Class(u32),
    /// The sum of all, each times its weight, is.
    Weights(Vec<f32>),
}

/// A model for the engines.
#[derive(Clone, Debug, PartialEq)]
pub struct Canonical {
    /// The file.
    pub bytes: Vec<u8>,
    /// What was changed, in words that can be printed; nothing where the bytes are those that were read.
    pub changes: Vec<String>,
}

/// Why a model cannot be made canonical.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// Not a ModelProto.
    #[error("not an ONNX file: {reason}; pass a file that an exporter to ONNX wrote")]
    Malformed {
        /// Why.
        reason: &'static str,
    },
    /// An operator set that is too new.
    #[error(
        "operator set {version} of domain `{domain}` is newer than {newest}; export with an older one (`target_opset`)"
    )]
    Opset {
        /// The domain.
        domain: String,
        /// The model's.
        version: i64,
        /// The newest that is read.
        newest: i64,
    },
    /// Numbers beside the file.
    #[error("the numbers of tensor `{}` are in another file; save the model as one file, without external data", name(.tensor))]
    External {
        /// Which.
        tensor: String,
    },
    /// Not one input.
    #[error("the model has {count} inputs{}; expected one, f32[n, {width}], that takes a whole vector", sentence(.names))]
    Inputs {
        /// How many.
        count: usize,
        /// Their names, after a colon.
        names: String,
        /// The width of the encoder's vectors.
        width: u32,
    },
    /// An input of another type.
    #[error("input `{}` is {got}; expected f32[n, {width}], so export with an input of 32-bit floats", name(.input))]
    Input {
        /// Which.
        input: String,
        /// What it is.
        got: String,
        /// The width of the encoder's vectors.
        width: u32,
    },
    /// Vectors of another width.
    #[error(
        "input `{}` takes {got} numbers a row, but the encoder's vectors have {width}; \
         train on the columns `x.*` that `trainer vectors` writes with this log and spec",
        name(.input)
    )]
    Width {
        /// Which input.
        input: String,
        /// The model's width.
        got: i64,
        /// The encoder's.
        width: u32,
    },
    /// Several outputs that may be scores.
    #[error("the model has several outputs that may be scores: {}; name one with --output", sentence(.outputs))]
    Several {
        /// Each with its type.
        outputs: String,
    },
    /// No output that may be one, or not the one that was named.
    #[error("{}; the model's outputs are {}", sentence(.what), sentence(.outputs))]
    Output {
        /// What is wrong.
        what: String,
        /// Each with its type.
        outputs: String,
    },
    /// A column that does not exist, or weights for other columns.
    #[error("output `{}` has {columns}, so {wish}", name(.output))]
    Column {
        /// Which output.
        output: String,
        /// How many columns it has.
        columns: String,
        /// What cannot be had of them.
        wish: String,
    },
}

impl From<Malformed> for CanonicalError {
    fn from(_: Malformed) -> CanonicalError {
        CanonicalError::Malformed { reason: "its bytes are no protocol buffers" }
    }
}

/// Rewrites a model for vectors of `width` numbers.
///
/// # Errors
/// No ONNX file, an operator set that is too new, numbers in another file, another width, or outputs that leave the score open.
pub fn rewrite(bytes: &[u8], width: u32, wish: &Wish) -> Result<Canonical, CanonicalError> {
    let model = Message::read(bytes)?;
    let graph = model.message(7)?.ok_or(CanonicalError::Malformed { reason: "there is no graph in it" })?;
    check_opsets(&model)?;
    let mut graph = Graph::read(graph)?;
    if let Some(tensor) = graph.external()? {
        return Err(CanonicalError::External { tensor });
    }
    let mut changes = Vec::new();
    take_input(&mut graph, width, &mut changes)?;
    let value = output::take(&mut graph, wish, &mut changes)?;
    let dead = graph.prune(&value);
    if !dead.is_empty() {
        changes.push(format!("dropped what the score does not need: {}", dead.join(", ")));
    }
    graph.rename(&value, SCORE)?;
    if changes.is_empty() {
        return Ok(Canonical { bytes: bytes.to_vec(), changes });
    }
    graph.inputs = vec![Port::floats(FEATURES, width.into())];
    graph.outputs = vec![Port::floats(SCORE, 1)];
    let model = model.without(7).with_message(7, &graph.into_message());
    Ok(Canonical { bytes: model.to_bytes(), changes: changes.iter().map(|change| sentence(change)).collect() })
}

fn check_opsets(model: &Message) -> Result<(), CanonicalError> {
    for set in model.messages(8)? {
        let (domain, version) = (set.text(1), set.int(2).unwrap_or(0));
        let domain = if domain.is_empty() { NEWEST[0].0.to_owned() } else { domain };
        if let Some(&(_, newest)) = NEWEST.iter().find(|(known, newest)| *known == domain && version > *newest) {
            return Err(CanonicalError::Opset { domain, version, newest });
        }
    }
    Ok(())
}

/// Checks the input and gives it its name.
fn take_input(graph: &mut Graph, width: u32, changes: &mut Vec<String>) -> Result<(), CanonicalError> {
    let [input] = graph.inputs.as_slice() else {
        let names: Vec<String> = graph.inputs.iter().map(|port| format!("`{}`", port.name)).collect();
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        return Err(CanonicalError::Inputs { count: graph.inputs.len(), names, width });
    };
    let name = input.name.clone();
    let other = || CanonicalError::Input { input: name.clone(), got: output::in_words(&input.kind), width };
    let Kind::Tensor { element: FLOAT, shape } = &input.kind else { return Err(other()) };
    match shape.as_deref() {
        Some([batch, Some(got)]) if *got == i64::from(width) => {
            if batch.is_some() {
                changes.push(format!("let input `{name}` take any number of rows"));
            }
        }
        Some([_, Some(got)]) => return Err(CanonicalError::Width { input: name, got: *got, width }),
        Some([_, None]) | None => changes.push(format!("gave input `{name}` its width, {width}")),
        Some(_) => return Err(other()),
    }
    if name != FEATURES {
        changes.push(format!("renamed input `{name}` to `{FEATURES}`"));
        graph.rename(&name, FEATURES)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
