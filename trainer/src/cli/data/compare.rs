//! `trainer data compare`: two logs of the same requests, value by value.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::build::Bounds;
use crate::cli::terminal::say;
use crate::cli::{Run, terminal};
use crate::data::compare::{self, Comparison};

/// Compare the values of two logs row by row; fails where they differ.
#[derive(Debug, Args)]
#[command(after_help = "Example, a replay against what edges logged:
  trainer replay --data store --spec spec.toml --out replayed
  trainer data compare --common store/rows/podcasts replayed")]
pub(super) struct Compare {
    /// A LOG folder, or STORE/rows/SURFACE or STORE/rows/SURFACE/DAY of a collected store
    left: PathBuf,
    /// Another one
    right: PathBuf,
    /// Rows that only one of them has are no difference, such as where a share of the requests is replayed
    #[arg(long)]
    common: bool,
    #[command(flatten)]
    bounds: Bounds,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Compare {
    fn run(self) -> Result<()> {
        let bar = terminal::spinner("comparing");
        let comparison = compare::compare(&self.left, &self.right, &self.bounds.resources())?;
        bar.finish_and_clear();
        match self.json {
            true => terminal::print_json(&comparison)?,
            false => print(&comparison),
        }
        if comparison.rows == 0 || comparison.features.is_empty() {
            bail!(
                "the logs have no row and feature in common, so nothing was compared; pass logs of the same requests"
            );
        }
        let only_one_has = if self.common { 0 } else { comparison.left_only + comparison.right_only };
        if comparison.differing_values() + only_one_has > 0 {
            bail!(
                "the logs differ in {} values of {} rows, and in {} rows that only one has; \
                 look for what reads another source, or for late events",
                comparison.differing_values(),
                comparison.rows,
                only_one_has
            );
        }
        Ok(())
    }
}

fn print(comparison: &Comparison) {
    let rows = comparison.features.iter().map(|f| {
        let [median, p90, largest] = match f.difference {
            Some(quantiles) => quantiles.map(|q| format!("{q:.4}")),
            None => std::array::from_fn(|_| String::new()),
        };
        let smape = f.smape.map_or_else(String::new, |s| format!("{s:.4}"));
        let counts = [f.equal, f.both_missing, f.left_only, f.right_only, f.different];
        let counts = counts.into_iter().map(|n| n.to_string());
        std::iter::once(f.name.clone()).chain(counts).chain([smape, median, p90, largest]).collect()
    });
    let header = [
        "feature",
        "equal",
        "both missing",
        "left only",
        "right only",
        "different",
        "SMAPE %",
        "median",
        "90 %",
        "largest",
    ];
    say!("{}", terminal::table(&header, rows));
    say!(
        "\n{} rows in both, {} only left, {} only right",
        comparison.rows,
        comparison.left_only,
        comparison.right_only
    );
    for (side, names) in [("left", &comparison.left_features), ("right", &comparison.right_features)] {
        if !names.is_empty() {
            say!("features only {side}: {}", names.join(", "));
        }
    }
}
