//! Small ONNX files of the kinds that exporters write and `onnx_export` does not, by a protobuf writer of 30 lines.

/// A protobuf message being written.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u8, value: i64) -> Self {
        self.0.push(field << 3);
        self.varint(value as u64);
        self
    }

    fn float(mut self, field: u8, value: f32) -> Self {
        self.0.push(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u8, value: &[u8]) -> Self {
        self.0.push(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn text(self, field: u8, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Two trees over two features, with every branch mode.
pub(crate) fn trees() -> Vec<u8> {
    let named = |name: &str| Message::default().text(1, name);
    let ints = |name, values: &[i64]| values.iter().fold(named(name), |m, &v| m.number(8, v));
    let floats = |name, values: &[f32]| values.iter().fold(named(name), |m, &v| m.float(7, v));
    let modes = ["BRANCH_LEQ", "BRANCH_LT", "LEAF", "LEAF", "BRANCH_GTE", "LEAF", "LEAF"];
    let attributes = [
        ints("nodes_treeids", &[0, 0, 0, 0, 0, 0, 0, 1, 1, 1]),
        ints("nodes_nodeids", &[0, 1, 2, 3, 4, 5, 6, 0, 1, 2]),
        ints("nodes_featureids", &[0, 1, 0, 0, 1, 0, 0, 1, 0, 0]),
        floats("nodes_values", &[0.5, -1.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1e30, 0.0, 0.0]),
        modes.iter().chain(&["BRANCH_GT", "LEAF", "LEAF"]).fold(named("nodes_modes"), |m, v| m.text(9, v)),
        ints("nodes_truenodeids", &[1, 2, 0, 0, 5, 0, 0, 1, 0, 0]),
        ints("nodes_falsenodeids", &[4, 3, 0, 0, 6, 0, 0, 2, 0, 0]),
        ints("nodes_missing_value_tracks_true", &[1, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
        ints("target_treeids", &[0, 0, 0, 0, 1, 1]),
        ints("target_nodeids", &[2, 3, 5, 6, 1, 2]),
        ints("target_ids", &[0; 6]),
        floats("target_weights", &[1.0, -1.0, 0.25, 0.5, 3.0, -3.0]),
        floats("base_values", &[0.5]),
        named("aggregate_function").text(4, "SUM"),
        named("post_transform").text(4, "LOGISTIC"),
    ];
    model(2, &[node("ai.onnx.ml", "TreeEnsembleRegressor", &["features"], "score", &attributes)], &[])
}

/// Two layers: Gemm, Relu, MatMul, Add, Sigmoid.
pub(crate) fn dense() -> Vec<u8> {
    let tensor = |name: &str, shape: &[i64], data: &[f32]| {
        let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        let shaped = shape.iter().fold(Message::default(), |m, &d| m.number(1, d));
        shaped.number(2, 1).text(8, name).bytes(9, &raw)
    };
    let nodes = [
        node("", "Gemm", &["features", "w1", "b1"], "h", &[]),
        node("", "Relu", &["h"], "r", &[]),
        node("", "MatMul", &["r", "w2"], "m", &[]),
        node("", "Add", &["m", "b2"], "a", &[]),
        node("", "Sigmoid", &["a"], "score", &[]),
    ];
    let initializers = [
        tensor("w1", &[2, 3], &[0.5, -1.0, 2.0, 0.25, 1e20, -3.0]),
        tensor("b1", &[3], &[0.0, 1.0, -1.0]),
        tensor("w2", &[3, 1], &[1.0, -0.5, 0.125]),
        tensor("b2", &[1], &[0.75]),
    ];
    model(2, &nodes, &initializers)
}

fn node(domain: &str, operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(Message::default(), |m, input| m.text(1, input));
    let node = node.text(2, output).text(4, operator).text(7, domain);
    attributes.iter().fold(node, |m, attribute| m.bytes(5, &attribute.0))
}

fn model(width: i64, nodes: &[Message], initializers: &[Message]) -> Vec<u8> {
    let port = |name: &str, columns: i64| {
        let rows = Message::default().text(2, "N");
        let shape = Message::default().bytes(1, &rows.0).bytes(1, &Message::default().number(1, columns).0);
        let tensor = Message::default().number(1, 1).bytes(2, &shape.0);
        Message::default().text(1, name).bytes(2, &Message::default().bytes(1, &tensor.0).0)
    };
    let graph = nodes.iter().fold(Message::default(), |m, n| m.bytes(1, &n.0));
    let graph = initializers.iter().fold(graph, |m, t| m.bytes(5, &t.0));
    let graph = graph.bytes(11, &port("features", width).0).bytes(12, &port("score", 1).0);
    let opset = |domain: &str, version| Message::default().text(1, domain).number(2, version);
    let head = Message::default().number(1, 8).bytes(7, &graph.0);
    head.bytes(8, &opset("", 17).0).bytes(8, &opset("ai.onnx.ml", 3).0).0
}
