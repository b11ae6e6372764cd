//! Reads a graph of heads and dense layers; every shape is checked here, so that running it cannot fail.

use super::{Activation, Binary, Chain, Operand, Run, Slot, Step};
use crate::onnx::ModelError;
use crate::onnx::graph::{Graph, Node};
use crate::onnx::head::{Head, Single};
use crate::onnx::tensor::{DOUBLE, Data, FLOAT, Tensor};

/// Widest value.
const MAX_WIDTH: usize = 16_384;
/// Most numbers of all values of a row.
const MAX_CELLS: usize = 1 << 18;
/// Most weights of all layers, twice what a model's file has room for; a constant counts for each layer that reads it.
const MAX_WEIGHTS: usize = 1 << 25;

/// What a name in the graph stands for.
#[derive(Clone, Copy)]
enum Meaning<'a> {
    Value(Slot),
    Constant(&'a Tensor),
    /// A classifier's label, which nothing may read.
    Label,
}

/// What each name stands for, latest last; a linear search costs less than a map, in a graph of few nodes.
struct Names<'a>(Vec<(&'a str, Meaning<'a>)>);

impl Chain {
    /// Reads the nodes in their order, which is that of their values.
    ///
    /// # Errors
    /// An operator that is not run, a value that nothing before makes, or shapes that do not fit, by the operator's name.
    pub(in crate::onnx) fn read(graph: &Graph, n_features: u32) -> Result<Chain, ModelError> {
        let width = n_features as usize;
        let features = Slot { at: 0, width };
        let mut names = Names(graph.initializers.iter().map(|t| (t.name.as_str(), Meaning::Constant(t))).collect());
        names.0.push((&graph.inputs[0].name, Meaning::Value(features)));
        let mut weights = 0;
        let mut chain = Chain { steps: Vec::new(), cells: width, output: features, reads_features: false };
        for node in &graph.nodes {
            let operator = operator(node).ok_or_else(|| node.unsupported())?;
            let refuse = |reason: String| ModelError::Node { operator, reason };
            let output = match operator {
                "Identity" | "Cast" => names.same(node).map_err(refuse)?,
                "Reshape" => names.same_shape(node).map_err(refuse)?,
                "Mul" if names.is_one(node) => names.value(&node.inputs[0]).map_err(refuse)?,
                _ => {
                    let head = Head::read(node, n_features)?;
                    let step = match head {
                        Some(head) => names.head(node, head, features),
                        None => names.layer(operator, node),
                    };
                    let (run, width) = step.map_err(refuse)?;
                    if width == 0 || width > MAX_WIDTH || chain.cells + width > MAX_CELLS {
                        return Err(refuse(format!("a value of {width} numbers a row, which is too many or none")));
                    }
                    weights += run.weights();
                    if weights > MAX_WEIGHTS {
                        return Err(refuse(format!("its layers have more than {MAX_WEIGHTS} weights together")));
                    }
                    chain.reads_features |= run.reads(features);
                    let output = Slot { at: chain.cells, width };
                    chain.cells += width;
                    chain.steps.push(Step { run, output });
                    output
                }
            };
            names.define(node, output).map_err(refuse)?;
        }
        let refuse = |reason: String| Err(ModelError::Node { operator: "Graph", reason });
        let name = &graph.outputs[0].name;
        match names.find(name) {
            Some(Meaning::Value(slot)) if slot.width == 1 => chain.output = slot,
            Some(Meaning::Value(slot)) => {
                return refuse(format!("its output `{name}` has {} numbers a row, expected 1", slot.width));
            }
            Some(_) => return refuse(format!("its output `{name}` is no score")),
            None => return refuse(format!("no node makes its output `{name}`")),
        }
        chain.reads_features |= chain.output == features;
        Ok(chain)
    }

