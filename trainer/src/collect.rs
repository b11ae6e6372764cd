//! The collector: takes what edges upload, keeps it for good, and makes a store of it that models are trained on.
//!
//! A batch is acknowledged once it lies durable in the store ([`accept`]); nothing else is asked of that moment.
//! In the background batches become Parquet by surface and day ([`compact`]): every row is encoded again from its
//! values by its bundle's engine and compared bit for bit ([`check`]); what does not hold is put aside with the
//! reason. One commit then says which files there are and which batches are in them, so that a crash at any moment
//! neither loses nor doubles anything. [`server`] is the way in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use edge_runtime::host::HostError;
use edge_runtime::keys::{KeyError, Role, Root};
use edge_runtime::registry::{Registry, RegistryError};
use serde::Serialize;

use crate::data::warehouse::{Log, Objects, ObjectsError, State, WarehouseError};

pub mod accept;
mod bundles;
pub mod check;
mod compact;
mod files;
mod known;
mod quarantine;
pub mod server;
mod sweep;
pub mod tokens;

pub use accept::{AcceptError, Accepted};
pub use compact::Round;

use bundles::Bundles;
use known::Known;

/// What a collector is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Largest batch as it is sent, in bytes.
    pub sent_bytes: usize,
    /// Largest batch before compression, in bytes.
    pub whole_bytes: usize,
    /// How much of what waits is compacted at once, in bytes as sent.
    pub round_bytes: u64,
    /// A file is small, and merged with others of its day, below this size.
    pub small_bytes: u64,
    /// So many small files of a day are merged.
    pub small_files: usize,
}

/// A collector over a store.
#[derive(Debug)]
pub struct Collector {
    objects: Objects,
    settings: Settings,
    bundles: Bundles,
    /// Held by the round that is under way.
    log: tokio::sync::Mutex<Log>,
    /// What the log says, for those who do not wait for a round.
    state: RwLock<Arc<State>>,
    /// Ids that files hold.
    known: Mutex<Known>,
    status: Mutex<Status>,
}

/// How compaction goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Why the last round failed; `None` where it did not.
    pub problem: Option<String>,
    /// Batches that wait.
    pub waiting: u64,
    /// Batches that cannot be read; an edge that was not answered sends them again.
    pub unreadable: u64,
    /// Batches that wait for the registry.
    pub deferred: u64,
    /// Entries that were put aside since the start, by reason.
    pub quarantined: BTreeMap<&'static str, u64>,
}

/// Why a collector cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The store.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// A file of the store.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The root document.
    #[error("--trust: {0}")]
    Trust(#[from] KeyError),
    /// The sandbox.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Parquet cannot be written.
    #[error("{object}: {source}")]
    Parquet {
        /// The file.
        object: String,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// The process is stopping.
    #[error("the collector is stopping")]
    Stopping,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sent_bytes: 32 << 20,
            // An entry of a spool has at most 64 MiB.
            whole_bytes: 65 << 20,
            round_bytes: 64 << 20,
            small_bytes: 16 << 20,
            small_files: 8,
        }
    }
}

impl Collector {
    /// Opens a store, with the registry that rows' bundles and snapshots are looked up in.
    ///
    /// # Errors
    /// A store, registry or root document that cannot be used.
    pub async fn open(
        objects: Objects,
        registry: &str,
        trust: &[u8],
        settings: Settings,
    ) -> Result<Collector, CollectError> {
        let publishers = Root::pinned(trust)?.trusted(Role::Publisher)?;
        let bundles = Bundles::new(Registry::open(registry)?, publishers)?;
        let log = Log::open(objects.clone()).await?;
        let state = RwLock::new(Arc::new(log.state().clone()));
        let log = tokio::sync::Mutex::new(log);
        Ok(Collector { objects, settings, bundles, log, state, known: Mutex::default(), status: Mutex::default() })
    }

    /// How compaction goes.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The limits of a batch.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the store holds, as far as this process knows.
    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, log: &Log) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(log.state().clone());
    }

    fn with_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
