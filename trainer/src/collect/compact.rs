//! Compaction: batches become Parquet by surface and day, in one commit.
//!
//! A round reads the batches that wait, sorts out what does not hold, leaves out what the store has already, writes
//! new files, merges small ones into them, commits, and only then deletes the batches. A crash before the commit
//! leaves files that nothing names, one after it batches that the log names; both are swept away later.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use edge_runtime::spool;
use edge_runtime::upload::batch::{self, Batch};
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::event::{Event, ImpressionEvent, InteractionEvent, RequestEvent};
use shared_features::feature_log::Record;

use super::bundles::Found;
use super::check;
use super::files::Files;
use super::quarantine::Refused;
use super::{CollectError, Collector, now_ms};
use crate::data::warehouse::log::{self, Commit};
use crate::data::warehouse::{self, Day, Forgotten, ObjectsError};

/// Batches that wait for the registry before a round looks no further.
const MOST_DEFERRED: u64 = 16;

/// What a round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Batches that are in files now.
    pub batches: u64,
    /// Whether others wait that could be compacted at once.
    pub more: bool,
}

/// What the batches of a round hold.
#[derive(Default)]
pub(super) struct Gathered {
    /// Each with its object.
    batches: Vec<(String, log::Batch)>,
    /// By surface, day and encoder.
    pub(super) rows: BTreeMap<(String, Day, Digest), Vec<Record>>,
    pub(super) encoders: BTreeMap<Digest, Encoder>,
    tables: BTreeSet<Digest>,
    pub(super) events: BTreeMap<Day, Vec<Event>>,
    pub(super) refused: Vec<Refused>,
    /// Entries of forgotten users, which are not kept.
    forgotten: u64,
    /// Requests of forgotten users.
    forgotten_requests: BTreeSet<String>,
}

impl Collector {
    /// Compacts what waits, up to a bound.
    ///
    /// # Errors
    /// The store or the registry fails; nothing is lost, and the next round tries again.
    pub async fn compact(&self) -> Result<Round, CollectError> {
        let done = self.round().await;
        self.with_status(|s| s.problem = done.as_ref().err().map(ToString::to_string));
        done
    }

    async fn round(&self) -> Result<Round, CollectError> {
        let mut log = self.log.lock().await;
        log.refresh().await?;
        self.tell(&log);
        let waiting = self.objects.list("batches").await?;
        // Read before any batch, and again where a round has to be tried again because somebody was forgotten meanwhile.
        let forgotten = Arc::new(Forgotten::read(&self.objects).await?);
        let mut gathered = Gathered::default();
        let (mut bytes, mut unreadable, mut deferred, mut more) = (0, 0, 0, false);
        for (object, size) in &waiting {
            if bytes > 0 && bytes + size > self.settings.round_bytes {
                more = true;
                break;
            }
            if deferred == MOST_DEFERRED {
                break;
            }
            let Some(name) = object.strip_prefix("batches/") else { continue };
            let Some(batch) = self.read(object).await? else {
                unreadable += 1;
                continue;
            };
            if log.state().batches.get(name).is_some_and(|(digest, _)| *digest == batch.digest) {
                // A crash or a failing store has left it behind.
                self.objects.delete(object).await?;
                continue;
            }
            let batch_of = log::Batch { name: name.to_owned(), sha256: batch.digest };
            match self.sort(batch, name, &forgotten, &mut gathered).await {
                Ok(()) => {
                    bytes += size;
                    gathered.batches.push((object.clone(), batch_of));
                }
                Err(CollectError::Registry(error)) => {
                    tracing::warn!(%error, batch = name, "a batch waits for the registry");
                    deferred += 1;
                }
                Err(error) => return Err(error),
            }
        }
        let taken = gathered.batches.len() as u64;
        if taken > 0 {
            let (objects, batches): (Vec<String>, Vec<log::Batch>) =
                std::mem::take(&mut gathered.batches).into_iter().unzip();
            let at = now_ms();
            gathered.drop_impressions();
            let forgotten = gathered.forgotten;
            let files = self.write(gathered, log.state(), at).await?;
            let Files { added, removed } = files;
            let commit = Commit { format: log::FORMAT, sequence: 0, at, batches, added, removed };
            if !log.commit(commit).await? {
                // Another collector on this store was faster; what was written here is swept away.
                return Ok(Round { batches: 0, more: true });
            }
            metrics::counter!("hearth_collect_forgotten_total").increment(forgotten);
            self.tell(&log);
            for object in objects {
                self.objects.delete(&object).await?;
            }
            log.checkpoint().await?;
        }
        self.with_status(|s| {
            s.waiting = waiting.len() as u64 - taken;
            (s.unreadable, s.deferred) = (unreadable, deferred);
        });
        metrics::gauge!("hearth_collect_waiting_batches").set(waiting.len() as f64 - taken as f64);
        Ok(Round { batches: taken, more })
    }