    /// The head's column that is the score, where there is nothing else.
    ///
    /// # Errors
    /// The chain as it was, where there is more.
    pub(in crate::onnx) fn into_single(mut self) -> Result<Single, Chain> {
        let place = match self.steps.as_slice() {
            [Step { output, .. }] if *output == self.output => 0,
            [Step { output, .. }, Step { run: Run::Gather(input, places), output: column }]
                if output == input && *column == self.output =>
            {
                places[0]
            }
            _ => return Err(self),
        };
        match self.steps.swap_remove(0) {
            Step { run: Run::Head(head), output } => head.single(place).map_err(|head| {
                self.steps.insert(0, Step { run: Run::Head(head), output });
                self
            }),
            other => {
                self.steps.insert(0, other);
                Err(self)
            }
        }
    }
}

/// An operator that is run.
fn operator(node: &Node) -> Option<&'static str> {
    let known: &[&'static str] = if node.is_ml() {
        &[
            "TreeEnsemble",
            "TreeEnsembleRegressor",
            "TreeEnsembleClassifier",
            "LinearRegressor",
            "LinearClassifier",
            "Normalizer",
        ]
    } else if node.is_default() {
        &[
            "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Relu", "Sigmoid", "Tanh", "Softmax", "Concat", "Gather",
            "Identity", "Cast", "Reshape",
        ]
    } else {
        &[]
    };
    known.iter().find(|name| node.operator == **name).copied()
}

impl Run {
    /// Whether it is no head and reads this value.
    fn reads(&self, slot: Slot) -> bool {
        let operand = |operand: &Operand| matches!(operand, Operand::Value(value) if *value == slot);
        match self {
            Run::Head(_) => false,
            Run::Affine { input, .. }
            | Run::Activation(_, input)
            | Run::Softmax(input)
            | Run::Normalize(input)
            | Run::Gather(input, _) => *input == slot,
            Run::Binary(_, a, b) => operand(a) || operand(b),
            Run::Concat(inputs) => inputs.contains(&slot),
        }
    }
}

