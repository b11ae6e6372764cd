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
use edge_runtime::pseudonym::Pseudonyms;
use edge_runtime::runtime::{Keep, Runtime, Settings};
#[cfg(feature = "playground")]
use edge_runtime::server::playground::Playground;
use edge_runtime::upload::Uploader;
use edge_runtime::{server, spool, upload};
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
    Serve(Box<Serve>),
    Pseudonym(Pseudonym),
}

/// Print what edges with a key call users, for `trainer data forget`; or make a key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  edge-runtime pseudonym --key pseudonym.key --new
  edge-runtime pseudonym --key pseudonym.key ada")]
struct Pseudonym {
    /// The key's file, as edges get it with --pseudonym-key
    #[arg(long)]
    key: PathBuf,
    /// Write a new key into this file, which must not be there yet
    #[arg(long)]
    new: bool,
    /// The users
    #[arg(required_unless_present = "new")]
    users: Vec<String>,
}

impl Pseudonym {
    fn run(self) -> Result<()> {
        let pseudonyms = match self.new {
            true => Pseudonyms::create(&self.key)?,
            false => Pseudonyms::read(&self.key)?,
        };
        for user in &self.users {
            say(&pseudonyms.of(user));
        }
        Ok(())
    }
}

/// Follow a channel and answer over HTTP.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  edge-runtime serve --registry registry --trust keys/root.json --channel stable --state state

Then:
  curl -s localhost:8787/v1/podcasts/rank -H 'content-type: application/json' -d '{\"user\": \"ada\", \"candidates\": [{\"item\": \"show-1\"}]}'

To upload what is logged to `trainer serve`:
  edge-runtime serve ... --collector http://collector:8788 --collector-token-file token

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
    /// The collector to upload what is logged to; what it has is then deleted here
    #[arg(long, value_name = "URL", requires = "collector_token_file")]
    collector: Option<String>,
    /// The file with the collector's token for this edge
    #[arg(long, value_name = "FILE", requires = "collector")]
    collector_token_file: Option<PathBuf>,
    /// Longest time in milliseconds that logs wait to be uploaded together
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    upload_ms: u64,
    /// Call users by pseudonyms under the key in this file, in histories and in logs; `edge-runtime pseudonym --new` makes one
    #[arg(long, value_name = "FILE")]
    pseudonym_key: Option<PathBuf>,
    /// Upload user ids as they come, where they are pseudonyms already
    #[arg(long, conflicts_with = "pseudonym_key")]
    plain_user_ids: bool,
    /// Bytes of a batch before compression
    #[arg(long, default_value_t = 1 << 20, value_parser = clap::value_parser!(u64).range(1..=32 << 20))]
    upload_bytes: u64,
    /// Largest spool on disk in bytes: beyond it the oldest logs are dropped, and counted in /metrics and /readyz;
    /// 16 GiB with a collector, no bound without one
    #[arg(long, value_parser = clap::value_parser!(u64).range(1 << 20..))]
    spool_bytes: Option<u64>,
}

/// The bound of a spool that is uploaded.
const SPOOL_BYTES: u64 = 16 << 30;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,edge_runtime=info"));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
    let run = || -> Result<()> {
        let serve = match command {
            Command::Serve(serve) => serve,
            Command::Pseudonym(pseudonym) => return pseudonym.run(),
        };
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
        let upload = self.collector.zip(self.collector_token_file).map(|(collector, token)| upload::Settings {
            collector,
            token,
            batch_bytes: self.upload_bytes,
            every: Duration::from_millis(self.upload_ms),
        });
        if upload.is_some() && self.pseudonym_key.is_none() && !self.plain_user_ids {
            anyhow::bail!(
                "--collector would send user ids as they are; pass --pseudonym-key FILE (`edge-runtime pseudonym --key FILE --new` makes one), or --plain-user-ids where they are pseudonyms already"
            );
        }
        let bound = self.spool_bytes.or(upload.is_some().then_some(SPOOL_BYTES));
        // The bound holds by whole segments, so they are much smaller than it.
        let segment_bytes = bound.map_or(u64::MAX, |b| b / 16).min(spool::Settings::default().segment_bytes);
        let settings = Settings {
            registry: self.registry,
            trust,
            channel: self.channel,
            surfaces: self.surfaces,
            state: self.state,
            limits: Limits { call: Duration::from_millis(self.deadline_ms), ..Limits::serving() },
            spool: spool::Settings { sync: Duration::from_millis(self.sync_ms), segment_bytes },
            keep: Keep { uploaded: upload.is_some(), bytes: bound },
            pseudonyms: self.pseudonym_key.as_deref().map(Pseudonyms::read).transpose()?,
        };
        let runtime = Arc::new(Runtime::open(settings).await?);
        let uploader = upload.map(|upload| Uploader::new(Arc::clone(&runtime), upload)).transpose()?;
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
        let upload = uploader.map(|uploader| tokio::spawn(uploader.run()));
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
        server::serve(listener, routes, server::stop_signal()).await?;
        follow.abort();
        upload.inspect(|upload| upload.abort());
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
        let keeper = Arc::clone(&runtime);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || keeper.trim()).await {
            tracing::error!(%error, "the spool cannot be trimmed");
        }
    }
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
