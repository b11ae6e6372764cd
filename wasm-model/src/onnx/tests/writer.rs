//! A small protobuf writer, so that models can be built and every rule broken on purpose.

/// A protobuf message being written.
#[derive(Clone, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    pub(super) fn varint(mut self, number: u32, value: i64) -> Self {
        self.key(number, 0);
        self.raw_varint(value as u64);
        self
    }

    pub(super) fn float(mut self, number: u32, value: f32) -> Self {
        self.key(number, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        self.key(number, 2);
        self.raw_varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn key(&mut self, number: u32, wire: u32) {
        self.raw_varint(u64::from(number << 3 | wire));
    }

    pub(super) fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, &v| m.varint(8, v))
}

pub(super) fn floats(name: &str, values: &[f32]) -> Message {
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, &v| m.float(7, v))
}

pub(super) fn texts(name: &str, values: &[&str]) -> Message {
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, v| m.bytes(9, v.as_bytes()))
}

pub(super) fn text(name: &str, value: &str) -> Message {
    Message::default().bytes(1, name.as_bytes()).bytes(4, value.as_bytes())
}

pub(super) fn int(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name.as_bytes()).varint(3, value)
}

pub(super) fn node(domain: &str, operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i.as_bytes()));
    let node = node.bytes(2, output.as_bytes()).bytes(4, operator.as_bytes()).bytes(7, domain.as_bytes());
    attributes.iter().fold(node, |m, a| m.bytes(5, &a.0))
}

pub(super) fn port(name: &str, element: i64, columns: i64) -> Message {
    let shape = Message::default()
        .bytes(1, &Message::default().bytes(2, b"N").0)
        .bytes(1, &Message::default().varint(1, columns).0);
    let tensor = Message::default().varint(1, element).bytes(2, &shape.0);
    Message::default().bytes(1, name.as_bytes()).bytes(2, &Message::default().bytes(1, &tensor.0).0)
}

pub(super) fn tensor(name: &str, shape: &[i64], data: &[f32]) -> Message {
    let m = shape.iter().fold(Message::default(), |m, &d| m.varint(1, d)).varint(2, 1).bytes(8, name.as_bytes());
    let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    m.bytes(9, &raw)
}

pub(super) fn model(nodes: &[Message], initializers: &[Message], width: i64, ml_opset: i64) -> Vec<u8> {
    let graph = nodes.iter().fold(Message::default(), |m, n| m.bytes(1, &n.0));
    let graph = initializers.iter().fold(graph, |m, t| m.bytes(5, &t.0));
    let graph = graph.bytes(11, &port("features", 1, width).0).bytes(12, &port("score", 1, 1).0);
    let opset = |domain: &str, v| Message::default().bytes(1, domain.as_bytes()).varint(2, v);
    Message::default()
        .varint(1, 8)
        .bytes(7, &graph.0)
        .bytes(8, &opset("", 17).0)
        .bytes(8, &opset("ai.onnx.ml", ml_opset).0)
        .0
}
