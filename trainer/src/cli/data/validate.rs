//! `trainer data validate`: whether the data is as it should be.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::stats::{self, Slices};
use crate::cli::terminal::say;
use crate::cli::{Run, terminal};
use crate::data::schema::Schema;
use crate::data::statistics::{Settings, Statistics};
use crate::data::validation::{Against, Anomaly, NoiseFloor, Report, validate};

/// What the process exits with where an anomaly is an error.
const EXIT_ANOMALIES: i32 = 3;

/// Check data against a schema, the day before, serving, and what past days say.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer data validate log --schema schema.toml
  trainer data validate today.json --schema schema.toml --previous yesterday.json --slice surface
  trainer data validate today.json --schema schema.toml --serving live.json --environment TRAINING
  trainer data validate today.json --schema schema.toml --previous yesterday.json --noise-floor mon.json tue.json wed.json

Exits with 0 where nothing is wrong or only warnings are, with 3 where an anomaly is an error, with 1 where it cannot be told.
With --previous or --serving each feature is compared by its quantiles, categories and missing values;
a change is an anomaly where it is more than chance explains and more than the schema's tolerance.
--noise-floor takes the tolerance from days that were fine: half again the most that any two of them differ.
--schema-only compares only where the schema has a threshold, as TFDV does.")]
pub(super) struct Validate {
    /// What to check: CSV, Parquet, a folder, or statistics that were kept
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// What the data should be: TFDV's text format where it ends in .pbtxt, TOML elsewhere
    #[arg(long)]
    schema: PathBuf,
    /// The environment, such as TRAINING or SERVING; features that are not in it need not exist
    #[arg(long)]
    environment: Option<String>,
    /// The data of the day before, or its statistics
    #[arg(long, value_name = "DATA")]
    previous: Option<PathBuf>,
    /// What serving saw, or its statistics
    #[arg(long, value_name = "DATA")]
    serving: Option<PathBuf>,
    /// Another version of the same data, or its statistics, for the number of its rows
    #[arg(long, value_name = "DATA")]
    version_of: Option<PathBuf>,
    #[command(flatten)]
    slices: Slices,
    /// Days that were fine, or their statistics, to learn from how far days are apart
    #[arg(long, value_name = "DAY", num_args = 2..)]
    noise_floor: Vec<PathBuf>,
    /// Compare only where the schema has a threshold
    #[arg(long)]
    schema_only: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

impl Run for Validate {
    fn run(self) -> Result<()> {
        let schema = Schema::read(&self.schema)?;
        if let Some(environment) = &self.environment
            && !schema.environments().contains(&environment.as_str())
        {
            let path = self.schema.display();
            bail!(
                "the schema knows no environment {environment}; add it: \
                 trainer data schema set {path} default_environment+={environment}"
            );
        }
        let read = |data: &[PathBuf]| self.read(data);
        let statistics = read(&self.data)?;
        let control = |path: &Option<PathBuf>| path.clone().map(|path| read(&[path])).transpose();
        let (previous, serving, version) =
            (control(&self.previous)?, control(&self.serving)?, control(&self.version_of)?);
        let days = self.noise_floor.iter().map(|day| read(std::slice::from_ref(day))).collect::<Result<Vec<_>>>()?;
        let noise_floor = (!days.is_empty()).then(|| NoiseFloor::learn(&days));
        let report = validate(
            &schema,
            &statistics,
            &Against {
                environment: self.environment.as_deref(),
                previous: previous.as_ref(),
                serving: serving.as_ref(),
                version: version.as_ref(),
                noise_floor: noise_floor.as_ref(),
                schema_only: self.schema_only,
            },
        );
        if self.json {
            terminal::print_json(&report)?;
        } else {
            print(&report);
        }
        if report.has_errors() {
            std::process::exit(EXIT_ANOMALIES);
        }
        Ok(())
    }
}

impl Validate {
    /// Statistics with the slices that are asked for; kept ones must have them.
    fn read(&self, data: &[PathBuf]) -> Result<Statistics> {
        let settings = Settings { slices: self.slices.slices.clone(), ..Settings::default() };
        let statistics = stats::read(data, &settings)?;
        for column in &self.slices.slices {
            let has = statistics.slices.iter().filter_map(|s| s.slice.as_ref()).any(|s| s.column == *column);
            if !has && statistics.whole().is_some_and(|whole| whole.rows > 0) {
                let path = data.first().map(|p| p.display().to_string()).unwrap_or_default();
                bail!("{path} has no slices by {column}; make it with `trainer data stats --slice {column}`");
            }
        }
        Ok(statistics)
    }
}

/// Prints what was found, for people.
pub(in crate::cli) fn print(report: &Report) {
    for anomaly in &report.anomalies {
        print_anomaly(anomaly);
    }
    let errors = report.anomalies.iter().filter(|a| a.severity == crate::data::validation::Severity::Error).count();
    match (report.anomalies.len(), errors) {
        (0, _) => say!("no anomalies"),
        (all, errors) => say!("{errors} errors, {} warnings", all - errors),
    }
}

fn print_anomaly(anomaly: &Anomaly) {
    let of = anomaly.feature.as_deref().unwrap_or("the data set");
    let slice = anomaly.slice.as_ref().map(|slice| format!(" of {slice}")).unwrap_or_default();
    say!("{}: {of}{slice}: {} ({})", anomaly.severity, anomaly.short, anomaly.kind);
    say!("  {}", anomaly.description.trim_end());
    if let (Some(measured), Some(threshold)) = (anomaly.measured, anomaly.threshold) {
        say!("  measured {measured:.6}, threshold {threshold:.6}");
    }
    if !anomaly.also_in.is_empty() {
        let slices: Vec<String> = anomaly.also_in.iter().map(ToString::to_string).collect();
        say!("  also in {}", slices.join(", "));
    }
    say!("  {}\n", anomaly.advice);
}
