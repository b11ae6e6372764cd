//! `trainer serve`: the collector that edges upload to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::terminal::say;
use super::{Run, terminal};
use crate::collect::server::Server;
use crate::collect::tokens::Tokens;
use crate::collect::{Collector, Settings};
use crate::data::warehouse::Objects;

/// Take what edges upload, check it, and keep it as Parquet that models are trained on.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  openssl rand -hex 32 > token
  echo \"paris $(head -1 token | tr -d '\\n' | sha256sum | cut -d' ' -f1)\" > tokens
  trainer serve --store store --tokens tokens --registry registry --trust keys/root.json

On the edge:
  edge-runtime serve ... --collector http://127.0.0.1:8788 --collector-token-file token --pseudonym-key key

Then:
  trainer train --log store --spec SPEC --out run")]
pub(super) struct Serve {
    /// Where to keep what comes: a folder or an object store's URL
    #[arg(long)]
    store: String,
    /// Who may upload: a line a token, its name and its SHA-256
    #[arg(long)]
    tokens: PathBuf,
    /// The registry that edges follow: a folder or an object store's URL
    #[arg(long)]
    registry: String,
    /// The root document to trust, `root.json` of `trainer keys init`
    #[arg(long)]
    trust: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8788")]
    listen: SocketAddr,
    /// Batches that are worked on at a time; whoever comes then is told to come again
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: u16,
    /// Milliseconds that batches wait to be compacted together
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    compact_ms: u64,
}

impl Run for Serve {
    fn run(self) -> Result<()> {
        terminal::logs();
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.serve())
    }
}

impl Serve {
    async fn serve(self) -> Result<()> {
        let metrics = PrometheusBuilder::new().install_recorder().context("metrics")?;
        let tokens = Tokens::read(&self.tokens)?;
        let trust = std::fs::read(&self.trust)
            .with_context(|| format!("--trust: cannot read {}; `trainer keys init` writes it", self.trust.display()))?;
        let objects = Objects::open(&self.store)?;
        let collector = Collector::open(objects, &self.registry, &trust, Settings::default()).await?;
        let server = Server::new(Arc::new(collector), tokens, metrics, self.in_flight.into());
        let listener = tokio::net::TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}; pass another --listen", self.listen))?;
        say!("listening on http://{}", listener.local_addr()?);
        let compaction = tokio::spawn(server.clone().compact(Duration::from_millis(self.compact_ms)));
        edge_runtime::server::serve(listener, server.routes(), edge_runtime::server::stop_signal()).await?;
        compaction.abort();
        Ok(())
    }
}
