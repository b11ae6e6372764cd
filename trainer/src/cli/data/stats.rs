//! `trainer data stats`: what is in the data.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::Where;
use crate::cli::terminal::say;
use crate::cli::{Run, terminal};
use crate::data::statistics::{self, Content, FeatureStatistics, Settings, SliceStatistics, Statistics};

/// Make statistics of data, and show or keep them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer data stats log --slice surface --out today.json
  trainer data stats trips.csv
  trainer data stats store/rows/podcasts/2026-01-05
  trainer data stats s3://bucket/store/rows/podcasts
  trainer data stats today.json --json
  trainer data stats /shared/log --engine ballista://127.0.0.1:50050 --out today.json

DATA is CSV, Parquet, a folder of either, or a LOG folder, whose features are its `value.` columns;
of a collector's store it is all rows, or those of a surface or a day, as of its last commit;
of a store with a URL they are copied to the folder for temporary files (TMPDIR) first.
CSV is read as TFDV reads it: an empty cell is missing, floats have 32 bits.
Counts are exact; `~` marks a distinct count that is estimated, with a standard error of 0.81 %.
Quantiles of more than 8,192 different numbers are from a sketch, which states by how much a rank may be wrong.")]
pub(super) struct Stats {
    /// What to read: CSV, Parquet, a folder, or statistics that were kept
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    #[command(flatten)]
    slices: Slices,
    /// Only these features; may be repeated
    #[arg(long = "feature", value_name = "NAME")]
    features: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// Keep the statistics in this file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the statistics as one JSON object
    #[arg(long)]
    json: bool,
}

/// The columns to slice by, of every command that reads data.
#[derive(Debug, Args)]
pub(super) struct Slices {
    /// Also each slice of the rows by this column's values; may be repeated
    #[arg(long = "slice", value_name = "COLUMN")]
    pub(super) slices: Vec<String>,
}

impl Run for Stats {
    fn run(self) -> Result<()> {
        let engine = self.place.engine(&self.data)?;
        let settings = Settings { slices: self.slices.slices, features: self.features, engine };
        let statistics = read(&self.data, &settings)?;
        if let Some(out) = &self.out {
            statistics.write(out)?;
        }
        if self.json {
            return terminal::print_json(&statistics);
        }
        for slice in &statistics.slices {
            print(slice);
        }
        if !statistics.unread.is_empty() {
            let unread: Vec<String> = statistics.unread.iter().map(|(column, of)| format!("{column} ({of})")).collect();
            say!("\nNot read, as nothing can be said of such columns: {}", unread.join(", "));
        }
        if let Some(out) = &self.out {
            say!("\nNext: trainer data validate {} --schema SCHEMA", out.display());
        }
        Ok(())
    }
}

/// Statistics that were kept, where one file is given that ends in `.json`, or new ones of data.
pub(in crate::cli) fn read(data: &[PathBuf], settings: &Settings) -> Result<Statistics> {
    if let [kept] = data
        && is_kept(kept)
    {
        return Ok(Statistics::read(kept)?);
    }
    let bar = terminal::progress("reading");
    let statistics = statistics::of(data, settings, &terminal::moves(&bar));
    bar.finish_and_clear();
    Ok(statistics?)
}

fn is_kept(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
}

fn print(statistics: &SliceStatistics) {
    match &statistics.slice {
        None => say!("{} rows", statistics.rows),
        Some(slice) => say!("\n{slice}: {} rows", statistics.rows),
    }
    let (numbers, strings): (Vec<_>, Vec<_>) =
        statistics.features.iter().partition(|f| matches!(f.content, Content::Numbers(_)));
    if !numbers.is_empty() {
        let header =
            ["numbers", "type", "missing", "distinct", "zeros", "mean", "std", "min", "5%", "median", "95%", "max"];
        say!("\n{}", terminal::table(&header, numbers.into_iter().map(numbers_row)));
    }
    if !strings.is_empty() {
        let header = ["strings", "type", "missing", "distinct", "length", "most frequent"];
        say!("\n{}", terminal::table(&header, strings.into_iter().map(strings_row)));
    }
}

fn numbers_row(of: &FeatureStatistics) -> Vec<String> {
    let mut row = common_cells(of);
    if let Some(n) = of.numbers() {
        let quantile = |q| short(n.ranks.quantile(q).unwrap_or(0.0));
        let share = 100.0 * n.zeros as f64 / n.finite.max(1) as f64;
        row.push(format!("{share:.1}%"));
        row.extend([n.mean, n.std_dev, n.min].map(short));
        row.extend([quantile(0.05), short(n.median), quantile(0.95), short(n.max)]);
    }
    row
}

fn strings_row(of: &FeatureStatistics) -> Vec<String> {
    let mut row = common_cells(of);
    if let Some(s) = of.strings() {
        row.push(format!("{}..{}", s.min_length, s.max_length));
        let all = of.valency.total.max(1) as f64;
        let first: Vec<String> = (s.values.iter().take(3))
            .map(|(value, count)| format!("{} {:.0}%", ellipsis(value), 100.0 * *count as f64 / all))
            .collect();
        row.push(first.join(", "));
    }
    row
}

fn common_cells(of: &FeatureStatistics) -> Vec<String> {
    let about = if of.distinct_is_exact { "" } else { "~" };
    let list = if of.valency.list { " list" } else { "" };
    vec![
        of.name.clone(),
        format!("{}{list}", of.of),
        format!("{:.1}%", 100.0 * of.missing_share()),
        format!("{about}{}", of.distinct),
    ]
}

fn short(number: f64) -> String {
    match number.abs() {
        0.0 => "0".into(),
        size if (0.001..1e6).contains(&size) => {
            let text = format!("{number:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number}"),
        _ => format!("{number:.3e}"),
    }
}

/// At most 24 characters of a value.
fn ellipsis(value: &str) -> String {
    match value.char_indices().nth(24) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}\u{2026}", &value[..end]),
    }
}
