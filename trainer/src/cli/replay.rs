//! `trainer replay`: raw events become a LOG folder, through the engine.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::terminal::say;
use super::{Run, terminal};
use crate::data::raw_requests;
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
  trainer replay --data data --spec docs/examples/ranklens.toml --shard 2/4 --out log-2
  trainer replay --data store --spec with-a-new-feature.toml --out log")]
pub(super) struct Replay {
    /// The DATA folder; or a collected store or an edge's state folder, whose requests that were kept as they came
    /// are answered with the tables that the edges had
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
        let data = match raw_requests::is_logged(&self.data) {
            true => raw_requests::read(&self.data, spec.features.surface())?,
            false => Data::open(&self.data)?,
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
        if summary.requests_without_answer > 0 {
            say!("requests whose rows are not there, left out: {}", summary.requests_without_answer);
        }
        if summary.requests_with_other_history > 0 {
            say!(
                "requests whose user has other interactions before them than the edge had (some came late): {}",
                summary.requests_with_other_history
            );
        }
        if let (Some(spec), None) = (&self.spec, &self.bundle) {
            say!("\nNext: trainer train --log {} --spec {} --out run", self.out.display(), spec.display());
        }
        Ok(())
    }
}
