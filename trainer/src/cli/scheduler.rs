//! `trainer scheduler`: what data commands ask to run their queries on several machines.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::terminal::say;
use super::{Run, terminal};
use crate::cluster::{ClusterError, STACK_BYTES, scheduler};

/// Hand the queries of data commands to workers on several machines.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  trainer scheduler &
  trainer worker --scheduler 127.0.0.1:50050 &
  trainer data stats /shared/log --engine ballista://127.0.0.1:50050

Nothing is authenticated or encrypted: who reaches the port can have workers read and write any file that they can.
Treat it as a shell; on other addresses than loopback, keep it in a network of its own.
GET /healthz and /readyz on the same port say whether it lives and how many workers it has.
docs/scale.md says more.")]
pub(super) struct Scheduler {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
    /// Seconds of silence after which a worker is given up, and what it had is done again by others
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(scheduler::LEAST_SILENCE_SECONDS..))]
    lost_after: u64,
}

impl Run for Scheduler {
    fn run(self) -> Result<()> {
        terminal::logs();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(self.listen)
                .await
                .map_err(|source| ClusterError::Listen { listen: self.listen, source })?;
            say!("listening on ballista://{}", listener.local_addr()?);
            Ok(scheduler::run(listener, Duration::from_secs(self.lost_after)).await?)
        })
    }
}
