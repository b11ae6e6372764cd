//! `trainer bundle`: a model that was trained elsewhere becomes a RUN folder.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::terminal::say;
use super::train::print_report;
use super::{Run, terminal};
use crate::experiment::foreign;
use crate::experiment::train::Settings;
use crate::release::canonical::{Column, Wish};

/// Bundle an ONNX model that was trained elsewhere, and judge it as `train` judges its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer vectors --log log --spec podcasts.toml --out vectors.parquet      # then train on them
  trainer bundle --model model.onnx --vectors vectors.parquet --log log --spec podcasts.toml --out run
  trainer bundle --model classes.onnx --output probabilities --class 1 --log log --spec podcasts.toml --out run

The model takes f32[n, width], the vectors, and gives a number a row; higher ranks first.
Ports are renamed, labels and maps dropped, and of several columns one is taken; a file that needs nothing is kept as it is.
The bundle gets the smallest engine that runs the model. `trainer publish` takes the RUN folder.")]
pub(super) struct Bundle {
    /// The ONNX file
    #[arg(long)]
    model: PathBuf,
    /// The LOG folder: what `trainer replay` wrote, an edge's --state folder, or a collector's --store
    #[arg(long)]
    log: PathBuf,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    /// What `trainer vectors` wrote and the model was trained on: the bundle gets its encoder;
    /// where absent the encoder is fitted again, which gives the same one on the same --log, --spec and --fold
    #[arg(long)]
    vectors: Option<PathBuf>,
    /// The output that is the score, where the model has several
    #[arg(long)]
    output: Option<String>,
    /// Which column is the score where the output has several, from 0; the last one where absent
    #[arg(long, value_name = "COLUMN", conflicts_with = "class_weights")]
    class: Option<u32>,
    /// Or the sum of all columns, each times its weight, such as 0,1,2 for grades
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',', allow_hyphen_values = true)]
    class_weights: Option<Vec<f32>>,
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

impl Run for Bundle {
    fn run(self) -> Result<()> {
        let column = match (self.class, self.class_weights) {
            (Some(class), _) => Column::Class(class),
            (None, Some(weights)) => Column::Weights(weights),
            (None, None) => Column::Last,
        };
        let wish = Wish { output: self.output, column };
        let settings = Settings { seed: 0, fold: self.fold };
        let bar = terminal::progress("judging");
        let from = (self.log.as_path(), self.spec.as_path());
        let report = foreign::bring(&self.model, &wish, self.vectors.as_deref(), from, &settings, &self.out)?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&report);
        }
        for change in report.source.iter().flat_map(|source| &source.changes) {
            say!("{change}");
        }
        print_report(&report, &self.out);
        Ok(())
    }
}
