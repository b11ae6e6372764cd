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
use futures::{StreamExt, TryStreamExt};

use super::ClusterError;
use super::session::check;
use crate::data::engine::Address;

/// How often a query is executed, where the workers that computed its rows are gone before any is fetched: once more, as
/// those that are left are asked then.
const TRIES: usize = 2;

/// Executes a plan on a cluster.
#[derive(Debug)]
pub(super) struct OnCluster {
    plan: Arc<dyn ExecutionPlan>,
    scheduler: Address,
    properties: Arc<PlanProperties>,
}

impl OnCluster {
    /// Rows of all partitions come in one: those of a partition in their order, partitions in any.
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
        let rows = rows(Arc::clone(&self.plan), self.scheduler.clone(), context);
        let rows = futures::stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), rows)))
    }
}

/// A plan's rows; where those that have them are gone before the first is fetched, it is executed again.
async fn rows(
    plan: Arc<dyn ExecutionPlan>,
    scheduler: Address,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let schema = plan.schema();
    let mut tries_left = TRIES;
    loop {
        let mut rows = submit(Arc::clone(&plan), scheduler.clone(), &context).await?;
        tries_left -= 1;
        match rows.next().await {
            Some(Err(error)) if tries_left > 0 => tracing::warn!("{error}; executing the query again"),
            first => {
                let rows = futures::stream::iter(first).chain(rows);
                return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
            }
        }
    }
}

/// Hands a plan over and waits until it is done; its rows are fetched from the workers.
async fn submit(
    plan: Arc<dyn ExecutionPlan>,
    scheduler: Address,
    context: &TaskContext,
) -> Result<SendableRecordBatchStream> {
    let external = |error: ClusterError| DataFusionError::External(Box::new(error));
    check(&scheduler).await.map_err(external)?;
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
    let rows = rows.await;
    let rows =
        rows.map_err(|e| external(ClusterError::Query { scheduler: scheduler.clone(), reason: e.to_string() }))?;
    let lost =
        move |e: DataFusionError| external(ClusterError::Lost { scheduler: scheduler.clone(), reason: e.to_string() });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.map_err(lost))))
}
