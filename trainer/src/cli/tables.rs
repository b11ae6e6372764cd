//! `trainer tables`: newer snapshots for the bundles of a channel, once or whenever one is due.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use edge_runtime::sampling::WHOLE;
use shared_features::event::Event;

use super::publish::TargetArgs;
use super::terminal::say;
use super::{Run, terminal};
use crate::collect::now_ms;
use crate::data::observed;
use crate::data::store::Data;
use crate::data::tables::Due;
use crate::release::publish::{self, PublishedTables};
use crate::spec::TrainerSpec;

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Build a table snapshot and point a channel's arms at it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer tables --data data --spec podcasts.toml --registry registry --channel stable --key keys/publisher.key

Of what edges uploaded, with the items of a catalogue, whenever the spec's [tables] has one due:
  trainer tables --data catalogue --log store --follow --spec podcasts.toml \\
    --registry registry --channel stable --key keys/publisher.key")]
pub(super) struct Tables {
    /// The DATA folder: items and users, and events where it has some
    #[arg(long)]
    data: PathBuf,
    /// Count what edges logged too: a collected store, or an edge's state folder
    #[arg(long)]
    log: Option<PathBuf>,
    /// The surface's spec
    #[arg(long)]
    spec: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Only events before this time, milliseconds since the epoch; the latest scheduled time where absent
    #[arg(long, allow_negative_numbers = true)]
    as_of: Option<i64>,
    /// Stay, and publish every snapshot when it is due, halfway through the spec's `delay`
    #[arg(long, requires = "log", conflicts_with = "as_of")]
    follow: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Tables {
    fn run(self) -> Result<()> {
        let spec = TrainerSpec::read(&self.spec)?;
        ensure!(
            self.log.is_none() || spec.sampling.rows_ppm == WHOLE,
            "tables cannot be made of a log that has rows of a share of the requests only: impressions of the others have \
             no surface and no user; set rows_share = 1 in the spec's [log], or keep the events elsewhere"
        );
        if self.follow {
            return self.follow(&spec);
        }
        let bar = terminal::spinner("making tables");
        let published = self.publish(&spec, self.as_of)?;
        bar.finish_and_clear();
        self.say(&published)
    }
}

impl Tables {
    /// Publishes each snapshot once, when it is due; what fails is said and tried again.
    fn follow(&self, spec: &TrainerSpec) -> Result<()> {
        let mut published = None;
        loop {
            let due = Due::at(&spec.features.tables, now_ms());
            if published == Some(due.as_of) {
                std::thread::sleep(Duration::from_millis(due.next.saturating_sub(now_ms()).max(0) as u64));
                continue;
            }
            match self.publish(spec, Some(due.as_of)) {
                Ok(tables) => {
                    published = Some(due.as_of);
                    self.say(&tables)?;
                }
                Err(error) => {
                    eprintln!("tables as of {}: {error:#}; trying again in {} s", due.as_of, RETRY.as_secs());
                    std::thread::sleep(RETRY);
                }
            }
        }
    }

    fn publish(&self, spec: &TrainerSpec, as_of: Option<i64>) -> Result<PublishedTables> {
        publish::tables(spec, &self.events()?, &self.target.open()?, as_of)
    }

    /// The events of the DATA folder and of the log.
    fn events(&self) -> Result<Vec<Event>> {
        let mut events = Data::open(&self.data)?.events;
        if let Some(log) = &self.log {
            let observed = observed::read(log).with_context(|| format!("--log {}", log.display()))?;
            observed::merge(&mut events, observed);
        }
        Ok(events)
    }

    fn say(&self, published: &PublishedTables) -> Result<()> {
        if self.json {
            return terminal::print_json(published);
        }
        say!("tables {} as of {} (sequence {})", published.tables, published.as_of, published.sequence);
        Ok(())
    }
}
