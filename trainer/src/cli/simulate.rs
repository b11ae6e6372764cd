//! `trainer simulate`: a made-up Home becomes a DATA folder.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::terminal::say;
use super::{Run, terminal};
use crate::data::simulate::{self, World};

/// Make up users, items and several weeks of events on three surfaces.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer simulate --users 1500 --items 600 --days 35 --seed 7 --out data
  trainer simulate --null --seed 7 --out data     # clicks without regard to user or item: nothing to learn")]
pub(super) struct Simulate {
    /// Number of users
    #[arg(long, default_value_t = World::default().users, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// Number of items
    #[arg(long, default_value_t = World::default().items, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    items: u32,
    /// Number of days
    #[arg(long, default_value_t = World::default().days, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = World::default().seed)]
    seed: u64,
    /// Draw clicks without regard to user or item
    #[arg(long)]
    null: bool,
    /// The DATA folder to write
    #[arg(long)]
    out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Simulate {
    fn run(self) -> Result<()> {
        let world = World { users: self.users, items: self.items, days: self.days, seed: self.seed, null: self.null };
        let bar = terminal::progress("simulating");
        let summary = simulate::write(&world, &self.out, &terminal::moves(&bar))?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&summary);
        }
        say!("{summary}");
        Ok(())
    }
}
