//! A TreeEnsembleRegressor inside a larger graph, run by this crate's own kernels.
//!
//! tract registers no such operator; the node is read by the code that reads it for the compact engine.

use std::sync::Arc;

use prost::Message;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::onnx::graph::Node;
use crate::onnx::head::Head;

pub(super) const OPERATOR: &str = "TreeEnsembleRegressor";

/// The node as the file has it: how wide its input is is known only once the graph has been analysed.
#[derive(Clone, Debug)]
struct Unread {
    node: Arc<Vec<u8>>,
    targets: usize,
}

/// A checked ensemble for rows of `width` numbers.
#[derive(Clone, Debug)]
struct Trees {
    head: Arc<Head>,
    width: usize,
}

pub(super) fn read(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let targets = node.get_attr_opt("n_targets")?.unwrap_or(1);
    Ok((expand(Unread { node: Arc::new(node.encode_to_vec()), targets }), vec![]))
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
        solver.equals(&outputs[0].shape[1], self.targets.to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?;
        let Some(&[_, width]) = fact.shape.as_concrete() else {
            bail!("{OPERATOR}: the width of its input is not known")
        };
        let Some(head) = Head::read(&Node::read(&self.node)?, u32::try_from(width)?)? else {
            bail!("{OPERATOR} of another domain")
        };
        model.wire_node(prefix, Trees { head: Arc::new(head), width }, inputs)
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
        Arc::ptr_eq(&self.head, &other.head)
    }
}

impl Eq for Trees {}

impl EvalOp for Trees {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let x = input.try_as_plain_ram()?;
        let x = x.as_slice::<f32>()?;
        let mut scores = Vec::new();
        self.head.run(x, self.width, &mut scores);
        Ok(tvec!(Tensor::from_shape(&[x.len() / self.width, self.head.width()], &scores)?.into_tvalue()))
    }
}

impl TypedOp for Trees {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact([inputs[0].shape[0].clone(), self.head.width().to_dim()])))
    }

    as_op!();
}
