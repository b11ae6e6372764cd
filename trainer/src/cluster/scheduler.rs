//! `trainer scheduler`: takes plans, and hands their pieces to the workers that come for them.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::utils::default_session_builder;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::FunctionRegistry;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use super::{ClusterError, MESSAGE_BYTES, functions};

/// The least silence after which a worker may be given up: a busy one comes every five seconds.
pub const LEAST_SILENCE_SECONDS: u64 = 10;
/// How long results wait to be fetched.
const KEPT: Duration = Duration::from_secs(6 * 3_600);

/// Schedules until the process is asked to stop; workers not heard of for `silence` are given up, and what they had is
/// computed again by others.
///
/// # Errors
/// Ballista's scheduler does not start, or ends.
pub async fn run(listener: TcpListener, silence: Duration) -> Result<(), ClusterError> {
    let address = listener.local_addr().map_err(|e| ballista(e.into()))?;
    let silence = silence.as_secs().max(LEAST_SILENCE_SECONDS);
    let config = SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        external_host: address.ip().to_string(),
        // Workers come for work, so that nothing has to reach them but who fetches rows.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: silence,
        expire_dead_executor_interval_seconds: 1,
        no_executors_grace_period_seconds: silence,
        finished_job_data_clean_up_interval_seconds: KEPT.as_secs(),
        grpc_server_max_decoding_message_size: MESSAGE_BYTES,
        grpc_server_max_encoding_message_size: MESSAGE_BYTES,
        override_session_builder: Some(Arc::new(|config| {
            let mut state = default_session_builder(config)?;
            for function in functions() {
                state.register_udf(function)?;
            }
            Ok(state)
        })),
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(ballista)?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config));
    let scheduler = scheduler.await.map_err(ballista)?;
    tokio::select! {
        ended = start_grpc_service_with_listener(listener, scheduler) => ended.map_err(ballista),
        () = edge_runtime::server::stop_signal() => Ok(()),
    }
}

fn ballista(error: ballista_core::error::BallistaError) -> ClusterError {
    ClusterError::Ballista(Box::new(error))
}
