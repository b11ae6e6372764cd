//! `trainer run`: the whole loop once, from DATA to a channel.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::evaluate::print_evaluation;
use super::publish::TargetArgs;
use super::terminal::say;
use super::train::{anomalies, with_anomalies};
use super::{Run, terminal};
use crate::release::whole;

/// Replay, train, judge and publish.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  trainer run --once --data data --spec podcasts.toml --registry registry --channel stable --key keys/publisher.key")]
pub(super) struct RunAll {
    /// Run once and stop
    #[arg(long, required = true)]
    once: bool,
    /// The DATA folder
    #[arg(long)]
    data: PathBuf,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// The same seed gives the same bundle
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep the LOG and RUN folders here; a temporary folder where absent
    #[arg(long)]
    work: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for RunAll {
    fn run(self) -> Result<()> {
        let temporary = tempfile::tempdir()?;
        let work = self.work.as_deref().unwrap_or(temporary.path());
        let replaying = terminal::progress("replaying");
        let training = terminal::progress("training");
        let whole = whole::run_once(
            &self.data,
            &self.spec,
            self.seed,
            work,
            &self.target.open()?,
            &terminal::moves(&replaying),
            &terminal::moves(&training),
        );
        replaying.finish_and_clear();
        training.finish_and_clear();
        if self.work.is_none() && anomalies(&whole).is_some() {
            eprintln!("the log is kept, to look at, in {}", temporary.keep().display());
        }
        let (report, published) = with_anomalies(whole)?;
        if self.json {
            terminal::print_json(&published)?;
        } else {
            print_evaluation(&report.evaluation);
            say!("{}", published.gate);
            if let Some(sequence) = published.sequence {
                say!("{} is on {}/{} (sequence {sequence})", published.bundle, published.surface, self.target.channel);
            }
        }
        if published.sequence.is_none() {
            bail!("not published: the gate failed; improve the model, or see `trainer publish --help` for an override");
        }
        Ok(())
    }
}
