//! What the compact engine refuses, run by tract: any graph from `features f32[n, d]` to `score f32[n, 1]` it has the operators for.
//!
//! The plan is made and tried at load.
//! It always runs [`BATCH`] rows, the last ones padded: then no size is left open until a request comes,
//! and a row gets the same kernels, so the same bits, however many candidates are with it.
//! A run that fails nevertheless gives NaN scores, which hosts count as a fault of the model.

use std::sync::Arc;

use prost::Message;
use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto, tensor_shape_proto, type_proto};
use tract_onnx::prelude::{
    Datum, InferenceFact, InferenceModelExt, IntoRunnable, Tensor, TractError, TractResult, TypedRunnableModel, tvec,
};
use tract_onnx::tract_hir::internal::bail;

use super::{ModelDescription, ModelError, number, short};

mod trees;

/// Rows of a run.
const BATCH: usize = 64;
/// Newest operator set that tract is tested with.
const MAX_OPSET: i64 = 18;
/// `TensorProto.FLOAT`.
const FLOAT: i32 = 1;
/// Deepest nesting of graphs in attributes.
const MAX_NESTING: usize = 8;
/// Operators that tract has and this engine does not run: those that draw random numbers,
/// and the tree classifier, which tract scores by other rules than the operator's definition.
const REFUSED: [&str; 7] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "TreeEnsembleClassifier",
];

/// An optimised plan.
#[derive(Debug)]
pub(super) struct Plan {
    plan: Arc<TypedRunnableModel>,
    width: usize,
    parameters: u32,
    nodes: u32,
}

impl Plan {
    /// Reads, optimises and tries a model.
    pub(super) fn read(bytes: &[u8], n_features: u32) -> Result<Plan, ModelError> {
        let model = ModelProto::decode(bytes).map_err(|_| ModelError::Malformed { reason: "not a ModelProto" })?;
        let mut onnx = tract_onnx::onnx();
        onnx.ignore_value_info = true;
        for operator in REFUSED {
            onnx.op_register.0.remove(operator);
        }
        onnx.op_register.insert(trees::OPERATOR, trees::read);
        check(&model, &onnx, n_features)?;
        let width = n_features as usize;
        let plan = optimise(&onnx, &model, width).map_err(|e| failed(&e))?;
        let parameters = model
            .graph
            .iter()
            .flat_map(|g| &g.initializer)
            .map(|t| t.dims.iter().fold(1i64, |size, &dim| size.saturating_mul(dim)));
        let plan = Plan {
            width,
            parameters: u32::try_from(parameters.fold(0i64, i64::saturating_add)).unwrap_or(u32::MAX),
            nodes: plan.model().nodes().len() as u32,
            plan,
        };
        plan.try_out()?;
        Ok(plan)
    }

    /// Appends a score for each row of `x`; NaN for rows of a run that fails.
    pub(super) fn score(&self, x: &[f32], out: &mut Vec<f32>) {
        for rows in x.chunks(self.width * BATCH) {
            let count = rows.len() / self.width;
            match self.run(rows) {
                Ok(scores) => out.extend_from_slice(&scores[..count]),
                Err(_) => out.extend(std::iter::repeat_n(f32::NAN, count)),
            }
        }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        ModelDescription { kind: "graph", trees: 0, parameters: self.parameters, depth: self.nodes }
    }

    /// The scores of up to [`BATCH`] rows, and of the padding.
    fn run(&self, rows: &[f32]) -> TractResult<Vec<f32>> {
        let mut batch = vec![0.0; self.width * BATCH];
        batch[..rows.len()].copy_from_slice(rows);
        let input = Tensor::from_shape(&[BATCH, self.width], &batch)?;
        let outputs = self.plan.run(tvec!(input.into()))?;
        let scores = outputs[0].try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        if scores.len() != BATCH {
            bail!("{} scores for {BATCH} rows", scores.len());
        }
        Ok(scores)
    }

    /// Runs with numbers: a row has one score, wherever it stands and whatever rows are beside it.
    fn try_out(&self) -> Result<(), ModelError> {
        let row = |seed: usize| (0..self.width).map(move |i| ((i * 7 + seed * 13) % 31) as f32 / 31.0);
        // The scores of row 0 at the places that `own` tells, with other rows at the others.
        let scores = |own: fn(usize) -> bool| -> Result<Vec<u32>, ModelError> {
            let batch: Vec<f32> = (0..BATCH).flat_map(|k| row(if own(k) { 0 } else { k + 1 })).collect();
            let scores = self.run(&batch).map_err(|e| failed(&e))?;
            let own = scores.iter().enumerate().filter(|(k, _)| own(*k));
            Ok(own.map(|(_, score)| number(f64::from(*score)).to_bits()).collect())
        };
        let refuse = |what: &str| Err(ModelError::Graph { reason: format!("a row's score depends on {what}") });
        let alone = scores(|_| true)?;
        let differs = |scores: &[u32]| scores.iter().any(|bits| *bits != alone[0]);
        if differs(&alone) {
            return refuse("its place among the rows");
        }
        if differs(&scores(|k| k % 2 == 0)?) || differs(&scores(|k| k % 2 == 1)?) {
            return refuse("the rows beside it");
        }
        Ok(())
    }
}

