//! `trainer import`: foreign files become a DATA folder.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::terminal::say;
use super::{Run, terminal};
use crate::data::import;
use crate::spec::TrainerSpec;

/// Read events from files into a DATA folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer import metarank events.jsonl.gz --spec docs/examples/ranklens.toml --out data
  trainer import csv checkins.csv poi.csv --spec docs/examples/checkins.toml --out data
  trainer import events monday.jsonl tuesday.parquet --spec my.toml --out data")]
pub(super) struct Import {
    /// What the files are
    format: Format,
    /// The files, `.gz` or not; several are merged in time order
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    /// The DATA folder to write
    #[arg(long)]
    out: PathBuf,
    /// How many malformed lines are tolerated
    #[arg(long, default_value_t = 0)]
    max_bad: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Metarank's event JSON
    Metarank,
    /// Comma-separated columns, mapped in the spec's [import]
    Csv,
    /// Hearth's own JSON lines or Parquet
    Events,
}

impl Run for Import {
    fn run(self) -> Result<()> {
        let spec = TrainerSpec::read(&self.spec)?;
        let format = match self.format {
            Format::Metarank => import::Format::Metarank,
            Format::Csv => import::Format::Csv,
            Format::Events => import::Format::Events,
        };
        let bar = terminal::progress("importing");
        let summary = import::run(format, &self.files, &spec, &self.out, self.max_bad, &terminal::moves(&bar))?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&summary);
        }
        say!("{summary}");
        Ok(())
    }
}
