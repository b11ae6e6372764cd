//! Chains of Gemm, MatMul, Add, Relu, Sigmoid, Tanh and Identity with constant weights.
//!
//! Every dot product is summed in `f64` in index order and rounded once to `f32`; activations likewise.

use super::graph::{Graph, Node, Tensor};
use super::{ModelDescription, ModelError, logistic};

#[derive(Debug)]
pub(super) struct Chain {
    layers: Vec<Layer>,
}

#[derive(Debug)]
enum Layer {
    /// `weights` are `f32[outputs, inputs]`.
    Affine {
        inputs: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
    },
    Bias(Vec<f32>),
    Activation(Activation),
}

#[derive(Clone, Copy, Debug)]
enum Activation {
    Relu,
    Sigmoid,
    Tanh,
}

/// Widest layer.
const MAX_WIDTH: usize = 16_384;

impl Chain {
    pub(super) fn read(graph: &Graph, nodes: &[Node], n_features: u32) -> Result<Chain, ModelError> {
        let mut layers = Vec::new();
        let mut width = n_features as usize;
        let mut value = graph.inputs[0].name.as_str();
        for node in nodes {
            let [output] = node.outputs.as_slice() else { return Err(node.unsupported()) };
            let own_domain = node.domain.is_empty() || node.domain == "ai.onnx";
            let layer = match node.operator.as_str() {
                "Gemm" if own_domain => Some(gemm(graph, node, value, width)?),
                "MatMul" if own_domain => Some(mat_mul(graph, node, value, width)?),
                "Add" if own_domain => Some(Layer::Bias(add(graph, node, value, width)?)),
                "Relu" if own_domain => Some(Layer::Activation(Activation::Relu)),
                "Sigmoid" if own_domain => Some(Layer::Activation(Activation::Sigmoid)),
                "Tanh" if own_domain => Some(Layer::Activation(Activation::Tanh)),
                "Identity" if own_domain => None,
                _ => return Err(node.unsupported()),
            };
            if !node.inputs.iter().any(|input| input == value) {
                return Err(refuse("Graph", format!("{} does not read the value before it", node.operator)));
            }
            if let Some(Layer::Affine { bias, .. }) = &layer {
                width = bias.len();
            }
            layers.extend(layer);
            value = output;
        }
        if value != graph.outputs[0].name || width != 1 {
            return Err(refuse(
                "Graph",
                format!("it ends as `{value}` with {width} numbers a row, expected the output with 1"),
            ));
        }
        Ok(Chain { layers })
    }

    pub(super) fn score(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        for row in x.chunks_exact(width) {
            let mut value = row.to_vec();
            for layer in &self.layers {
                layer.apply(&mut value);
            }
            out.push(value.first().copied().unwrap_or(f32::NAN));
        }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        let parameters = self.layers.iter().map(|layer| match layer {
            Layer::Affine { weights, bias, .. } => weights.len() + bias.len(),
            Layer::Bias(bias) => bias.len(),
            Layer::Activation(_) => 0,
        });
        ModelDescription {
            kind: "dense",
            trees: 0,
            parameters: parameters.sum::<usize>() as u32,
            depth: self.layers.iter().filter(|l| matches!(l, Layer::Affine { .. })).count() as u32,
        }
    }
}

impl Layer {
    fn apply(&self, value: &mut Vec<f32>) {
        match self {
            Layer::Affine { inputs, weights, bias } => {
                *value = weights
                    .chunks_exact(*inputs)
                    .zip(bias)
                    .map(|(row, bias)| {
                        let mut sum = 0.0;
                        for (x, w) in value.iter().zip(row) {
                            sum += f64::from(*x) * f64::from(*w);
                        }
                        (sum + f64::from(*bias)) as f32
                    })
                    .collect();
            }
            Layer::Bias(bias) => value.iter_mut().zip(bias).for_each(|(x, b)| *x += b),
            Layer::Activation(activation) => value.iter_mut().for_each(|x| *x = activation.apply(*x)),
        }
    }
}

