//! `trainer train`: a LOG folder becomes a RUN folder.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::data::{stats, validate};
use super::evaluate::print_evaluation;
use super::terminal::say;
use super::{Run, terminal};
use crate::data::statistics;
use crate::data::validation;
use crate::data::validation::training::{CheckError, Checks};
use crate::experiment::train::{self, Report, Settings};

/// Fit the encoder and the learner, score the judging requests through the engine, write the report.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer train --log log --spec docs/examples/ranklens.toml --out run
  trainer train --log log --spec docs/examples/checkins.toml --fold 3 --seed 7 --out run-3
  trainer train --log dataset --spec podcasts.toml --schema schema.toml --previous yesterday.json --out run")]
pub(super) struct Train {
    /// A LOG folder (what `trainer replay` wrote), a DATASET folder, an edge's --state folder, or a collector's --store
    #[arg(long)]
    log: PathBuf,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    /// The same seed gives the same bundle
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Which fold of users judges, where the spec splits by user
    #[arg(long, default_value_t = 0)]
    fold: u32,
    /// The RUN folder to write
    #[arg(long)]
    out: PathBuf,
    /// What the data should be; SPEC's name with `.schema.toml` where that file is there. Nothing is trained where an
    /// anomaly is an error
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The data of the day before, or its statistics, to compare with as well
    #[arg(long, value_name = "DATA")]
    previous: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Train {
    fn run(self) -> Result<()> {
        let previous = self.previous.map(|data| stats::read(&[data], &statistics::Settings::default())).transpose()?;
        let checks = Checks { schema: self.schema, previous };
        let settings = Settings { seed: self.seed, fold: self.fold };
        let bar = terminal::progress("training");
        let trained = train::train(&self.log, &self.spec, &settings, &checks, &self.out, &terminal::moves(&bar));
        bar.finish_and_clear();
        let report = with_anomalies(trained)?;
        if self.json {
            return terminal::print_json(&report);
        }
        print_report(&report, &self.out);
        Ok(())
    }
}

/// What was trained; where the log is not as it should be, everything that is wrong is printed, not only the first.
pub(super) fn with_anomalies<T>(trained: Result<T>) -> Result<T> {
    if let Some(report) = anomalies(&trained) {
        validate::print(report);
    }
    trained
}

/// What is wrong with the log, where that is why nothing was trained.
pub(super) fn anomalies<T>(trained: &Result<T>) -> Option<&validation::Report> {
    match trained.as_ref().err()?.downcast_ref()? {
        CheckError::NotValid { report, .. } => Some(report),
        _ => None,
    }
}

/// A report as people read it, and what to do with its run.
pub(super) fn print_report(report: &Report, run: &Path) {
    say!("bundle {}", report.bundle);
    say!("model  {}", report.model);
    say!("engine {}", report.engine);
    let parts = &report.parts;
    say!("{} requests train, {} judge", parts.train, parts.test);
    if parts.open_windows + parts.left_out > 0 {
        say!("left out: {} with an open label window, {} by the split's rules", parts.open_windows, parts.left_out);
    }
    say!();
    print_evaluation(&report.evaluation);
    say!(
        "\nNext: trainer publish --run {} --registry registry --channel stable --key KEYS/publisher.key",
        run.display()
    );
}
