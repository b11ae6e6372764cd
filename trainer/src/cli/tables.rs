//! `trainer tables`: a newer snapshot for the bundles of a channel.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::publish::TargetArgs;
use super::terminal::say;
use super::{Run, terminal};
use crate::data::store::Data;
use crate::release::publish;
use crate::spec::TrainerSpec;

/// Build a table snapshot and point a channel's arms at it.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  trainer tables --data data --spec podcasts.toml --registry registry --channel stable --key keys/publisher.key")]
pub(super) struct Tables {
    /// The DATA folder
    #[arg(long)]
    data: PathBuf,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Only events before this time, milliseconds since the epoch; the latest scheduled time where absent
    #[arg(long, allow_negative_numbers = true)]
    as_of: Option<i64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Tables {
    fn run(self) -> Result<()> {
        let spec = TrainerSpec::read(&self.spec)?;
        let bar = terminal::progress("making tables");
        let moves = terminal::moves(&bar);
        moves(0, 2);
        let data = Data::open(&self.data)?;
        moves(1, 2);
        let published = publish::tables(&spec, &data, &self.target.open()?, self.as_of)?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&published);
        }
        say!("tables {} as of {} (sequence {})", published.tables, published.as_of, published.sequence);
        Ok(())
    }
}
