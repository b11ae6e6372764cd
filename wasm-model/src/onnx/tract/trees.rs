//! A TreeEnsembleRegressor inside a larger graph, run by this crate's own kernels.
//!
//! tract registers no such operator; the node is read by the code that reads it for the compact engine.

use std::sync::Arc;

use prost::Message;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::onnx::graph::Node;
use crate::onnx::tree::Ensemble;

pub(super) const OPERATOR: &str = "TreeEnsembleRegressor";

/// The node as the file has it: how wide its input is is known only once the graph has been analysed.
#[derive(Clone, Debug)]
struct Unread(Arc<Vec<u8>>);

/// A checked ensemble for rows of `width` numbers.
#[derive(Clone, Debug)]
struct Trees {
    ensemble: Arc<Ensemble>,
    width: usize,
}

pub(super) fn read(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(Unread(Arc::new(node.encode_to_vec()))), vec![]))
}

impl Expansion for Unread {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].datum_type, f32::datum_type())?;
        solver.equals(&inputs[0].rank, 2)?;
        solver.equals(&outputs[0].datum_type, f32::datum_type())?;
        solver.equals(&outputs[0].rank, 2)?;
        solver.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        solver.equals(&outputs[0].shape[1], 1.to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?;
        let Some(&[_, width]) = fact.shape.as_concrete() else {
            bail!("{OPERATOR}: the width of its input is not known")
        };
        let ensemble = Ensemble::read(&Node::read(&self.0)?, u32::try_from(width)?)?;
        model.wire_node(prefix, Trees { ensemble: Arc::new(ensemble), width }, inputs)
    }
}

impl Op for Trees {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    op_as_typed_op!();
}

impl PartialEq for Trees {
    fn eq(&self, other: &Trees) -> bool {
        Arc::ptr_eq(&self.ensemble, &other.ensemble)
    }
}

impl Eq for Trees {}

impl EvalOp for Trees {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let x = input.try_as_plain_ram()?;
        let x = x.as_slice::<f32>()?;
        let mut scores = Vec::with_capacity(x.len() / self.width);
        self.ensemble.score(x, self.width, &mut scores);
        Ok(tvec!(Tensor::from_shape(&[scores.len(), 1], &scores)?.into_tvalue()))
    }
}

impl TypedOp for Trees {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact([inputs[0].shape[0].clone(), 1.to_dim()])))
    }

    as_op!();
}