    /// A batch that waits; `None` where it is not whole, so that nobody was told that it is there.
    async fn read(&self, object: &str) -> Result<Option<Batch>, CollectError> {
        let body = match self.objects.get(object, self.settings.sent_bytes as u64).await {
            Ok(body) => body,
            Err(ObjectsError::NotFound { .. } | ObjectsError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let limit = self.settings.whole_bytes;
        let decoded = tokio::task::spawn_blocking(move || batch::decode(&body, limit)).await;
        Ok(decoded.map_err(|_| CollectError::Stopping)?.ok())
    }

    /// Checks the entries of a batch, and adds them to what was gathered: all of them, or none where it fails.
    async fn sort(
        &self,
        batch: Batch,
        name: &str,
        forgotten: &Arc<Forgotten>,
        into: &mut Gathered,
    ) -> Result<(), CollectError> {
        let mut found: BTreeMap<Digest, Found> = BTreeMap::new();
        let mut wanted = BTreeSet::new();
        for entry in &batch.entries {
            let spool::Entry::Rows(record) = entry else { continue };
            let Some(bundle) = record.bundle else { continue };
            if let Slot::Vacant(slot) = found.entry(bundle) {
                slot.insert(self.bundles.find(bundle).await?);
            }
            if let Found::Judge(judge) = &found[&bundle]
                && record.tables != judge.own_tables
            {
                wanted.insert(record.tables);
            }
        }
        let published = self.bundles.published(&wanted).await?;
        let (now, source, forgotten) = (now_ms(), name.to_owned(), Arc::clone(forgotten));
        let sorted = tokio::task::spawn_blocking(move || {
            let mut sorted = Gathered::default();
            let all = batch.entries.len();
            let entries = without(batch.entries, &forgotten, &mut sorted.forgotten_requests);
            sorted.forgotten = (all - entries.len()) as u64;
            for entry in entries {
                if let Err((entry, (reason, detail))) = sort_entry(entry, &found, &published, now, &mut sorted) {
                    sorted.refused.push(Refused { reason, detail, batch: source.clone(), entry });
                }
            }
            sorted
        });
        let sorted = sorted.await.map_err(|_| CollectError::Stopping)?;
        for digest in &sorted.tables {
            self.keep_tables(*digest).await?;
        }
        for (group, records) in sorted.rows {
            into.rows.entry(group).or_default().extend(records);
        }
        for (day, events) in sorted.events {
            into.events.entry(day).or_default().extend(events);
        }
        into.forgotten += sorted.forgotten;
        into.forgotten_requests.extend(sorted.forgotten_requests);
        into.encoders.extend(sorted.encoders);
        into.refused.extend(sorted.refused);
        Ok(())
    }

    /// Copies a snapshot into the store, so that what was collected can be trained on without the registry.
    async fn keep_tables(&self, digest: Digest) -> Result<(), CollectError> {
        let object = warehouse::tables_path(digest);
        let held = self.known.lock().unwrap_or_else(PoisonError::into_inner).has_tables(digest);
        if held {
            return Ok(());
        }
        let bytes = Bytes::from(self.bundles.tables(digest).await?);
        if !self.objects.create(&object, bytes.clone()).await? {
            // What is there may be torn.
            let there = self.objects.get(&object, bytes.len() as u64).await;
            if !there.is_ok_and(|there| there == bytes) {
                self.objects.replace(&object, bytes).await?;
            }
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).add_tables(digest);
        Ok(())
    }
}

impl Gathered {
    /// Leaves out impressions of forgotten users' requests that came in other batches than those.
    fn drop_impressions(&mut self) {
        let gone = &self.forgotten_requests;
        if gone.is_empty() {
            return;
        }
        for events in self.events.values_mut() {
            let before = events.len();
            events.retain(|e| !matches!(e, Event::Impression(impression) if gone.contains(&impression.request)));
            self.forgotten += (before - events.len()) as u64;
        }
    }
}

/// Entries without those of forgotten users and of their requests, which are added to `requests`.
fn without(entries: Vec<spool::Entry>, forgotten: &Forgotten, requests: &mut BTreeSet<String>) -> Vec<spool::Entry> {
    if forgotten.is_empty() {
        return entries;
    }
    for entry in &entries {
        if let spool::Entry::Rows(record) = entry
            && forgotten.has(&record.user, record.ts)
        {
            requests.insert(record.request.clone());
        }
    }
    // Also what an edge would not have taken: it would be put aside.
    let is_gone = |entry: &spool::Entry| match entry {
        spool::Entry::Rows(record) => forgotten.has(&record.user, record.ts),
        spool::Entry::Impression(json) => {
            serde_json::from_str(json).is_ok_and(|e: ImpressionEvent| requests.contains(&e.request))
        }
        spool::Entry::Interaction(json) => serde_json::from_str(json).is_ok_and(|e: InteractionEvent| {
            forgotten.has(&e.user, e.ts) || e.request.is_some_and(|request| requests.contains(&request))
        }),
        spool::Entry::Request(json) => serde_json::from_str(json)
            .is_ok_and(|e: RequestEvent| forgotten.has(&e.user, e.ts) || requests.contains(&e.id)),
    };
    entries.into_iter().filter(|entry| !is_gone(entry)).collect()
}

/// Puts one entry where it belongs; gives it back with the reason where it does not hold.
fn sort_entry(
    entry: spool::Entry,
    found: &BTreeMap<Digest, Found>,
    published: &BTreeSet<Digest>,
    now: i64,
    into: &mut Gathered,
) -> Result<(), (spool::Entry, check::Refusal)> {
    let record = match entry {
        spool::Entry::Rows(record) => record,
        other => {
            let checked = check::event(&other).and_then(|event| Ok((check::day(event.ts(), now)?, event)));
            let (day, event) = checked.map_err(|refusal| (other, refusal))?;
            into.events.entry(day).or_default().push(event);
            return Ok(());
        }
    };
    let unknown = Found::Unknown("it was not answered by a bundle".into());
    let bundle = record.bundle.and_then(|b| found.get(&b)).unwrap_or(&unknown);
    let checked = check::row(&record, bundle, published).and_then(|()| check::day(record.ts, now));
    match (checked, bundle) {
        (Ok(day), Found::Judge(judge)) => {
            into.encoders.entry(record.encoder).or_insert_with(|| judge.encoder.clone());
            into.tables.insert(record.tables);
            into.rows.entry((record.surface.clone(), day, record.encoder)).or_default().push(*record);
            Ok(())
        }
        (Ok(_), _) => Err((spool::Entry::Rows(record), (check::Reason::UnknownBundle, String::new()))),
        (Err(refusal), _) => Err((spool::Entry::Rows(record), refusal)),
    }
}
