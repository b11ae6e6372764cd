//! `trainer train`: a LOG folder becomes a RUN folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::data::{stats, validate};
use super::evaluate::print_evaluation;
use super::terminal::say;
use super::{Run, terminal};
use crate::data::schema::Schema;
use crate::data::statistics;
use crate::data::validation::{self, Against};
use crate::experiment::train::{self, Report, Settings};

/// The environment of a schema that logs for training are held against.
const TRAINING: &str = "TRAINING";

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

impl Train {
    /// Validates the log, where there is a schema to hold it against.
    fn validate(&self) -> Result<()> {
        let beside = self.spec.with_extension("schema.toml");
        let Some(path) = self.schema.clone().or_else(|| beside.is_file().then_some(beside)) else {
            anyhow::ensure!(
                self.previous.is_none(),
                "--previous compares by a schema; make one: \
                 trainer data stats {log} --out s.json && trainer data schema infer s.json --out {beside}",
                log = self.log.display(),
                beside = self.spec.with_extension("schema.toml").display()
            );
            return Ok(());
        };
        let schema = Schema::read(&path)?;
        let all = statistics::Settings::default();
        let statistics = stats::read(std::slice::from_ref(&self.log), &all)
            .with_context(|| format!("--schema {} needs a log of Parquet: a LOG or DATASET folder", path.display()))?;
        let previous = self.previous.clone().map(|data| stats::read(&[data], &all)).transpose()?;
        let environment = schema.environments().contains(&TRAINING).then_some(TRAINING);
        let against = Against { environment, previous: previous.as_ref(), ..Against::default() };
        let report = validation::validate(&schema, &statistics, &against);
        if report.has_errors() {
            validate::print(&report);
            bail!("the log is not what {} says it should be, so nothing was trained", path.display());
        }
        Ok(())
    }
}

impl Run for Train {
    fn run(self) -> Result<()> {
        self.validate()?;
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
