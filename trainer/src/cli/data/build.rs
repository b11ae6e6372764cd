//! `trainer data build`: logs become a DATASET folder.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Where;
use crate::cli::terminal::say;
use crate::cli::{Run, size, terminal};
use crate::data::build::{self, Input, Report};
use crate::data::query::Resources;
use crate::spec::TrainerSpec;

/// Join logged rows with impressions and interactions into a labelled dataset.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer data build --log log --spec docs/examples/ranklens.toml --out dataset
  trainer data build --log monday --log tuesday --spec spec.toml --out dataset --memory 512MiB
  trainer data build --log /shared/log --spec spec.toml --out dataset --engine ballista://127.0.0.1:50050

The files of a store behind a URL are copied to where --spill says first.

Then:
  trainer train --log dataset --spec docs/examples/ranklens.toml --out run")]
pub(super) struct Build {
    /// A LOG folder or a collector's store; may be given several times, the oldest first
    #[arg(long = "log", required = true)]
    logs: Vec<PathBuf>,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    /// The DATASET folder to write; an older dataset there is replaced
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    place: Where,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What a query may use.
#[derive(Debug, Args)]
pub(super) struct Bounds {
    /// Memory that sorts and joins may use here; what is beyond goes to disk
    #[arg(long, default_value = "2GiB", value_parser = size::bytes)]
    memory: usize,
    /// Where it goes; the system's folder for temporary files where absent
    #[arg(long)]
    spill: Option<PathBuf>,
}

impl Bounds {
    pub(super) fn resources(self) -> Resources {
        Resources { memory_bytes: self.memory, spill: self.spill, ..Resources::default() }
    }
}

impl Run for Build {
    fn run(self) -> Result<()> {
        let spec = TrainerSpec::read(&self.spec)?;
        let resources = Resources { engine: self.place.engine(&self.logs)?, ..self.bounds.resources() };
        let input = Input::folders(&self.logs, spec.features.surface(), resources.spill.as_deref())?;
        let bar = terminal::spinner("joining the log with its events");
        let report = build::build(&input, &spec.features, &resources, &self.out)?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&report);
        }
        print(&report);
        say!("\nNext: trainer train --log {} --spec {} --out run", self.out.display(), self.spec.display());
        Ok(())
    }
}

fn print(report: &Report) {
    let rows = &report.rows;
    let events = &report.events;
    let counts = [
        ("rows read", rows.read),
        ("  logged twice, dropped", rows.duplicates),
        ("  of encoders without these features, dropped", rows.other_encoder),
        ("  written", rows.written),
        ("  shown, so labelled", rows.shown),
        ("  with a positive label", rows.positive),
        ("requests written", rows.requests),
        ("items shown", events.shown),
        ("  again in the same request, merged", events.shown_again),
        ("  too late for their request", events.shown_late),
        ("  for a request that is not in the log", events.shown_unknown_request),
        ("interactions", events.interactions),
        ("  again, merged", events.interactions_again),
        ("  of an action without a grade", events.ungraded),
        ("  too late for their request", events.late),
        ("  before their request", events.early),
        ("  for a request that is not in the log", events.unknown_request),
        ("  without a request", events.without_request),
        ("    of these attributed by touch", events.attributed),
        ("labels whose item is not in the log", rows.labels_without_row),
    ];
    let always = |name: &str| !name.starts_with("  ") || name.ends_with("written") || name.contains("label");
    let told = counts.iter().filter(|(name, count)| *count > 0 || always(name));
    let table = told.map(|(name, count)| vec![(*name).to_owned(), count.to_string()]);
    say!("{}", terminal::table(&["", "count"], table));
    let days = report.days.iter().map(|d| vec![d.day.clone(), d.requests.to_string(), d.rows.to_string()]);
    say!("\n{}", terminal::table(&["day", "requests", "rows"], days));
}
