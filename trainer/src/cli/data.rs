//! `trainer data`: what is in the data, what should be, and whether it is; and datasets to train on.
//!
//! To add a command, write its file in `cli/data/` and register it below.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::{Run, commands};
use crate::data::collected;
use crate::data::engine::Engine;

mod build;
mod compare;
mod forget;
mod schema;
pub(super) mod stats;
pub(super) mod validate;

/// Look at data, say what it should be, check that it is, and build datasets of it.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  trainer data stats log --out today.json
  trainer data schema infer today.json --out schema.toml
  trainer data validate today.json --schema schema.toml --previous yesterday.json
  trainer data build --log log --spec spec.toml --out dataset

docs/data.md says more.")]
pub(super) struct Data {
    #[command(subcommand)]
    command: Command,
}

commands! { Data:
    Stats(stats::Stats),
    Schema(schema::SchemaCommand),
    Validate(validate::Validate),
    Build(build::Build),
    Compare(compare::Compare),
    Forget(forget::Forget),
}

/// Where to work, of the commands that can work elsewhere.
#[derive(Debug, Args)]
struct Where {
    /// Where to work: `local`, or ballista://HOST:PORT for a cluster, in parts with ?parts=N (16)
    ///
    /// The workers of a cluster read the data at the path that it has here, in a folder that all of them see.
    /// `trainer scheduler` and `trainer worker` make a cluster; docs/scale.md says more.
    #[arg(long, value_name = "ENGINE", default_value = "local")]
    engine: Engine,
}

impl Where {
    /// The engine, if it can read the data.
    fn engine(self, data: &[PathBuf]) -> Result<Engine> {
        let url = data.iter().find_map(|path| collected::url(path));
        match url.filter(|_| self.engine != Engine::Here) {
            Some(url) => bail!("workers read folders, not {url}: mount it on all of them and pass the path"),
            None => Ok(self.engine),
        }
    }
}
