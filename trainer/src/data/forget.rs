//! Forgetting users: what a collected store holds of them goes, for good.
//!
//! Rows, requests kept as they came, impressions of requests and interactions are left out of new files that replace
//! the old ones in one commit; then the old ones are deleted. What was put aside and is of them goes with its whole file.
//! What comes later of the time before is not kept.
//! Models that were trained on their rows are named; nothing here makes a model forget.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use edge_runtime::registry::{Registry, RegistryError};
use edge_runtime::spool;
use parquet::errors::ParquetError;
use serde::Serialize;
use shared_features::digest::Digest;
use shared_features::event::Event;
use ulid::Ulid;

use super::warehouse::log::{self, Commit, State};
use super::warehouse::{self, Entry, Forgotten, Kind, Log, Objects, ObjectsError, WarehouseError};

/// Largest file of what was put aside.
const MAX_ASIDE: u64 = 1 << 30;

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Removed {
    /// Requests with their rows.
    pub requests: u64,
    /// Impressions of those requests.
    pub impressions: u64,
    /// Interactions.
    pub interactions: u64,
    /// Requests that were kept as they came.
    pub requests_as_they_came: u64,
    /// Entries that had been put aside, of others too where they stood in one file.
    pub put_aside: u64,
    /// Files that were replaced or deleted.
    pub files: u64,
    /// Batches that wait to be compacted; what they have of these users is dropped then.
    pub waiting: u64,
    /// Released models whose data had rows of these users.
    pub models: Vec<Model>,
}

/// A released model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// The surface.
    pub surface: String,
    /// The bundle.
    pub bundle: Digest,
    /// When it was released, milliseconds since the epoch.
    pub created: i64,
}

/// Why nothing, or not all, was forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// A file of the store.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The store.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Nothing was ever collected here.
    #[error("{store} is no collector's store; pass what `trainer serve` has as --store")]
    NoStore {
        /// The place.
        store: String,
    },
    /// A file that cannot be written again.
    #[error("{object}: {source}")]
    Parquet {
        /// The file.
        object: String,
        /// Why.
        source: ParquetError,
    },
}

/// Forgets users in a store, at a time in milliseconds since the epoch; names the models of a registry that were
/// trained on their rows.
///
/// # Errors
/// A store or registry that fails; what is not committed is as it was, and forgetting again goes on.
pub async fn forget(
    objects: &Objects,
    users: &BTreeSet<String>,
    registry: Option<&Registry>,
    at: i64,
) -> Result<Removed, ForgetError> {
    if Log::open(objects.clone()).await?.state().next == 0 && objects.list("batches").await?.is_empty() {
        return Err(ForgetError::NoStore { store: objects.name().to_owned() });
    }
    // First, so that a collector that commits from here on knows it.
    for user in users {
        Forgotten::add(objects, user, at).await?;
    }
    let mut log = Log::open(objects.clone()).await?;
    loop {
        let mut change = Change::default();
        change.gather(objects, log.state(), users).await?;
        let mut forgotten = std::mem::take(&mut change.forgotten);
        forgotten.files = change.removed.len() as u64;
        if let Some(registry) = registry {
            forgotten.models = models(registry, &change.times).await?;
        }
        forgotten.waiting = objects.list("batches").await?.len() as u64;
        let commit = Commit {
            format: log::FORMAT,
            sequence: 0,
            at,
            batches: Vec::new(),
            added: change.added,
            removed: change.removed.clone(),
        };
        // Where a collector has committed in between, all is looked at again; what was written is swept away.
        // Committed also where nothing changes, so that a collector that did not know yet looks again.
        if log.commit(commit).await? {
            for object in &change.removed {
                objects.delete(object).await?;
                if let Some(stem) = object.strip_suffix(".spool") {
                    objects.delete(&format!("{stem}.json")).await?;
                }
            }
            return Ok(forgotten);
        }
        log.refresh().await?;
    }
}

/// What a commit is to change.
#[derive(Default)]
struct Change {
    forgotten: Removed,
    added: Vec<Entry>,
    removed: Vec<String>,
    /// When rows of these users were logged, by surface.
    times: BTreeMap<String, BTreeSet<i64>>,
}

impl Change {
    async fn gather(&mut self, objects: &Objects, state: &State, users: &BTreeSet<String>) -> Result<(), ForgetError> {
        let of_kind = |kind| state.files.values().filter(move |file| file.kind == kind);
        let mut requests = BTreeSet::new();
        for file in of_kind(Kind::Rows) {
            self.rows(objects, file, users, &mut requests).await?;
        }
        // Impressions name no user, so all requests must be known before.
        for file in of_kind(Kind::Events) {
            self.events(objects, file, users, &requests).await?;
        }
        for file in of_kind(Kind::Quarantine) {
            self.put_aside(objects, file, users, &requests).await?;
        }
        Ok(())
    }

