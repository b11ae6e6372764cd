//! Several machines: Ballista's scheduler and executor with Hearth's functions, and the queries that run there.
//!
//! A query is planned by whoever asks, as for this machine, and its plan is handed to the scheduler ([`session`]).
//! The scheduler ([`scheduler`]) cuts it where rows change hands and gives the pieces to workers ([`worker`]), which come
//! for them; what a worker computes stays in its folder until others, or who asked, fetch it.
//! Nothing here is authenticated or encrypted: who reaches the scheduler can have workers read and write any file that
//! they can, as with a shell. So everything listens on loopback unless told otherwise.

mod plan;
pub mod scheduler;
mod session;
pub mod worker;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::data::build::functions;
use crate::data::engine::Address;
use crate::data::statistics;

pub(crate) use session::session;

/// The largest message: a plan that names many files, or a piece of what a worker computed.
const MESSAGE_BYTES: u32 = 64 << 20;
/// The stack of a thread that reads plans, which are as deep as their queries.
pub const STACK_BYTES: usize = 16 << 20;

/// Why a cluster cannot be used, or a part of it not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Nobody answers.
    #[error("no scheduler answers at {scheduler}: {reason}; start one with `trainer scheduler --listen {scheduler}`")]
    NoScheduler {
        /// Where.
        scheduler: Address,
        /// Why.
        reason: String,
    },
    /// Somebody else answers.
    #[error(
        "what answers at {scheduler} is no scheduler (HTTP {status}); pass the address that `trainer scheduler` prints"
    )]
    OtherServer {
        /// Where.
        scheduler: Address,
        /// What it answered.
        status: u16,
    },
    /// A scheduler alone.
    #[error("the scheduler at {scheduler} has no workers; start some with `trainer worker --scheduler {scheduler}`")]
    NoWorkers {
        /// Where it is.
        scheduler: Address,
    },
    /// A query fails there.
    #[error("the cluster at {scheduler} fails: {reason}{}", hint(.reason))]
    Query {
        /// Where its scheduler is.
        scheduler: Address,
        /// What it says.
        reason: String,
    },
    /// What was computed cannot be fetched.
    #[error(
        "a worker of the cluster at {scheduler} is gone, and with it what it computed: {reason}; run the command again, \
         and where this stays so, see that this machine reaches the address that each worker has for others (`trainer \
         worker --listen`, or --advertise)"
    )]
    Lost {
        /// Where its scheduler is.
        scheduler: Address,
        /// What went wrong.
        reason: String,
    },
    /// A port that is taken or not ours.
    #[error("cannot listen on {listen}: {source}; pass another --listen")]
    Listen {
        /// Where.
        listen: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A worker that those who fetch rows cannot reach.
    #[error(
        "who fetches rows from another machine cannot reach {}, and the scheduler at {scheduler} is not reached by \
         loopback; pass --listen ADDRESS:PORT with this machine's address in their network, or --advertise HOST where something there \
         passes connections on",
        .listen.ip()
    )]
    OutOfReach {
        /// Where it would listen.
        listen: std::net::SocketAddr,
        /// Where its scheduler is.
        scheduler: Address,
    },
    /// A folder for what is computed.
    #[error("cannot make a folder for what is computed: {source}; pass another --spill")]
    Folder {
        /// Why.
        source: std::io::Error,
    },
    /// A scheduler or a worker ends in an error.
    #[error("{0}")]
    Ballista(Box<ballista_core::error::BallistaError>),
}

/// What to do about a cluster's words.
fn hint(reason: &str) -> &'static str {
    let words = ["No such file or directory", "Permission denied"];
    match words.iter().any(|words| reason.contains(words)) {
        true => {
            "; every worker reads the data at the path that it has here: mount the folder there, too, and pass that path"
        }
        false => "",
    }
}

/// Hearth's functions of SQL, which client, scheduler and workers must all know.
fn functions() -> Vec<Arc<ScalarUDF>> {
    functions::all().into_iter().chain([statistics::cluster::function()]).map(Arc::new).collect()
}