impl<'a> Names<'a> {
    fn find(&self, name: &str) -> Option<Meaning<'a>> {
        self.0.iter().rfind(|(known, _)| *known == name).map(|(_, meaning)| *meaning)
    }

    fn get(&self, name: &str) -> Result<Meaning<'a>, String> {
        match self.find(name) {
            Some(Meaning::Label) => Err(format!("it reads `{name}`, a classifier's label")),
            Some(meaning) => Ok(meaning),
            None => Err(format!("it reads `{name}`, which is no constant and which nothing before it makes")),
        }
    }

    fn value(&self, name: &str) -> Result<Slot, String> {
        match self.get(name)? {
            Meaning::Value(slot) => Ok(slot),
            _ => Err(format!("`{name}` is a constant, expected a value")),
        }
    }

    /// A constant's shape and floats, all finite.
    fn constant(&self, name: &str) -> Result<(&'a [i64], &'a [f32]), String> {
        match self.get(name)? {
            Meaning::Constant(Tensor { shape, data: Data::Floats(data), .. }) => {
                if data.iter().all(|x| x.is_finite()) {
                    Ok((shape, data))
                } else {
                    Err(format!("a number of `{name}` is not finite"))
                }
            }
            Meaning::Constant(_) => Err(format!("`{name}` is not of 32-bit floats")),
            _ => Err(format!("`{name}` is not a constant")),
        }
    }

    /// The numbers of a constant for a row of `width`: as many, or one for all.
    fn row(&self, name: &str, width: usize) -> Result<Vec<f32>, String> {
        let (shape, data) = self.constant(name)?;
        let last = shape.last().map_or(1, |&last| last as usize);
        if shape.len() <= 2 && data.len() == last && (last == 1 || last == width) {
            Ok(data.to_vec())
        } else {
            Err(format!("a constant of shape {shape:?} for rows of {width}"))
        }
    }

    /// Gives a node's output its meaning; each name is given once.
    fn define(&mut self, node: &'a Node, slot: Slot) -> Result<(), String> {
        let classifier = node.is_ml() && node.operator.ends_with("Classifier");
        let (label, output) = match node.outputs.as_slice() {
            [output] if !classifier => (None, output),
            [label, output] if classifier => (Some(label), output),
            outputs => return Err(format!("{} outputs", outputs.len())),
        };
        for (name, meaning) in [(label, Meaning::Label), (Some(output), Meaning::Value(slot))] {
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            if self.find(name).is_some() {
                return Err(format!("`{name}` is made twice"));
            }
            self.0.push((name, meaning));
        }
        Ok(())
    }

    /// The value that an Identity hands on, or a Cast between floats, which changes nothing here.
    fn same(&self, node: &Node) -> Result<Slot, String> {
        let [input] = node.inputs.as_slice() else { return Err(format!("{} inputs", node.inputs.len())) };
        if node.operator == "Cast" && ![FLOAT, DOUBLE].contains(&node.int("to", 0)) {
            return Err(format!("to element type {}, expected floats", node.int("to", 0)));
        }
        self.value(input)
    }

    /// The value that a Reshape to the shape that it has already hands on, as exporters write behind a single output.
    fn same_shape(&self, node: &Node) -> Result<Slot, String> {
        let [input, shape] = node.inputs.as_slice() else { return Err(format!("{} inputs", node.inputs.len())) };
        let slot = self.value(input)?;
        match self.get(shape)? {
            Meaning::Constant(Tensor { data: Data::Ints(shape), .. }) if *shape == [-1, slot.width as i64] => Ok(slot),
            _ => Err(format!("only to rows of {}, as its input has", slot.width)),
        }
    }

    /// Whether a node multiplies by a constant 1, as exporters write a learning rate that they have applied already.
    fn is_one(&self, node: &Node) -> bool {
        let [_, factor] = node.inputs.as_slice() else { return false };
        matches!(self.constant(factor), Ok((&[] | &[1], &[1.0])))
    }

    fn head(&self, node: &Node, head: Head, features: Slot) -> Result<(Run, usize), String> {
        let [input] = node.inputs.as_slice() else { return Err(format!("{} inputs", node.inputs.len())) };
        if self.value(input)? != features {
            return Err(format!("it reads `{input}`, expected the model's input"));
        }
        let width = head.width();
        Ok((Run::Head(head), width))
    }

    fn layer(&self, operator: &str, node: &Node) -> Result<(Run, usize), String> {
        let inputs: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
        let one = || match inputs.as_slice() {
            [input] => self.value(input),
            inputs => Err(format!("{} inputs, expected 1", inputs.len())),
        };
        match (operator, inputs.as_slice()) {
            ("Gemm", [input, weights]) => self.gemm(node, input, weights, ""),
            ("Gemm", [input, weights, bias]) => self.gemm(node, input, weights, bias),
            ("MatMul", [input, weights]) => self.affine(input, weights, false),
            ("Add", [a, b]) => self.binary(Binary::Add, a, b),
            ("Sub", [a, b]) => self.binary(Binary::Sub, a, b),
            ("Mul", [a, b]) => self.binary(Binary::Mul, a, b),
            ("Div", [a, b]) => self.binary(Binary::Div, a, b),
            ("Relu", _) => one().map(|slot| (Run::Activation(Activation::Relu, slot), slot.width)),
            ("Sigmoid", _) => one().map(|slot| (Run::Activation(Activation::Sigmoid, slot), slot.width)),
            ("Tanh", _) => one().map(|slot| (Run::Activation(Activation::Tanh, slot), slot.width)),
            ("Softmax", _) => {
                along_columns(node, -1)?;
                one().map(|slot| (Run::Softmax(slot), slot.width))
            }
            ("Normalizer", _) => match node.text("norm", "MAX") {
                "L1" => one().map(|slot| (Run::Normalize(slot), slot.width)),
                _ => Err("only norm L1 is supported".into()),
            },
            ("Concat", [_, ..]) => {
                along_columns(node, 0)?;
                let inputs = inputs.iter().map(|input| self.value(input)).collect::<Result<Vec<_>, _>>()?;
                let width = inputs.iter().fold(0usize, |sum, input| sum.saturating_add(input.width));
                Ok((Run::Concat(inputs), width))
            }
            ("Gather", [input, places]) => {
                along_columns(node, 0)?;
                self.gather(input, places)
            }
            (_, inputs) => Err(format!("{} inputs", inputs.len())),
        }
    }

    fn gemm(&self, node: &Node, input: &str, weights: &str, bias: &str) -> Result<(Run, usize), String> {
        if node.int("transA", 0) != 0 {
            return Err("transA is not supported".into());
        }
        let (mut run, width) = self.affine(input, weights, node.int("transB", 0) != 0)?;
        let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
        let Run::Affine { weights, bias: sums, .. } = &mut run else { return Ok((run, width)) };
        weights.iter_mut().for_each(|w| *w *= alpha);
        if !bias.is_empty() {
            let row = self.row(bias, width)?;
            sums.iter_mut().enumerate().for_each(|(i, b)| *b = super::at(&row, i) * beta);
        }
        if weights.iter().chain(sums.iter()).all(|x| x.is_finite()) {
            Ok((run, width))
        } else {
            Err("a weight is not finite".into())
        }
    }

    fn affine(&self, input: &str, weights: &str, transposed: bool) -> Result<(Run, usize), String> {
        let input = self.value(input)?;
        let (shape, data) = self.constant(weights)?;
        let [rows, columns] = shape else { return Err(format!("weights of shape {shape:?}, expected a matrix")) };
        let (rows, columns) = (*rows as usize, *columns as usize);
        let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        if inputs != input.width || outputs == 0 || outputs > MAX_WIDTH {
            let width = input.width;
            return Err(format!("weights for {inputs} inputs and {outputs} outputs, the value has {width}"));
        }
        let weights = if transposed {
            data.to_vec()
        } else {
            (0..outputs).flat_map(|o| (0..inputs).map(move |i| data[i * outputs + o])).collect()
        };
        Ok((Run::Affine { input, weights, bias: vec![0.0; outputs] }, outputs))
    }

    fn binary(&self, binary: Binary, a: &str, b: &str) -> Result<(Run, usize), String> {
        let width =
            match (self.get(a)?, self.get(b)?) {
                (Meaning::Value(a), Meaning::Value(b)) if a.width == b.width || b.width == 1 => a.width,
                (Meaning::Value(a), Meaning::Value(b)) if a.width == 1 => b.width,
                (Meaning::Value(a), Meaning::Value(b)) => {
                    return Err(format!("values of {} and {} numbers a row", a.width, b.width));
                }
                // A single number meets a constant row.
                (Meaning::Value(a), Meaning::Constant(t)) | (Meaning::Constant(t), Meaning::Value(a)) => {
                    if a.width == 1 { t.len() } else { a.width }
                }
                _ => return Err("both sides are constants, expected a value".into()),
            };
        let side = |name: &str| match self.get(name)? {
            Meaning::Value(slot) => Ok(Operand::Value(slot)),
            _ => self.row(name, width).map(Operand::Constant),
        };
        let (a, b) = (side(a)?, side(b)?);
        if matches!((binary, &b), (Binary::Div, Operand::Constant(numbers)) if numbers.contains(&0.0)) {
            return Err("it divides by a constant 0".into());
        }
        Ok((Run::Binary(binary, a, b), width))
    }

    fn gather(&self, input: &str, places: &str) -> Result<(Run, usize), String> {
        let input = self.value(input)?;
        let Meaning::Constant(Tensor { shape, data: Data::Ints(indices), .. }) = self.get(places)? else {
            return Err(format!("`{places}` is not a constant of 64-bit integers"));
        };
        let width = input.width as i64;
        if shape.len() != 1 || indices.len() > MAX_WIDTH {
            return Err(format!("indices of shape {shape:?}, expected a list"));
        }
        let places = indices.iter().map(|&at| match if at < 0 { at.saturating_add(width) } else { at } {
            place if (0..width).contains(&place) => Ok(place as usize),
            _ => Err(format!("column {at} of {width}")),
        });
        let places = places.collect::<Result<Vec<_>, _>>()?;
        let width = places.len();
        Ok((Run::Gather(input, places), width))
    }
}

/// Refuses an axis other than a row's numbers.
fn along_columns(node: &Node, default: i64) -> Result<(), String> {
    match node.int("axis", default) {
        1 | -1 => Ok(()),
        axis => Err(format!("axis {axis}, expected 1")),
    }
}