    async fn rows(
        &mut self,
        objects: &Objects,
        file: &Entry,
        users: &BTreeSet<String>,
        requests: &mut BTreeSet<String>,
    ) -> Result<(), ForgetError> {
        let log = warehouse::read_rows(objects, &file.path).await?;
        let (gone, kept): (Vec<_>, Vec<_>) = log.records.into_iter().partition(|r| users.contains(&r.user));
        if gone.is_empty() {
            return Ok(());
        }
        self.forgotten.requests += gone.len() as u64;
        for record in gone {
            self.times.entry(record.surface).or_default().insert(record.ts);
            requests.insert(record.request);
        }
        let entries = kept.len() as u64;
        let written = warehouse::encode_rows(kept, &log.encoder);
        self.replace(objects, file, entries, written).await
    }

    async fn events(
        &mut self,
        objects: &Objects,
        file: &Entry,
        users: &BTreeSet<String>,
        requests: &BTreeSet<String>,
    ) -> Result<(), ForgetError> {
        let events = warehouse::read_events(objects, &file.path).await?;
        let (gone, kept): (Vec<Event>, Vec<Event>) = events.into_iter().partition(|e| is_of(e, users, requests));
        if gone.is_empty() {
            return Ok(());
        }
        for event in &gone {
            *match event {
                Event::Impression(_) => &mut self.forgotten.impressions,
                Event::Request(_) => &mut self.forgotten.requests_as_they_came,
                Event::Interaction(_) | Event::User(_) | Event::Item(_) => &mut self.forgotten.interactions,
            } += 1;
        }
        let entries = kept.len() as u64;
        let written = warehouse::encode_events(kept);
        self.replace(objects, file, entries, written).await
    }

    async fn put_aside(
        &mut self,
        objects: &Objects,
        file: &Entry,
        users: &BTreeSet<String>,
        requests: &BTreeSet<String>,
    ) -> Result<(), ForgetError> {
        let bytes = objects.get(&file.path, MAX_ASIDE).await?;
        // What cannot be read may be anybody's, and nobody trains on it.
        let is_theirs = match spool::read_segment(Path::new(&file.path), &bytes) {
            Ok((entries, _)) => entries.iter().any(|(entry, _)| match entry {
                spool::Entry::Rows(record) => users.contains(&record.user),
                spool::Entry::Impression(json) => {
                    serde_json::from_str(json).is_ok_and(|e| is_of(&Event::Impression(e), users, requests))
                }
                spool::Entry::Interaction(json) => {
                    serde_json::from_str(json).is_ok_and(|e| is_of(&Event::Interaction(e), users, requests))
                }
                spool::Entry::Request(json) => {
                    serde_json::from_str(json).is_ok_and(|e| is_of(&Event::Request(e), users, requests))
                }
            }),
            Err(_) => true,
        };
        if is_theirs {
            self.forgotten.put_aside += file.entries;
            self.removed.push(file.path.clone());
        }
        Ok(())
    }

    /// Writes what is left of a file under a new name; nothing where nothing is left.
    async fn replace(
        &mut self,
        objects: &Objects,
        file: &Entry,
        entries: u64,
        written: Result<Vec<u8>, ParquetError>,
    ) -> Result<(), ForgetError> {
        self.removed.push(file.path.clone());
        if entries == 0 {
            return Ok(());
        }
        let bytes = written.map_err(|source| ForgetError::Parquet { object: file.path.clone(), source })?;
        let path = renamed(&file.path);
        let size = bytes.len() as u64;
        objects.create(&path, bytes.into()).await?;
        self.added.push(Entry { path, bytes: size, entries, ..file.clone() });
        Ok(())
    }
}

/// A file's name with a new number; what stands before it says of what encoder rows are.
fn renamed(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let encoder = name.rsplit_once('-').map_or(String::new(), |(encoder, _)| format!("{encoder}-"));
    format!("{folder}/{encoder}{}.parquet", Ulid::new())
}

fn is_of(event: &Event, users: &BTreeSet<String>, requests: &BTreeSet<String>) -> bool {
    match event {
        Event::Interaction(e) => users.contains(&e.user) || e.request.as_ref().is_some_and(|r| requests.contains(r)),
        Event::Impression(e) => requests.contains(&e.request),
        Event::Request(e) => users.contains(&e.user),
        Event::User(e) => users.contains(&e.id),
        Event::Item(_) => false,
    }
}

/// The released models in whose time there are rows of these users.
async fn models(registry: &Registry, times: &BTreeMap<String, BTreeSet<i64>>) -> Result<Vec<Model>, RegistryError> {
    let mut models = Vec::new();
    for (surface, times) in times {
        for release in registry.releases(surface).await? {
            let [first, last] = release.data_range;
            if first <= last && times.range(first..=last).next().is_some() {
                models.push(Model { surface: surface.clone(), bundle: release.bundle, created: release.created });
            }
        }
    }
    Ok(models)
}

#[cfg(test)]
mod tests;
