//! The edge server's command line.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use edge_runtime::host::Limits;
use edge_runtime::runtime::{Runtime, Settings};
#[cfg(feature = "playground")]
use edge_runtime::server::playground::Playground;
use edge_runtime::{server, spool};
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

/// Rank Home screens with signed bundles from a registry.
#[derive(Debug, Parser)]
#[command(name = "edge-runtime", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
}

/// Follow a channel and answer over HTTP.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  edge-runtime serve --registry registry --trust keys/root.json --channel stable --state state

Then:
  curl -s localhost:8787/v1/podcasts/rank -H 'content-type: application/json' -d '{\"user\": \"ada\", \"candidates\": [{\"item\": \"show-1\"}]}'

What is acknowledged was written to the spool, so a killed process loses nothing;
an fsync every --sync-ms bounds what a power failure can take.")]
struct Serve {
    /// The registry: a folder or an object store's URL
    #[arg(long)]
    registry: String,
    /// The root document to trust, `root.json` of `trainer keys init`
    #[arg(long)]
    trust: PathBuf,
    /// The channel to follow
    #[arg(long)]
    channel: String,
    /// A surface to serve; may be given several times; all of the registry's where absent
    #[arg(long = "surface")]
    surfaces: Vec<String>,
    /// Where histories, logs and cached bundles are kept
    #[arg(long)]
    state: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Also serve a page at /playground that ranks in the browser, to try requests out; only on a loopback address
    #[cfg(feature = "playground")]
    #[arg(long)]
    playground: bool,
    /// Milliseconds between two looks at the channels
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    poll_ms: u64,
    /// Milliseconds a model may take for a request before the fallback answers
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    deadline_ms: u64,
    /// Milliseconds between two fsyncs of the spool
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    sync_ms: u64,
}

fn main() -> ExitCode {
    let Command::Serve(serve) = Cli::parse().command;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,edge_runtime=info"));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
    let run = || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let done = runtime.block_on(serve.run());
        // What is still at work was not acknowledged, and is not waited for.
        runtime.shutdown_background();
        done
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Causes that are said already are not said again.
            let message = error.chain().fold(String::new(), |said, cause| match cause.to_string() {
                cause if said.contains(&cause) => said,
                cause if said.is_empty() => cause,
                cause => format!("{said}: {cause}"),
            });
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

impl Serve {
    async fn run(self) -> Result<()> {
        #[cfg(feature = "playground")]
        let playground = match (self.playground, self.listen.ip().is_loopback()) {
            (false, _) => None,
            (true, true) => Some((self.registry.clone(), self.channel.clone())),
            (true, false) => anyhow::bail!(
                "--playground shows logged requests, so it is served on a loopback address only; --listen is {}",
                self.listen
            ),
        };
        let metrics = PrometheusBuilder::new().install_recorder().context("metrics")?;
        let trust = std::fs::read(&self.trust)
            .with_context(|| format!("--trust: cannot read {}; `trainer keys init` writes it", self.trust.display()))?;
        #[cfg(feature = "playground")]
        let playground = match playground {
            Some((registry, channel)) => Some(Playground::new(&registry, channel, trust.clone())?),
            None => None,
        };
        let settings = Settings {
            registry: self.registry,
            trust,
            channel: self.channel,
            surfaces: self.surfaces,
            state: self.state,
            limits: Limits { call: Duration::from_millis(self.deadline_ms), ..Limits::serving() },
            spool: spool::Settings { sync: Duration::from_millis(self.sync_ms), ..spool::Settings::default() },
        };
        let runtime = Arc::new(Runtime::open(settings).await?);
        runtime.poll().await;
        let listener = tokio::net::TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}; pass another --listen", self.listen))?;
        say(&format!("listening on http://{}", listener.local_addr()?));
        let surfaces = runtime.status();
        if surfaces.is_empty() {
            say("no bundle: the registry has no such channel yet; check --registry and --channel, or publish one");
        }
        for (surface, status) in surfaces {
            match (status.bundles.first(), status.problem) {
                (Some(bundle), _) => say(&format!("serving {surface} with bundle {bundle}")),
                (None, problem) => say(&format!("no bundle for {surface}: {}", problem.unwrap_or_default())),
            }
        }
        let follow = tokio::spawn(follow(Arc::clone(&runtime), Duration::from_millis(self.poll_ms)));
        #[cfg(feature = "playground")]
        let routes = match playground {
            Some(playground) => {
                say(&format!("the playground is at http://{}/playground", listener.local_addr()?));
                server::router_with_playground(Arc::clone(&runtime), metrics, playground)
            }
            None => server::router(Arc::clone(&runtime), metrics),
        };
        #[cfg(not(feature = "playground"))]
        let routes = server::router(Arc::clone(&runtime), metrics);
        server::serve(listener, routes, stop_signal()).await?;
        follow.abort();
        runtime.close().await;
        Ok(())
    }
}

/// Prints a line; whoever started the edge may have stopped listening.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Reads the channels and checkpoints the store, again and again.
async fn follow(runtime: Arc<Runtime>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        runtime.poll().await;
        if let Err(error) = runtime.checkpoint().await {
            tracing::error!(%error, "the checkpoint failed; the spool has everything");
        }
    }
}

async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(_) => return std::future::pending().await,
        };
        tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_never_come_are_refused() {
        let parse = |flag: &str, ms: &str| {
            let needed = ["edge-runtime", "serve", "--registry", "r", "--trust", "t", "--channel", "c", "--state", "s"];
            Cli::try_parse_from(needed.into_iter().chain([flag, ms])).map_err(|e| e.to_string())
        };
        for flag in ["--deadline-ms", "--poll-ms", "--sync-ms"] {
            assert!(parse(flag, "500").is_ok());
            for ms in ["0", "18446744073709551615"] {
                let error = parse(flag, ms).unwrap_err();
                assert!(error.contains(flag) && error.contains("is not in"), "{error}");
            }
        }
    }
}
