//! `trainer vectors`: what another library needs to train a model.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::terminal::say;
use super::{Run, terminal};
use crate::experiment::foreign;
use crate::experiment::train::Settings;

/// Write the training requests' vectors and labels to a Parquet file, to train a model elsewhere.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  trainer vectors --log log --spec podcasts.toml --out vectors.parquet

In Python:
  rows = pandas.read_parquet(\"vectors.parquet\")
  x = rows.filter(regex=r\"^x\\.\").to_numpy(\"float32\")   # NaN where missing
  y, groups = rows[\"label\"], rows.groupby(\"request\", sort=False).size()

One row per shown item. The judging requests are left out.
The file carries the encoder that `trainer bundle --vectors` puts into the bundle with the model.")]
pub(super) struct Vectors {
    /// The LOG folder: what `trainer replay` wrote, an edge's --state folder, or a collector's --store
    #[arg(long)]
    log: PathBuf,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    /// Which fold of users judges, where the spec splits by user
    #[arg(long, default_value_t = 0)]
    fold: u32,
    /// The Parquet file to write
    #[arg(long)]
    out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Vectors {
    fn run(self) -> Result<()> {
        let settings = Settings { seed: 0, fold: self.fold };
        let bar = terminal::progress("encoding");
        let written = foreign::write_vectors(&self.log, &self.spec, &settings, &self.out)?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&written);
        }
        say!("requests {}", written.requests);
        say!("rows     {}", written.rows);
        say!("width    {}", written.width);
        say!("encoder  {}", written.encoder);
        say!(
            "\nNext: train on {0}, export to ONNX, then trainer bundle --model MODEL.onnx --vectors {0} --log {1} --spec {2} --out run",
            self.out.display(),
            self.log.display(),
            self.spec.display()
        );
        Ok(())
    }
}
