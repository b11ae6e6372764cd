//! `trainer data`: what is done with data before anything is trained on it.
//!
//! To add a command, write its file in `cli/data/` and register it below.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Run;

mod build;
mod compare;

/// Build datasets, look at them and check them.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Compare(compare::Compare),
}

impl Run for Data {
    fn run(self) -> Result<()> {
        match self.command {
            Command::Build(command) => command.run(),
            Command::Compare(command) => command.run(),
        }
    }
}
