//! `trainer replay`: raw events become a LOG folder, through the engine.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::terminal::say;
use super::{Run, terminal};
use crate::data::replay::{self, Subject};
use crate::data::shard::Shard;
use crate::data::store::Data;
use crate::release::bundle::Bundle;
use crate::spec::TrainerSpec;

/// Drive raw events through the engine into a feature log.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer replay --data data --spec docs/examples/ranklens.toml --out log
  trainer replay --data data --bundle registry/bundles/3f9a.. --channel registry/channels/podcasts/stable --out log
  trainer replay --data data --spec docs/examples/ranklens.toml --shard 2/4 --out log-2")]
pub(super) struct Replay {
    /// The DATA folder
    #[arg(long)]
    data: PathBuf,
    /// Read values with this spec's features
    #[arg(long, required_unless_present = "bundle")]
    spec: Option<PathBuf>,
    /// Answer with this bundle, `REGISTRY/bundles/DIGEST` or a RUN folder, and log vectors and scores too;
    /// tables are made as its own spec says, or as --spec says where that is given
    #[arg(long)]
    bundle: Option<String>,
    /// Use this channel's salt, arm and weight; goes with --bundle
    #[arg(long, requires = "bundle")]
    channel: Option<PathBuf>,
    /// Replay only a share of the users, NUMBER/OF, such as 2/4 on the second of four machines; `data build` takes
    /// the LOG folders of all shares together
    #[arg(long, value_name = "NUMBER/OF", default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// The LOG folder to write
    #[arg(long)]
    out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Replay {
    fn run(self) -> Result<()> {
        let data = Data::open(&self.data)?;
        let bundle = self.bundle.as_deref().map(Bundle::open).transpose()?;
        let spec = match (&self.spec, &bundle) {
            (Some(path), _) => TrainerSpec::read(path)?,
            (None, Some(bundle)) => bundle.spec()?,
            (None, None) => anyhow::bail!("pass --spec or --bundle"),
        };
        let subject = match &bundle {
            None => Subject::of_spec(&spec.features),
            Some(bundle) => bundle.subject(self.channel.as_deref())?,
        };
        let bar = terminal::progress("replaying");
        let summary = replay::replay(&data, &spec.features, &subject, self.shard, &self.out, &terminal::moves(&bar))?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&summary);
        }
        say!("requests   {}", summary.requests);
        say!("rows       {}", summary.rows);
        say!("snapshots  {}", summary.snapshots);
        if summary.requests_without_candidates > 0 {
            say!("requests without a candidate, not logged: {}", summary.requests_without_candidates);
        }
        if let (Some(spec), None) = (&self.spec, &self.bundle) {
            say!("\nNext: trainer train --log {} --spec {} --out run", self.out.display(), spec.display());
        }
        Ok(())
    }
}
