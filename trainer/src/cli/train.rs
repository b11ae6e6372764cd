//! `trainer train`: a LOG folder becomes a RUN folder.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::evaluate::print_evaluation;
use super::terminal::say;
use super::{Run, terminal};
use crate::experiment::train::{self, Report, Settings};

/// Fit the encoder and the learner, score the judging requests through the engine, write the report.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer train --log log --spec docs/examples/ranklens.toml --out run
  trainer train --log log --spec docs/examples/checkins.toml --fold 3 --seed 7 --out run-3")]
pub(super) struct Train {
    /// The LOG folder: what `trainer replay` wrote, an edge's --state folder, or a collector's --store
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
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Train {
    fn run(self) -> Result<()> {
        let settings = Settings { seed: self.seed, fold: self.fold };
        let bar = terminal::progress("training");
        let report = train::train(&self.log, &self.spec, &settings, &self.out, &terminal::moves(&bar))?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&report);
        }
        print_report(&report, &self.out);
        Ok(())
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
