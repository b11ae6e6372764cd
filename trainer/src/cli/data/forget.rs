//! `trainer data forget`: a store forgets users.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use edge_runtime::registry::Registry;

use crate::cli::terminal::say;
use crate::cli::{Run, terminal};
use crate::collect::now_ms;
use crate::data::forget::{self, Removed};
use crate::data::warehouse::Objects;

/// Remove what a store holds of users, and name the models that were trained on it.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  trainer data forget --id $(edge-runtime pseudonym --key pseudonym.key ada) --store store --registry registry

Models are not changed: train again without these rows, and publish.
What edges upload later of the time up to now is dropped when it comes; a user who comes back is kept from then on.
Tables: the next snapshot that `trainer tables --log STORE` makes is without them.")]
pub(super) struct Forget {
    /// The user, by the name that the store has: the pseudonym where edges use them; may be given several times
    #[arg(long = "id", required = true)]
    ids: Vec<String>,
    /// The collector's store: a folder or an object store's URL
    #[arg(long)]
    store: String,
    /// The registry whose releases are looked through for models
    #[arg(long)]
    registry: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Run for Forget {
    fn run(self) -> Result<()> {
        let objects = Objects::open(&self.store)?;
        let registry = self.registry.as_deref().map(Registry::open).transpose()?;
        let users: BTreeSet<String> = self.ids.into_iter().collect();
        let bar = terminal::spinner("looking through the store");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let forgotten = runtime.block_on(forget::forget(&objects, &users, registry.as_ref(), now_ms()))?;
        bar.finish_and_clear();
        if self.json {
            return terminal::print_json(&forgotten);
        }
        print(&forgotten, registry.is_some());
        Ok(())
    }
}

fn print(forgotten: &Removed, looked: bool) {
    let counts = [
        ("requests", forgotten.requests),
        ("impressions", forgotten.impressions),
        ("interactions", forgotten.interactions),
        ("requests kept as they came", forgotten.requests_as_they_came),
        ("entries put aside", forgotten.put_aside),
        ("files replaced or deleted", forgotten.files),
    ];
    let rows = counts.map(|(name, count)| vec![name.to_owned(), count.to_string()]);
    say!("{}", terminal::table(&["forgotten", "count"], rows));
    if forgotten.waiting > 0 {
        say!("\n{} batches wait to be compacted; what they have of these users is dropped then", forgotten.waiting);
    }
    for model in &forgotten.models {
        say!(
            "\n{} bundle {} was trained while these rows were there; train again and publish",
            model.surface,
            model.bundle
        );
    }
    if !looked {
        say!("\npass --registry to name the models that were trained on these rows");
    }
}
