//! ONNX models as other exporters write them, for what has to make them canonical.

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// `TensorProto.FLOAT`.
const FLOAT: i32 = 1;

/// A model of the default domain: nodes, constants, the input's width and the outputs.
#[derive(Clone, Debug)]
pub struct Model(pub ModelProto);

impl Model {
    /// A model with an input `X f32[None, width]`.
    pub fn new(width: i64, nodes: Vec<NodeProto>, constants: Vec<TensorProto>, outputs: &[(&str, &[i64])]) -> Model {
        let graph = GraphProto {
            name: "another exporter's".into(),
            node: nodes,
            initializer: constants,
            input: vec![port("X", &[0, width])],
            output: outputs.iter().map(|(name, sizes)| port(name, sizes)).collect(),
            ..Default::default()
        };
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        Model(ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..Default::default() })
    }

    /// A file of Hearth's own export with ports as LightGBM's exporter names them.
    ///
    /// # Panics
    /// Not such a file.
    pub fn dressed(own: &[u8]) -> Model {
        let mut model = ModelProto::decode(own).expect("Hearth exports ONNX");
        let graph = model.graph.as_mut().expect("a model has a graph");
        graph.node[0].input = vec!["X".into()];
        graph.node[0].output = vec!["variable".into()];
        graph.input[0].name = "X".into();
        graph.output[0].name = "variable".into();
        Model(model)
    }

    /// The graph, to be changed.
    ///
    /// # Panics
    /// There is none.
    pub fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().expect("a model has a graph")
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}

/// A node of the default domain.
pub fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

/// A node with an attribute that is an integer.
pub fn node_with(operator: &str, inputs: &[&str], output: &str, name: &str, i: i64) -> NodeProto {
    // AttributeProto.INT
    let attribute = AttributeProto { name: name.into(), r#type: 2, i, ..Default::default() };
    NodeProto { attribute: vec![attribute], ..node(operator, inputs, output) }
}

/// A constant of 32-bit floats.
pub fn constant(name: &str, sizes: &[i64], numbers: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: FLOAT,
        dims: sizes.to_vec(),
        float_data: numbers.to_vec(),
        ..Default::default()
    }
}

/// A port of 32-bit floats; a size of 0 is symbolic.
fn port(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let size =
        |&size: &i64| Dimension { value: (size > 0).then_some(dimension::Value::DimValue(size)), ..Default::default() };
    let shape = TensorShapeProto { dim: sizes.iter().map(size).collect() };
    let tensor = type_proto::Tensor { elem_type: FLOAT, shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..Default::default() }
}