/// Makes the plan for batches of one size.
fn optimise(onnx: &Onnx, model: &ModelProto, width: usize) -> TractResult<Arc<TypedRunnableModel>> {
    let parsed = onnx.parse(model, None)?;
    let features = InferenceFact::dt_shape(f32::datum_type(), tvec!(BATCH, width));
    let plan = parsed.model.with_input_fact(0, features)?.into_optimized()?;
    let output = plan.output_fact(0)?;
    if output.datum_type != f32::datum_type() || output.shape.as_concrete() != Some(&[BATCH, 1]) {
        bail!("its output is {output:?}, expected f32[n, 1]");
    }
    plan.into_runnable()
}

/// Operator sets, operators, input and output.
fn check(model: &ModelProto, onnx: &Onnx, n_features: u32) -> Result<(), ModelError> {
    for set in &model.opset_import {
        if matches!(set.domain.as_str(), "" | "ai.onnx") && set.version > MAX_OPSET {
            return Err(ModelError::Opset { domain: set.domain.clone(), version: set.version, newest: MAX_OPSET });
        }
    }
    let graph = model.graph.as_ref().ok_or(ModelError::Malformed { reason: "it has no graph" })?;
    check_operators(graph, onnx, 0)?;
    let inputs: Vec<_> =
        graph.input.iter().filter(|port| graph.initializer.iter().all(|t| t.name != port.name)).collect();
    let interface = |what: String, expected: String| Err(ModelError::Interface { what, expected });
    let ([input], [output]) = (inputs.as_slice(), graph.output.as_slice()) else {
        let what = format!("{} inputs and {} outputs", inputs.len(), graph.output.len());
        return interface(what, "one input and one output".into());
    };
    if n_features == 0 || !matches!(shape(input).as_deref(), Some([_, d]) if *d == i64::from(n_features)) {
        let expected = format!("an input f32[n, {n_features}], as wide as the encoder's vectors");
        return interface(format!("an input of shape {:?}", shape(input).unwrap_or_default()), expected);
    }
    if !matches!(shape(output).as_deref(), Some([_, 1])) {
        return interface(
            format!("an output of shape {:?}", shape(output).unwrap_or_default()),
            "an output f32[n, 1]".into(),
        );
    }
    Ok(())
}

/// Every operator is one that runs and every output is made, in graphs within nodes too; tract itself looks at names alone, not at domains.
fn check_operators(graph: &GraphProto, onnx: &Onnx, nesting: usize) -> Result<(), ModelError> {
    for node in &graph.node {
        let known = matches!(node.domain.as_str(), "" | "ai.onnx" | "ai.onnx.ml");
        if !known || !onnx.op_register.0.contains_key(&node.op_type) || nesting > MAX_NESTING {
            return Err(unsupported(node));
        }
        for inner in node.attribute.iter().filter_map(|a| a.g.as_ref()) {
            check_operators(inner, onnx, nesting + 1)?;
        }
    }
    // tract takes for granted that a graph's outputs are there.
    let made = |name: &String| {
        graph.node.iter().any(|node| node.output.contains(name))
            || graph.input.iter().any(|port| port.name == *name)
            || graph.initializer.iter().any(|t| t.name == *name)
    };
    match graph.output.iter().find(|port| !made(&port.name)) {
        Some(port) => Err(ModelError::Interface {
            what: format!("an output `{}` that no operator makes", port.name),
            expected: "one that an operator makes".into(),
        }),
        None => Ok(()),
    }
}

fn unsupported(node: &NodeProto) -> ModelError {
    let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
    ModelError::Operator { domain: short(&domain), operator: short(&node.op_type) }
}

/// The sizes of a port of 32-bit floats, 0 where symbolic; `None` for other types.
fn shape(port: &ValueInfoProto) -> Option<Vec<i64>> {
    let Some(tract_onnx::pb::type_proto::Value::TensorType(type_proto::Tensor {
        elem_type: FLOAT,
        shape: Some(shape),
    })) = port.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return None;
    };
    let size = |d: &tensor_shape_proto::Dimension| match d.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(size)) => size,
        _ => 0,
    };
    Some(shape.dim.iter().map(size).collect())
}

fn failed(error: &TractError) -> ModelError {
    let reason: String = format!("{error:#}").chars().take(400).collect();
    ModelError::Graph { reason }
}
