//! A plan that a cluster executes: its rows come from there as if they were made here.

use std::fmt;
use std::sync::Arc;

use ballista_core::execution_plans::execute_physical_plan;
use ballista_core::extension::SessionConfigExt;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::TryStreamExt;

use super::ClusterError;
use super::session::check;
use crate::data::engine::Address;

/// Executes a plan on a cluster.
#[derive(Debug)]
pub(super) struct OnCluster {
    plan: Arc<dyn ExecutionPlan>,
    scheduler: Address,
    properties: Arc<PlanProperties>,
}

impl OnCluster {
    /// Rows of all partitions come in one, in their order.
    pub(super) fn new(plan: Arc<dyn ExecutionPlan>, scheduler: Address) -> OnCluster {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        OnCluster { plan, scheduler, properties }
    }
}

impl DisplayAs for OnCluster {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "OnCluster: {}", self.scheduler)
    }
}

impl ExecutionPlan for OnCluster {
    fn name(&self) -> &str {
        "OnCluster"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// None that this process executes.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = submit(Arc::clone(&self.plan), self.scheduler.clone(), context);
        let rows = futures::stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), rows)))
    }
}

/// Hands a plan over, waits until it is done, and fetches its rows from the workers.
async fn submit(
    plan: Arc<dyn ExecutionPlan>,
    scheduler: Address,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    check(&scheduler).await.map_err(|e| DataFusionError::External(Box::new(e)))?;
    let schema = plan.schema();
    let config = context.session_config().clone();
    let (settings, codec) = (config.ballista_config(), config.ballista_physical_extension_codec());
    let rows = execute_physical_plan::<PhysicalPlanNode>(
        format!("http://{scheduler}"),
        &settings,
        plan,
        codec.as_ref(),
        context.session_id(),
        config,
    );
    let failed = move |e: DataFusionError| {
        DataFusionError::External(Box::new(ClusterError::Query { scheduler: scheduler.clone(), reason: e.to_string() }))
    };
    let rows = rows.await.map_err(failed.clone())?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.map_err(failed))))
}
