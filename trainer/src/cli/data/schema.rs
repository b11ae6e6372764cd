//! `trainer data schema`: what the data should be.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::stats;
use crate::cli::terminal::say;
use crate::cli::{Run, terminal};
use crate::data::schema::{Edited, Feature, Range, Schema, infer, is_pbtxt};
use crate::data::statistics::Settings;

/// Infer, show and change a schema.
#[derive(Debug, Args)]
pub(super) struct SchemaCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Infer(Infer),
    Show(Show),
    Set(Set),
}

/// Make a first schema from data that is fine, to be read and changed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer data schema infer log --out schema.toml
  trainer data schema infer today.json --out schema.pbtxt

The rules are TFDV's: required where never missing, a domain where there are at most 100 different strings.
A file that ends in .pbtxt is in TFDV's text format, any other in TOML.")]
struct Infer {
    /// What to read: CSV, Parquet, a folder, or statistics that were kept
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// The schema's file
    #[arg(long)]
    out: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

/// Show a schema, or write it in the other format.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer data schema show schema.toml
  trainer data schema show schema.pbtxt --out schema.toml")]
struct Show {
    /// The schema: TFDV's text format where it ends in .pbtxt, TOML elsewhere
    schema: PathBuf,
    /// Write it to this file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
}

/// Change a schema's file; comments stay.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer data schema set schema.toml feature.payment_type.distribution.min_domain_mass=0.9
  trainer data schema set schema.toml domain.payment_type.values+=Prcard
  trainer data schema set schema.toml 'default_environment=[\"TRAINING\", \"SERVING\"]'
  trainer data schema set schema.toml feature.tips.not_in_environment+=SERVING
  trainer data schema set schema.toml feature.company.drift.infinity_norm=0.01
  trainer data schema set schema.toml feature.company.drift=

`+=` adds to a list; nothing after `=` removes. All changes are made, or none.")]
struct Set {
    /// The schema, in TOML
    schema: PathBuf,
    /// PATH=VALUE, PATH+=VALUE or PATH=
    #[arg(required = true, value_name = "CHANGE")]
    changes: Vec<String>,
}

impl Run for SchemaCommand {
    fn run(self) -> Result<()> {
        match self.command {
            Command::Infer(infer) => infer.run(),
            Command::Show(show) => show.run(),
            Command::Set(set) => set.run(),
        }
    }
}

impl Run for Infer {
    fn run(self) -> Result<()> {
        if self.out.exists() && !self.force {
            bail!(
                "{} is there already; change it with `trainer data schema set`, or write over it with --force",
                self.out.display()
            );
        }
        let statistics = stats::read(&self.data, &Settings::default())?;
        let schema = infer(statistics.whole().context("the statistics are of slices only")?);
        write(&schema, &self.out)?;
        print(&schema);
        say!("\nNext: read {0}, then trainer data validate DATA --schema {0}", self.out.display());
        Ok(())
    }
}

impl Run for Show {
    fn run(self) -> Result<()> {
        let schema = Schema::read(&self.schema)?;
        if let Some(out) = &self.out {
            return write(&schema, out);
        }
        if self.json {
            return terminal::print_json(&schema);
        }
        print(&schema);
        Ok(())
    }
}

impl Run for Set {
    fn run(self) -> Result<()> {
        if is_pbtxt(&self.schema) {
            let path = self.schema.display();
            bail!("{path} is in TFDV's format; make it TOML first: trainer data schema show {path} --out schema.toml");
        }
        let mut edited = Edited::open(&self.schema)?;
        for change in &self.changes {
            edited.change(change).with_context(|| format!("{} is as it was", self.schema.display()))?;
        }
        Ok(edited.write()?)
    }
}

fn write(schema: &Schema, path: &std::path::Path) -> Result<()> {
    let left_out = schema.write(path)?;
    if !left_out.is_empty() {
        eprintln!("TFDV's format has no place for: {}", left_out.join(", "));
    }
    Ok(())
}

fn print(schema: &Schema) {
    let rows = schema.features.iter().map(|(name, feature)| {
        vec![
            name.clone(),
            feature.of.to_string(),
            presence(feature),
            values(feature),
            domain(schema, feature),
            more(feature),
        ]
    });
    say!("{}", terminal::table(&["feature", "type", "presence", "values", "domain", ""], rows));
}

fn presence(feature: &Feature) -> String {
    match feature.presence {
        Some(p) if p.min_fraction == Some(1.0) => "always".into(),
        Some(p) if p.min_fraction.is_some_and(|f| f > 0.0) => {
            format!("{}% of the rows", 100.0 * p.min_fraction.unwrap_or(0.0))
        }
        _ if feature.is_required() => "sometimes".into(),
        _ => "optional".into(),
    }
}

fn values(feature: &Feature) -> String {
    match (&feature.shape, feature.value_count) {
        (Some(shape), _) => shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
        (None, Some(count)) => bounds(count),
        (None, None) => String::new(),
    }
}

fn domain(schema: &Schema, feature: &Feature) -> String {
    if let Some(domain) = schema.strings(feature) {
        return format!("{} strings", domain.values.len());
    }
    if let Some(domain) = feature.float_domain {
        return bounds(Range { min: domain.min, max: domain.max });
    }
    match (feature.int_domain, &feature.bool_domain) {
        (Some(domain), _) => format!("integers {}", bounds(domain)),
        (_, Some(_)) => "bool".into(),
        _ => String::new(),
    }
}

/// What is said of a feature beside, by the names of the settings.
fn more(feature: &Feature) -> String {
    let mut said: Vec<String> = Vec::new();
    said.extend(feature.deprecated.then(|| "deprecated".into()));
    said.extend(feature.unique.map(|range| format!("unique {}", bounds(range))));
    said.extend(feature.distribution.and_then(|d| d.min_domain_mass).map(|mass| format!("min_domain_mass {mass}")));
    said.extend(feature.in_environment.iter().map(|e| format!("in {e}")));
    said.extend(feature.not_in_environment.iter().map(|e| format!("not in {e}")));
    for (kind, comparators) in [("drift", feature.drift), ("skew", feature.skew)] {
        said.extend(comparators.iter().flat_map(|c| c.each()).map(|(measure, t)| format!("{kind}.{measure} {t}")));
    }
    said.join(", ")
}

fn bounds<T: std::fmt::Display + PartialEq>(range: Range<T>) -> String {
    match (range.min, range.max) {
        (Some(min), Some(max)) if min == max => min.to_string(),
        (min, max) => {
            let text = |bound: Option<T>| bound.map(|b| b.to_string()).unwrap_or_default();
            format!("{}..{}", text(min), text(max))
        }
    }
}
