//! A ModelProto as far as the engine needs it: operator sets, inputs, outputs, initializers and nodes.

use super::protobuf::{Fields, malformed};
use super::tensor::{Data, FLOAT, Tensor};
use super::{ModelError, short};

/// Most nodes of a graph.
const MAX_NODES: usize = 1024;
/// Most initializers and inputs.
const MAX_NAMES: usize = 8 * MAX_NODES;

pub(super) struct Graph {
    pub(super) opsets: Vec<(String, i64)>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) nodes: Vec<Node>,
    pub(super) initializers: Vec<Tensor>,
}

/// An input or output: its name, element type, and shape where every size is known or symbolic (0).
pub(super) struct Port {
    pub(super) name: String,
    element: i64,
    shape: Vec<i64>,
}

pub(super) struct Node {
    pub(super) domain: String,
    pub(super) operator: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    attributes: Vec<Attribute>,
}

#[derive(Default)]
struct Attribute {
    name: String,
    float: Option<f32>,
    int: Option<i64>,
    text: Option<Vec<u8>>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<Vec<u8>>,
    tensor: Option<Tensor>,
}

impl Graph {
    pub(super) fn read(bytes: &[u8]) -> Result<Graph, ModelError> {
        let mut opsets = Vec::new();
        let mut graph = None;
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            match number {
                7 => graph = Some(value.bytes()?),
                8 => {
                    let (mut domain, mut version) = (String::new(), 0);
                    let mut fields = Fields::new(value.bytes()?);
                    while let Some((number, value)) = fields.next()? {
                        match number {
                            1 => domain = value.text()?,
                            2 => version = value.int()?,
                            _ => {}
                        }
                    }
                    opsets.push((domain, version));
                }
                _ => {}
            }
        }
        let mut graph_fields = Fields::new(graph.ok_or(malformed("it has no graph"))?);
        let mut graph =
            Graph { opsets, inputs: Vec::new(), outputs: Vec::new(), nodes: Vec::new(), initializers: Vec::new() };
        while let Some((number, value)) = graph_fields.next()? {
            match number {
                1 if graph.nodes.len() >= MAX_NODES => return Err(malformed("it has too many nodes")),
                1 => graph.nodes.push(Node::read(value.bytes()?)?),
                5 | 11 if graph.initializers.len() + graph.inputs.len() >= MAX_NAMES => {
                    return Err(malformed("it has too many initializers and inputs"));
                }
                5 => graph.initializers.push(Tensor::read(value.bytes()?)?),
                11 => graph.inputs.push(Port::read(value.bytes()?)?),
                12 => graph.outputs.push(Port::read(value.bytes()?)?),
                15 => return Err(malformed("sparse initializers are not supported")),
                _ => {}
            }
        }
        // Old exporters list initializers among the inputs.
        let initializers = &graph.initializers;
        graph.inputs.retain(|port| !initializers.iter().any(|t| t.name == port.name));
        Ok(graph)
    }

    /// One input `f32[n, n_features]`, one output `f32[n, 1]`.
    pub(super) fn check_interface(&self, n_features: u32) -> Result<(), ModelError> {
        let refuse = |what: String, expected: String| Err(ModelError::Interface { what, expected });
        let ([input], [output]) = (self.inputs.as_slice(), self.outputs.as_slice()) else {
            let what = format!("{} inputs and {} outputs", self.inputs.len(), self.outputs.len());
            return refuse(what, "one input and one output".into());
        };
        let expected = format!("an input f32[n, {n_features}], as wide as the encoder's vectors");
        if input.element != FLOAT
            || input.shape.len() != 2
            || input.shape[1] != i64::from(n_features)
            || n_features == 0
        {
            return refuse(format!("an input of element type {} and shape {:?}", input.element, input.shape), expected);
        }
        if output.element != FLOAT || !matches!(output.shape.as_slice(), [_, 1]) {
            let what = format!("an output of element type {} and shape {:?}", output.element, output.shape);
            return refuse(what, "an output f32[n, 1]".into());
        }
        Ok(())
    }
}

