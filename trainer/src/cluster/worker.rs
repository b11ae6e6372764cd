//! `trainer worker`: comes for pieces of plans, computes them, and keeps the rows for those who fetch them.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::RuntimeProducer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::create_grpc_server;
use ballista_executor::ArrowFlightServerProvider;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use datafusion::execution::disk_manager::DiskManagerMode;
use tonic::transport::server::TcpIncoming;

use super::{ClusterError, MESSAGE_BYTES, functions};
use crate::data::engine::Address;
use crate::data::query;

/// Seconds that a worker waits for its scheduler to be there.
const PATIENCE: u16 = 60;

/// What a worker is told.
#[derive(Debug)]
pub struct Worker {
    /// Where its scheduler listens.
    pub scheduler: Address,
    /// The name under which others reach it; the address that the scheduler sees where absent.
    pub advertise: Option<String>,
    /// How many pieces it computes at a time.
    pub cores: usize,
    /// Bytes that these hold in memory together, each an equal share; what is beyond goes to disk.
    pub memory_bytes: usize,
    /// Where that goes, and what was computed; the system's folder for temporary files where absent.
    pub spill: Option<PathBuf>,
}

impl Worker {
    /// Listens for those who fetch rows.
    ///
    /// # Errors
    /// A port that is taken or not ours, or that others cannot reach.
    pub fn listen(&self, listen: SocketAddr) -> Result<TcpListener, ClusterError> {
        if listen.ip().is_loopback() && self.advertise.is_none() && !self.scheduler.is_loopback() {
            return Err(ClusterError::OutOfReach { listen, scheduler: self.scheduler.clone() });
        }
        let listener = TcpListener::bind(listen).and_then(|l| l.set_nonblocking(true).map(|()| l));
        listener.map_err(|source| ClusterError::Listen { listen, source })
    }
}

/// Works until the process is asked to stop; then it finishes what it is at.
///
/// # Errors
/// No scheduler within a minute, no folder, or Ballista's executor ends.
pub async fn run(worker: Worker, listener: TcpListener) -> Result<(), ClusterError> {
    let address = listener.local_addr().map_err(|source| ClusterError::Folder { source })?;
    let folder = tempfile::Builder::new().prefix("hearth-worker-").tempdir_in(match &worker.spill {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir(),
    });
    let folder = folder.map_err(|source| ClusterError::Folder { source })?;
    let config = ExecutorProcessConfig {
        bind_host: Address::from(address).bracketed(),
        external_host: worker.advertise,
        port: address.port(),
        scheduler_host: worker.scheduler.bracketed(),
        scheduler_port: worker.scheduler.port,
        scheduler_connect_timeout_seconds: PATIENCE,
        vcores: worker.cores,
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(folder.path().to_string_lossy().into_owned()),
        memory_pool_size: Some(worker.memory_bytes as u64),
        grpc_max_decoding_message_size: MESSAGE_BYTES,
        grpc_max_encoding_message_size: MESSAGE_BYTES,
        override_function_registry: Some(Arc::new(registry())),
        override_arrow_flight_service: Some(serve(listener)),
        override_runtime_producer: Some(runtime(folder.path())),
        ..ExecutorProcessConfig::default()
    };
    let ended = start_executor_process(Arc::new(config)).await;
    ended.map_err(|e| ClusterError::Ballista(Box::new(e)))
}

/// What pieces of work run in, each with its share of the memory: they spill to the folder, as far as its disk reaches.
fn runtime(folder: &Path) -> RuntimeProducer {
    let folder = folder.to_owned();
    Arc::new(move |_| query::spilling(DiskManagerMode::Directories(vec![folder.clone()])).build_arc())
}

/// Ballista's functions and Hearth's.
fn registry() -> BallistaFunctionRegistry {
    let mut registry = BallistaFunctionRegistry::default();
    registry.scalar_functions.extend(functions().into_iter().map(|f| (f.name().to_owned(), f)));
    registry
}

/// Serves rows on a port that is already open, so that its number is known before anybody is told.
fn serve(listener: TcpListener) -> Arc<ArrowFlightServerProvider> {
    let listener = Mutex::new(Some(listener));
    Arc::new(move |folder, _, mut shutdown, settings| {
        let listener = listener.lock().ok().and_then(|mut listener| listener.take());
        tokio::spawn(async move {
            let listener = listener.ok_or_else(|| BallistaError::Internal("served twice".into()))?;
            let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?).with_nodelay(Some(true));
            let service = FlightServiceServer::new(BallistaFlightService::new(folder))
                .max_decoding_message_size(MESSAGE_BYTES as usize)
                .max_encoding_message_size(MESSAGE_BYTES as usize);
            let server = create_grpc_server(&settings).add_service(service);
            server.serve_with_incoming_shutdown(incoming, shutdown.recv()).await.map_err(BallistaError::TonicError)
        })
    })
}
