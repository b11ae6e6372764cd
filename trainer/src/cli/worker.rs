//! `trainer worker`: one of the machines that a cluster's queries run on.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::terminal::say;
use super::{Run, size, terminal};
use crate::cluster::{STACK_BYTES, worker};
use crate::data::engine::Address;

/// Run the queries of data commands that a scheduler hands out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer worker --scheduler 127.0.0.1:50050
  trainer worker --scheduler scheduler:50050 --listen 0.0.0.0:50051 --memory 24GiB --spill /fast-disk

It reads data at the path that was given to the data command: mount the folder at the same place on all machines.
Other workers, and the data command, fetch what it computed from where it listens.
Who reaches that port can read those rows: nothing is authenticated or encrypted.
docs/scale.md says more.")]
pub(super) struct Worker {
    /// Where `trainer scheduler` listens
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: Address,
    /// Where to listen; port 0 is any that is free
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The host that others reach it by; the address that the scheduler sees where absent
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Pieces to work on at a time; the machine's cores where absent
    #[arg(long)]
    cores: Option<NonZeroUsize>,
    /// Memory that these may use together; what is beyond goes to disk
    #[arg(long, default_value = "2GiB", value_parser = size::bytes)]
    memory: usize,
    /// Where that goes, and what was computed; the system's folder for temporary files where absent
    #[arg(long)]
    spill: Option<PathBuf>,
}

impl Run for Worker {
    fn run(self) -> Result<()> {
        terminal::logs();
        let cores = self.cores.map(Ok).unwrap_or_else(std::thread::available_parallelism)?.get();
        // Statistics of a part use threads of their own.
        rayon::ThreadPoolBuilder::new().num_threads(cores).build_global()?;
        let worker = worker::Worker {
            scheduler: self.scheduler,
            advertise: self.advertise,
            cores,
            memory_bytes: self.memory,
            spill: self.spill,
        };
        let listener = worker.listen(self.listen)?;
        say!("serving on {}", listener.local_addr()?);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
        Ok(runtime.block_on(worker::run(worker, listener))?)
    }
}