impl Node {
    pub(super) fn read(bytes: &[u8]) -> Result<Node, ModelError> {
        let mut node = Node {
            domain: String::new(),
            operator: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            attributes: Vec::new(),
        };
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => node.inputs.push(value.text()?),
                2 => node.outputs.push(value.text()?),
                4 => node.operator = value.text()?,
                5 => node.attributes.push(Attribute::read(value.bytes()?)?),
                7 => node.domain = value.text()?,
                _ => {}
            }
        }
        Ok(node)
    }

    /// The error for an operator that is not run.
    pub(super) fn unsupported(&self) -> ModelError {
        let domain = if self.domain.is_empty() { String::new() } else { format!("{}.", self.domain) };
        ModelError::Operator { domain: short(&domain), operator: short(&self.operator) }
    }

    pub(super) fn ints(&self, name: &str) -> &[i64] {
        self.attribute(name).map_or(&[], |a| &a.ints)
    }

    pub(super) fn floats(&self, name: &str) -> &[f32] {
        self.attribute(name).map_or(&[], |a| &a.floats)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.int).unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).and_then(|a| a.float).unwrap_or(default)
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> &str {
        let text = self.attribute(name).and_then(|a| a.text.as_deref());
        text.map_or(default, |t| std::str::from_utf8(t).unwrap_or("(not UTF-8)"))
    }

    pub(super) fn texts(&self, name: &str) -> &[Vec<u8>] {
        self.attribute(name).map_or(&[], |a| &a.texts)
    }

    /// The numbers of a list of floats, of its `_as_tensor`, or of a tensor of this name.
    pub(super) fn numbers(&self, name: &str) -> Vec<f64> {
        let tensor = |name: &str| self.attribute(name).and_then(|a| a.tensor.as_ref());
        match tensor(&format!("{name}_as_tensor")).or_else(|| tensor(name)).map(|t| &t.data) {
            Some(Data::Floats(x)) => x.iter().map(|&x| f64::from(x)).collect(),
            Some(Data::Doubles(x)) => x.clone(),
            Some(Data::Ints(_)) => Vec::new(),
            None => self.floats(name).iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// The integers of a tensor.
    pub(super) fn tensor_ints(&self, name: &str) -> &[i64] {
        match self.attribute(name).and_then(|a| a.tensor.as_ref()).map(|t| &t.data) {
            Some(Data::Ints(x)) => x,
            _ => &[],
        }
    }

    /// How many class labels it has.
    pub(super) fn labels(&self) -> usize {
        let ints = ["classlabels_int64s", "classlabels_ints"].map(|name| self.ints(name).len());
        ints.into_iter().sum::<usize>() + self.texts("classlabels_strings").len()
    }

    /// Whether this is an operator of the default domain.
    pub(super) fn is_default(&self) -> bool {
        self.domain.is_empty() || self.domain == "ai.onnx"
    }

    /// Whether this is an operator of `ai.onnx.ml`.
    pub(super) fn is_ml(&self) -> bool {
        self.domain == "ai.onnx.ml"
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }
}

impl Attribute {
    fn read(bytes: &[u8]) -> Result<Attribute, ModelError> {
        let mut attribute = Attribute::default();
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => attribute.name = value.text()?,
                2 => attribute.float = Some(value.float()?),
                3 => attribute.int = Some(value.int()?),
                4 => attribute.text = Some(value.bytes()?.to_vec()),
                5 => attribute.tensor = Some(Tensor::read(value.bytes()?)?),
                7 => value.floats(&mut attribute.floats)?,
                8 => value.ints(&mut attribute.ints)?,
                9 => attribute.texts.push(value.bytes()?.to_vec()),
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl Port {
    fn read(bytes: &[u8]) -> Result<Port, ModelError> {
        let mut port = Port { name: String::new(), element: 0, shape: Vec::new() };
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => port.name = value.text()?,
                2 => port.read_type(value.bytes()?)?,
                _ => {}
            }
        }
        Ok(port)
    }

    // TypeProto { 1: Tensor { 1: elem_type, 2: TensorShapeProto { 1: Dimension { 1: dim_value } } } }
    fn read_type(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            if number != 1 {
                continue;
            }
            let mut tensor = Fields::new(value.bytes()?);
            while let Some((number, value)) = tensor.next()? {
                match number {
                    1 => self.element = value.int()?,
                    2 => {
                        let mut shape = Fields::new(value.bytes()?);
                        while let Some((number, value)) = shape.next()? {
                            if number == 1 {
                                self.shape.push(dimension(value.bytes()?)?);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn dimension(bytes: &[u8]) -> Result<i64, ModelError> {
    let mut size = 0;
    let mut fields = Fields::new(bytes);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            size = value.int()?;
        }
    }
    Ok(size)
}
