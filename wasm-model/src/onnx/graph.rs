//! A ModelProto as far as the engine needs it: operator sets, inputs, outputs, initializers and nodes.

use super::ModelError;
use super::protobuf::{Fields, floats_of, malformed};

/// `TensorProto.FLOAT`.
const FLOAT: i64 = 1;
/// Most nodes of a graph.
const MAX_NODES: usize = 1024;

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

pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    pub(super) data: Vec<f32>,
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
        graph.drop_identities();
        Ok(graph)
    }

    /// Takes out each `Identity` whose input another node makes: that node then makes the `Identity`'s output.
    fn drop_identities(&mut self) {
        while let Some(at) = self.nodes.iter().position(|node| {
            let own_domain = node.domain.is_empty() || node.domain == "ai.onnx";
            let ([input], [_]) = (node.inputs.as_slice(), node.outputs.as_slice()) else { return false };
            let makers = self.nodes.iter().filter(|n| n.outputs.contains(input)).count();
            let readers = self.nodes.iter().filter(|n| n.inputs.contains(input)).count();
            let exported = self.outputs.iter().any(|port| port.name == *input);
            own_domain && node.operator == "Identity" && makers == 1 && readers == 1 && !exported
        }) {
            let identity = self.nodes.remove(at);
            for output in self.nodes.iter_mut().flat_map(|n| &mut n.outputs) {
                if *output == identity.inputs[0] {
                    output.clone_from(&identity.outputs[0]);
                }
            }
        }
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

    pub(super) fn initializer(&self, name: &str) -> Option<&Tensor> {
        self.initializers.iter().find(|t| t.name == name)
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
        ModelError::Operator { domain, operator: self.operator.clone() }
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

    pub(super) fn texts(&self, name: &str) -> impl ExactSizeIterator<Item = &[u8]> {
        let texts: &[Vec<u8>] = self.attribute(name).map_or(&[], |a| &a.texts);
        texts.iter().map(Vec::as_slice)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
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
                7 => value.floats(&mut attribute.floats)?,
                8 => value.ints(&mut attribute.ints)?,
                9 => attribute.texts.push(value.bytes()?.to_vec()),
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl Tensor {
    fn read(bytes: &[u8]) -> Result<Tensor, ModelError> {
        let mut tensor = Tensor { name: String::new(), shape: Vec::new(), data: Vec::new() };
        let mut element = 0;
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.ints(&mut tensor.shape)?,
                2 => element = value.int()?,
                4 => value.floats(&mut tensor.data)?,
                8 => tensor.name = value.text()?,
                9 => floats_of(value.bytes()?, &mut tensor.data)?,
                13 | 14 => return Err(malformed("external tensor data is not supported")),
                _ => {}
            }
        }
        if element != FLOAT {
            return Err(malformed("an initializer is not of 32-bit floats"));
        }
        let size = tensor
            .shape
            .iter()
            .try_fold(1i64, |size, &d| u32::try_from(d).ok().and_then(|d| size.checked_mul(d.into())));
        if size != i64::try_from(tensor.data.len()).ok() {
            return Err(malformed("an initializer's data does not fit its shape"));
        }
        Ok(tensor)
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
