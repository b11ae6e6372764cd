//! A session whose queries run on a cluster: planned here, like any other, and handed over as they are executed.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::SessionConfigExt;
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::plan::OnCluster;
use super::{ClusterError, MESSAGE_BYTES, functions};
use crate::data::engine::{Address, Cluster};
use crate::data::query::joins;

/// How long a scheduler may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session on a cluster.
pub(crate) fn session(config: SessionConfig, runtime: Arc<RuntimeEnv>, cluster: &Cluster) -> SessionContext {
    let config = config.upgrade_for_ballista().with_ballista_grpc_client_max_message_size(MESSAGE_BYTES as usize);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rules(joins::rules())
        .with_query_planner(Arc::new(Planner { scheduler: cluster.scheduler.clone() }))
        .build();
    let session = SessionContext::new_with_state(state);
    functions().iter().for_each(|function| session.register_udf(function.as_ref().clone()));
    session
}

/// Plans a query for this machine, and sends the plan to another.
#[derive(Debug)]
struct Planner {
    scheduler: Address,
}

#[async_trait::async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        query: &LogicalPlan,
        session: &dyn datafusion::catalog::Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(query, session).await?;
        Ok(Arc::new(OnCluster::new(plan, self.scheduler.clone())))
    }
}

/// Checks that a scheduler is there and has workers, as one without any would wait for them.
pub(super) async fn check(scheduler: &Address) -> Result<(), ClusterError> {
    let nobody = |e: reqwest::Error| ClusterError::NoScheduler { scheduler: scheduler.clone(), reason: innermost(&e) };
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(nobody)?;
    let answer = client.get(format!("http://{scheduler}/readyz")).send().await.map_err(nobody)?;
    match answer.status().as_u16() {
        200 => Ok(()),
        503 => Err(ClusterError::NoWorkers { scheduler: scheduler.clone() }),
        status => Err(ClusterError::OtherServer { scheduler: scheduler.clone(), status }),
    }
}

/// What an error began with, such as "Connection refused".
fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => innermost(cause),
        None => error.to_string(),
    }
}
