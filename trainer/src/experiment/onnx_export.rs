//! Writes models as ONNX: one input `features f32[N, n_features]`, one output `score f32[N, 1]`.
//!
//! Nothing that varies is in the file: the same model gives the same bytes.

use hessboost::tree::Node;
use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType, type_proto,
};

/// `AttributeProto.AttributeType`.
const INT: i32 = 2;
const STRING: i32 = 3;
const FLOATS: i32 = 6;
const INTS: i32 = 7;
const STRINGS: i32 = 8;

/// Trees are trained on values of at most this size; a threshold above it lets every present value pass.
pub(super) const LIMIT: f32 = f32::MAX / 4.0;

/// A node of a tree, as the export needs it.
#[derive(Clone, Copy, Debug)]
pub struct TreeNode {
    feature: u32,
    /// A row goes left where its value is less than this.
    threshold: f32,
    missing_left: bool,
    /// Indices of the children; `None` for a leaf.
    children: Option<(u32, u32)>,
    weight: f32,
    /// How much of the training data came here.
    cover: f32,
}

impl TreeNode {
    /// A node where a row goes to the first child if its value is less than the threshold, or missing and so told.
    pub fn branch(feature: u32, threshold: f32, missing_left: bool, children: (u32, u32)) -> TreeNode {
        TreeNode { feature, threshold, missing_left, children: Some(children), weight: 0.0, cover: 1.0 }
    }

    /// A leaf.
    pub fn leaf(weight: f32) -> TreeNode {
        TreeNode { feature: 0, threshold: 0.0, missing_left: false, children: None, weight, cover: 1.0 }
    }

    /// A node of a trained tree; `scale` multiplies leaf weights.
    pub(super) fn of(node: &Node, scale: f32) -> TreeNode {
        TreeNode {
            feature: node.split_feature,
            threshold: if node.split_cond > LIMIT { f32::INFINITY } else { node.split_cond },
            missing_left: node.default_left,
            children: (!node.is_leaf()).then_some((node.left as u32, node.right as u32)),
            weight: node.leaf_value * scale,
            cover: rounded(node.sum_hess),
        }
    }

    /// A leaf's weight; 0 for other nodes.
    pub(super) fn weight(&self) -> f64 {
        if self.children.is_none() { f64::from(self.weight) } else { 0.0 }
    }
}

/// A positive number to 8 significant bits: as good for an expectation, and much smaller in a compressed file.
fn rounded(cover: f32) -> f32 {
    f32::from_bits((cover.to_bits() + 0x8000) & 0xffff_0000)
}

/// A TreeEnsembleRegressor: the sum of trees and a base.
pub fn trees(n_features: usize, trees: &[Vec<TreeNode>], base: f32) -> Vec<u8> {
    let mut columns = Columns::default();
    for (tree, nodes) in trees.iter().enumerate() {
        for (id, node) in nodes.iter().enumerate() {
            let (left, right) = node.children.unwrap_or((0, 0));
            let leaf = node.children.is_none();
            columns.trees.push(tree as i64);
            columns.ids.push(id as i64);
            columns.features.push(if leaf { 0 } else { i64::from(node.feature) });
            columns.thresholds.push(if leaf { 0.0 } else { node.threshold });
            columns.modes.push(if leaf { b"LEAF".to_vec() } else { b"BRANCH_LT".to_vec() });
            columns.if_true.push(i64::from(left));
            columns.if_false.push(i64::from(right));
            columns.covers.push(node.cover);
            columns.missing.push(i64::from(!leaf && node.missing_left));
            if leaf {
                columns.leaf_trees.push(tree as i64);
                columns.leaf_ids.push(id as i64);
                columns.weights.push(node.weight);
            }
        }
    }
    let targets = vec![0; columns.weights.len()];
    let attributes = vec![
        int("n_targets", 1),
        floats("base_values", vec![base]),
        string("aggregate_function", "SUM"),
        string("post_transform", "NONE"),
        ints("nodes_treeids", columns.trees),
        ints("nodes_nodeids", columns.ids),
        ints("nodes_featureids", columns.features),
        floats("nodes_values", columns.thresholds),
        floats("nodes_hitrates", columns.covers),
        strings("nodes_modes", columns.modes),
        ints("nodes_truenodeids", columns.if_true),
        ints("nodes_falsenodeids", columns.if_false),
        ints("nodes_missing_value_tracks_true", columns.missing),
        ints("target_treeids", columns.leaf_trees),
        ints("target_nodeids", columns.leaf_ids),
        ints("target_ids", targets),
        floats("target_weights", columns.weights),
    ];
    model(n_features, "TreeEnsembleRegressor", attributes)
}

/// A LinearRegressor.
pub fn linear(coefficients: &[f32], intercept: f32) -> Vec<u8> {
    let attributes = vec![
        int("targets", 1),
        floats("coefficients", coefficients.to_vec()),
        floats("intercepts", vec![intercept]),
        string("post_transform", "NONE"),
    ];
    model(coefficients.len(), "LinearRegressor", attributes)
}

#[derive(Default)]
struct Columns {
    trees: Vec<i64>,
    ids: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    covers: Vec<f32>,
    modes: Vec<Vec<u8>>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
    missing: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_ids: Vec<i64>,
    weights: Vec<f32>,
}

fn model(n_features: usize, operator: &str, attribute: Vec<AttributeProto>) -> Vec<u8> {
    let node = NodeProto {
        input: vec!["features".into()],
        output: vec!["score".into()],
        op_type: operator.into(),
        domain: "ai.onnx.ml".into(),
        attribute,
        ..Default::default()
    };
    let graph = GraphProto {
        name: "hearth".into(),
        node: vec![node],
        input: vec![port("features", n_features as i64)],
        output: vec![port("score", 1)],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 8,
        producer_name: "hearth".into(),
        opset_import: vec![
            OperatorSetIdProto { domain: String::new(), version: 17 },
            OperatorSetIdProto { domain: "ai.onnx.ml".into(), version: 3 },
        ],
        graph: Some(graph),
        ..Default::default()
    };
    model.encode_to_vec()
}

/// `f32[N, columns]`.
fn port(name: &str, columns: i64) -> ValueInfoProto {
    let dimension = |value| Dimension { value: Some(value), ..Default::default() };
    let shape = TensorShapeProto {
        dim: vec![dimension(dimension::Value::DimParam("N".into())), dimension(dimension::Value::DimValue(columns))],
    };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..Default::default() }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind, ..Default::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, INT) }
}

fn string(name: &str, s: &str) -> AttributeProto {
    AttributeProto { s: s.as_bytes().to_vec(), ..attribute(name, STRING) }
}

fn floats(name: &str, floats: Vec<f32>) -> AttributeProto {
    AttributeProto { floats, ..attribute(name, FLOATS) }
}

fn ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto { ints, ..attribute(name, INTS) }
}

fn strings(name: &str, strings: Vec<Vec<u8>>) -> AttributeProto {
    AttributeProto { strings, ..attribute(name, STRINGS) }
}
