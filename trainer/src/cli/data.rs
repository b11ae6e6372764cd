//! `trainer data`: what is in the data, what should be, and whether it is.
//!
//! To add a command, write its file in `cli/data/` and register it in [`data_commands!`] below.

use anyhow::Result;
use clap::Args;

use super::Run;

mod schema;
mod stats;
mod validate;

/// Look at data, say what it should be, and check that it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer data stats log --out today.json
  trainer data schema infer today.json --out schema.toml
  trainer data validate today.json --schema schema.toml --previous yesterday.json

docs/data.md says more.")]
pub(super) struct Data {
    #[command(subcommand)]
    command: DataCommand,
}

macro_rules! data_commands {
    ($($variant:ident($arguments:ty),)*) => {
        #[derive(Debug, clap::Subcommand)]
        enum DataCommand {
            $($variant($arguments),)*
        }

        impl Run for Data {
            fn run(self) -> Result<()> {
                match self.command {
                    $(DataCommand::$variant(command) => command.run(),)*
                }
            }
        }
    };
}

data_commands! {
    Stats(stats::Stats),
    Schema(schema::SchemaCommand),
    Validate(validate::Validate),
}