impl Activation {
    fn apply(self, x: f32) -> f32 {
        match self {
            // A NaN goes through, as the operator's definition says.
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::Sigmoid => logistic(f64::from(x)) as f32,
            Activation::Tanh => libm::tanh(f64::from(x)) as f32,
        }
    }
}

fn gemm(graph: &Graph, node: &Node, value: &str, width: usize) -> Result<Layer, ModelError> {
    let [input, weights, rest @ ..] = node.inputs.as_slice() else {
        return Err(refuse("Gemm", "fewer than two inputs".into()));
    };
    if input != value || node.int("transA", 0) != 0 {
        return Err(refuse("Gemm", "its first input must be the value before it, not transposed".into()));
    }
    let transposed = node.int("transB", 0) != 0;
    let mut layer = affine("Gemm", tensor("Gemm", graph, weights)?, transposed, width)?;
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    if let Layer::Affine { weights, bias, .. } = &mut layer {
        weights.iter_mut().for_each(|w| *w *= alpha);
        if let Some(name) = rest.first().filter(|name| !name.is_empty()) {
            let constant = tensor("Gemm", graph, name)?;
            *bias = broadcast("Gemm", constant, bias.len())?.iter().map(|b| b * beta).collect();
        }
    }
    check_finite("Gemm", layer)
}

fn mat_mul(graph: &Graph, node: &Node, value: &str, width: usize) -> Result<Layer, ModelError> {
    match node.inputs.as_slice() {
        [input, weights] if input == value => {
            check_finite("MatMul", affine("MatMul", tensor("MatMul", graph, weights)?, false, width)?)
        }
        _ => Err(refuse("MatMul", "its first input must be the value before it, its second a constant".into())),
    }
}

fn add(graph: &Graph, node: &Node, value: &str, width: usize) -> Result<Vec<f32>, ModelError> {
    let constant = match node.inputs.as_slice() {
        [a, b] if a == value => b,
        [a, b] if b == value => a,
        _ => return Err(refuse("Add", "it must add a constant to the value before it".into())),
    };
    broadcast("Add", tensor("Add", graph, constant)?, width)
}

fn affine(operator: &'static str, tensor: &Tensor, transposed: bool, width: usize) -> Result<Layer, ModelError> {
    let (rows, columns) = match tensor.shape.as_slice() {
        [rows, columns] => (*rows as usize, *columns as usize),
        other => return Err(refuse(operator, format!("weights of shape {other:?}, expected a matrix"))),
    };
    let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
    if inputs != width || outputs == 0 || outputs > MAX_WIDTH {
        return Err(refuse(
            operator,
            format!("weights for {inputs} inputs and {outputs} outputs, the value has {width}"),
        ));
    }
    let weights = if transposed {
        tensor.data.clone()
    } else {
        (0..outputs).flat_map(|o| (0..inputs).map(move |i| tensor.data[i * outputs + o])).collect()
    };
    Ok(Layer::Affine { inputs, weights, bias: vec![0.0; outputs] })
}

fn broadcast(operator: &'static str, tensor: &Tensor, width: usize) -> Result<Vec<f32>, ModelError> {
    match tensor.data.len() {
        1 => Ok(vec![tensor.data[0]; width]),
        n if n == width => Ok(tensor.data.clone()),
        n => Err(refuse(operator, format!("a constant of {n} numbers for {width}"))),
    }
}

fn tensor<'a>(operator: &'static str, graph: &'a Graph, name: &str) -> Result<&'a Tensor, ModelError> {
    graph.initializer(name).ok_or_else(|| refuse(operator, format!("`{name}` is not a constant")))
}

fn check_finite(operator: &'static str, layer: Layer) -> Result<Layer, ModelError> {
    match &layer {
        Layer::Affine { weights, bias, .. } if !weights.iter().chain(bias).all(|x| x.is_finite()) => {
            Err(refuse(operator, "a weight is not finite".into()))
        }
        _ => Ok(layer),
    }
}

fn refuse(operator: &'static str, reason: String) -> ModelError {
    ModelError::Node { operator, reason }
}
