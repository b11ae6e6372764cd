//! A model's graph as far as rewriting needs it: nodes, constants, inputs and outputs, each with the message it was read from.

use std::collections::{BTreeMap, BTreeSet};

use super::wire::{MAX_NESTING, Malformed, Message, Value};

/// `TensorProto.DataType`.
pub(super) const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A graph; what is not listed here stays in `rest`.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    constants: Vec<Constant>,
    rest: Message,
}

/// A node, with the names it reads and makes; within the graphs of its attributes too.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) domain: String,
    pub(super) operator: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    inner: BTreeSet<String>,
    message: Message,
}

#[derive(Debug)]
struct Constant {
    name: String,
    message: Message,
}

/// An input or output of the model.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) kind: Kind,
    message: Message,
}

/// What an input or output is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Its sizes, `None` where symbolic, which exporters also write as 0 or less; no shape where the file says none.
    Tensor { element: i64, shape: Option<Vec<Option<i64>>> },
    /// A sequence, a map or a sparse tensor.
    Other,
    /// The file does not say.
    Unknown,
}

impl Graph {
    pub(super) fn read(message: Message) -> Result<Graph, Malformed> {
        let constants: Vec<Constant> =
            message.messages(5)?.into_iter().map(|message| Constant { name: message.text(8), message }).collect();
        let ports = |number| message.messages(number)?.into_iter().map(Port::read).collect::<Result<Vec<_>, _>>();
        let mut inputs = ports(11)?;
        // Old exporters list constants among the inputs.
        let names: BTreeSet<&String> = constants.iter().map(|c| &c.name).collect();
        inputs.retain(|port| !names.contains(&port.name));
        Ok(Graph {
            nodes: message.messages(1)?.into_iter().map(Node::read).collect::<Result<_, _>>()?,
            inputs,
            outputs: ports(12)?,
            constants,
            rest: message,
        })
    }

    /// The graph's message; hints on the shapes of inner values are left out, as they may no longer hold.
    pub(super) fn into_message(self) -> Message {
        let mut message = [1, 5, 11, 12, 13].into_iter().fold(self.rest, Message::without);
        for node in &self.nodes {
            message = message.with_message(1, &node.message);
        }
        for constant in &self.constants {
            message = message.with_message(5, &constant.message);
        }
        for (number, ports) in [(11, &self.inputs), (12, &self.outputs)] {
            for port in ports {
                message = message.with_message(number, &port.message);
            }
        }
        message
    }

    /// The node that makes a value.
    pub(super) fn maker(&self, value: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.outputs.iter().any(|output| output == value))
    }

    /// The integers of a constant: an initializer, or what a `Constant` makes.
    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        let constant = self.constants.iter().find(|c| c.name == name).map(|c| c.message.clone());
        let made = || self.maker(name).filter(|n| n.is("", "Constant"))?.attribute("value")?.message(5).ok()?;
        let tensor = constant.or_else(made)?;
        if tensor.int(2) != Some(INT64) {
            return None;
        }
        let raw: Vec<i64> =
            tensor.all(9).flat_map(|raw| raw.as_chunks::<8>().0).map(|b| i64::from_le_bytes(*b)).collect();
        if raw.is_empty() { tensor.ints(7).ok() } else { Some(raw) }
    }

    /// A name that nothing has yet.
    pub(super) fn free_name(&self, wanted: &str) -> String {
        let ports = self.inputs.iter().chain(&self.outputs).map(|port| &port.name);
        let used: BTreeSet<&String> = self
            .nodes
            .iter()
            .flat_map(|node| node.names())
            .chain(self.constants.iter().map(|c| &c.name))
            .chain(ports)
            .collect();
        let mut name = wanted.to_owned();
        while used.contains(&name) {
            name.push('_');
        }
        name
    }

    /// Gives a value another name, wherever it is read; a value that has that name already gets a free one.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Malformed> {
        if from == to {
            return Ok(());
        }
        let free = self.free_name(to);
        if free != to {
            self.rename(to, &free)?;
        }
        for node in &mut self.nodes {
            if node.names().any(|name| name == from) {
                let mut message = node.message.clone();
                rename_in_node(&mut message, from, to, 0)?;
                *node = Node::read(message)?;
            }
        }
        for constant in self.constants.iter_mut().filter(|c| c.name == from) {
            constant.message = constant.message.clone().without(8).with_text(8, to);
            to.clone_into(&mut constant.name);
        }
        for port in self.inputs.iter_mut().chain(&mut self.outputs).filter(|port| port.name == from) {
            port.message = port.message.clone().without(1).with_text(1, to);
            to.clone_into(&mut port.name);
        }
        Ok(())
    }

    /// Appends an operator of the default domain that reads a value; gives the name of what it makes.
    pub(super) fn append(&mut self, operator: &str, inputs: &[&str], attribute: Option<(&str, i64)>) -> String {
        let output = self.free_name("score");
        let mut message = inputs.iter().fold(Message::default(), |message, input| message.with_text(1, input));
        message = message.with_text(2, &output).with_text(4, operator);
        if let Some((name, number)) = attribute {
            // AttributeProto.INT
            let attribute =
                Message::default().with_text(1, name).with(3, Value::Varint(number as u64)).with(20, Value::Varint(2));
            message = message.with_message(5, &attribute);
        }
        self.nodes.push(Node::read(message).expect("what is written here can be read"));
        output
    }

    /// Adds a constant of little-endian numbers; gives its name.
    pub(super) fn constant(&mut self, element: Element, shape: &[i64], data: Vec<u8>) -> String {
        let name = self.free_name("column");
        let message =
            shape.iter().fold(Message::default(), |message, size| message.with(1, Value::Varint(*size as u64)));
        let element = match element {
            Element::Float => FLOAT,
            Element::Int => INT64,
        };
        let message = message.with(2, Value::Varint(element as u64)).with_text(8, &name).with(9, Value::Bytes(data));
        self.constants.push(Constant { name: name.clone(), message });
        name
    }

    /// Takes out what a value does not need; gives the operators that are gone.
    pub(super) fn prune(&mut self, value: &str) -> Vec<String> {
        let mut makers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            node.outputs.iter().for_each(|output| makers.entry(output).or_default().push(at));
        }
        let mut needed = BTreeSet::new();
        let mut live = vec![false; self.nodes.len()];
        let mut open = vec![value.to_owned()];
        while let Some(name) = open.pop() {
            for &at in makers.get(name.as_str()).into_iter().flatten() {
                if !live[at] {
                    live[at] = true;
                    // An empty name stands for an input or output that is left out.
                    let names = self.nodes[at].names().filter(|name| !name.is_empty() && !needed.contains(*name));
                    open.extend(names.cloned());
                }
            }
            needed.insert(name);
        }
        let dead =
            self.nodes.iter().zip(&live).filter(|(_, live)| !**live).map(|(node, _)| node.operator.clone()).collect();
        let mut live = live.into_iter();
        self.nodes.retain(|_| live.next().unwrap_or(true));
        self.constants.retain(|c| needed.contains(&c.name));
        dead
    }

    /// A tensor whose numbers are in another file.
    pub(super) fn external(&self) -> Result<Option<String>, Malformed> {
        for node in &self.nodes {
            if let Some(tensor) = external_in_node(&node.message, 0)? {
                return Ok(Some(tensor));
            }
        }
        external_constant(&self.rest)
    }
}

/// The type of a constant's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element {
    Float,
    Int,
}

impl Node {
    fn read(message: Message) -> Result<Node, Malformed> {
        let mut inner = BTreeSet::new();
        inner_names(&message, &mut inner, 0)?;
        Ok(Node {
            domain: message.text(7),
            operator: message.text(4),
            inputs: message.texts(1).collect(),
            outputs: message.texts(2).collect(),
            inner,
            message,
        })
    }

    /// Whether it is this operator; the empty domain is the default one.
    pub(super) fn is(&self, domain: &str, operator: &str) -> bool {
        let own = if self.domain == "ai.onnx" { "" } else { &self.domain };
        (own, self.operator.as_str()) == (domain, operator)
    }

    /// An attribute by name.
    pub(super) fn attribute(&self, name: &str) -> Option<Message> {
        self.message.all(5).filter_map(|bytes| Message::read(bytes).ok()).find(|attribute| attribute.text(1) == name)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.inputs.iter().chain(&self.outputs).chain(&self.inner)
    }
}

impl Port {
    /// A port `f32[N, columns]`.
    pub(super) fn floats(name: &str, columns: i64) -> Port {
        let batch = Message::default().with_text(2, "N");
        let columns = Message::default().with(1, Value::Varint(columns as u64));
        let shape = Message::default().with_message(1, &batch).with_message(1, &columns);
        let tensor = Message::default().with(1, Value::Varint(FLOAT as u64)).with_message(2, &shape);
        let kind = Message::default().with_message(1, &tensor);
        Port::read(Message::default().with_text(1, name).with_message(2, &kind))
            .expect("what is written here can be read")
    }

    fn read(message: Message) -> Result<Port, Malformed> {
        let kind = match message.message(2)? {
            None => Kind::Unknown,
            Some(kind) => match kind.message(1)? {
                None => Kind::Other,
                Some(tensor) => Kind::Tensor { element: tensor.int(1).unwrap_or(0), shape: shape(&tensor)? },
            },
        };
        Ok(Port { name: message.text(1), kind, message })
    }
}

fn shape(tensor: &Message) -> Result<Option<Vec<Option<i64>>>, Malformed> {
    let Some(shape) = tensor.message(2)? else { return Ok(None) };
    Ok(Some(shape.messages(1)?.iter().map(|size| size.int(1).filter(|size| *size > 0)).collect()))
}

/// The graphs in an attribute.
const GRAPHS: [u32; 2] = [6, 11];
/// What of a graph beside its nodes has a name, and where: constants, inputs and outputs.
const NAMED: [(u32, u32); 3] = [(5, 8), (11, 1), (12, 1)];

/// Every name that graphs within a node's attributes mention.
fn inner_names(node: &Message, names: &mut BTreeSet<String>, nesting: usize) -> Result<(), Malformed> {
    if nesting > MAX_NESTING {
        return Err(Malformed);
    }
    for attribute in node.messages(5)? {
        for number in GRAPHS {
            for graph in attribute.messages(number)? {
                for node in graph.messages(1)? {
                    names.extend(node.texts(1).chain(node.texts(2)));
                    inner_names(&node, names, nesting + 1)?;
                }
                for (field, name) in NAMED {
                    names.extend(graph.messages(field)?.iter().map(|named| named.text(name)));
                }
            }
        }
    }
    Ok(())
}

fn rename_in_node(node: &mut Message, from: &str, to: &str, nesting: usize) -> Result<(), Malformed> {
    if nesting > MAX_NESTING {
        return Err(Malformed);
    }
    let rename = |name: &mut Vec<u8>| {
        if name == from.as_bytes() {
            *name = to.as_bytes().to_vec();
        }
    };
    node.all_mut(1).for_each(rename);
    node.all_mut(2).for_each(rename);
    for bytes in node.all_mut(5) {
        let mut attribute = Message::read(bytes)?;
        let mut changed = false;
        for number in GRAPHS {
            for bytes in attribute.all_mut(number) {
                let mut graph = Message::read(bytes)?;
                for bytes in graph.all_mut(1) {
                    let mut inner = Message::read(bytes)?;
                    rename_in_node(&mut inner, from, to, nesting + 1)?;
                    *bytes = inner.to_bytes();
                }
                for (field, name) in NAMED {
                    for bytes in graph.all_mut(field) {
                        let mut named = Message::read(bytes)?;
                        named.all_mut(name).for_each(rename);
                        *bytes = named.to_bytes();
                    }
                }
                *bytes = graph.to_bytes();
                changed = true;
            }
        }
        if changed {
            *bytes = attribute.to_bytes();
        }
    }
    Ok(())
}

fn external_in_node(node: &Message, nesting: usize) -> Result<Option<String>, Malformed> {
    if nesting > MAX_NESTING {
        return Err(Malformed);
    }
    for attribute in node.messages(5)? {
        let tensors = attribute.messages(5)?.into_iter().chain(attribute.messages(10)?);
        if tensors.into_iter().any(|tensor| is_external(&tensor)) {
            return Ok(Some(attribute.text(1)));
        }
        for graph in GRAPHS.map(|number| attribute.messages(number)) {
            for graph in graph? {
                for inner in graph.messages(1)? {
                    if let Some(tensor) = external_in_node(&inner, nesting + 1)? {
                        return Ok(Some(tensor));
                    }
                }
                if let Some(tensor) = external_constant(&graph)? {
                    return Ok(Some(tensor));
                }
            }
        }
    }
    Ok(None)
}

fn external_constant(graph: &Message) -> Result<Option<String>, Malformed> {
    Ok(graph.messages(5)?.iter().find(|tensor| is_external(tensor)).map(|tensor| tensor.text(8)))
}

fn is_external(tensor: &Message) -> bool {
    tensor.all(13).next().is_some() || tensor.int(14).is_some_and(|location| location != 0)
}
