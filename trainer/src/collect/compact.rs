//! Compaction: batches become Parquet by surface and day, in one commit.
//!
//! A round reads the batches that wait, sorts out what does not hold, leaves out what the store has already, writes
//! new files, merges small ones into them, commits, and only then deletes the batches. A crash before the commit
//! leaves files that nothing names, one after it batches that the log names; both are swept away later.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use edge_runtime::registry::RegistryError;
use edge_runtime::spool;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::event::Event;
use shared_features::feature_log::Record;
use ulid::Ulid;

use super::batch::{self, Batch};
use super::bundles::Found;
use super::check;
use super::known::{Id, event_id, request_id};
use super::quarantine::Refused;
use super::{CollectError, Collector, now_ms};
use crate::data::feature_log::RowsWriter;
use crate::data::store::columns;
use crate::data::warehouse::log::{self, Commit, Entry, Kind};
use crate::data::warehouse::{self, Day, ObjectsError, State};

/// How old a file that no commit names must be before it is swept away.
const ORPHAN_MS: i64 = 3_600_000;
/// For how long readers may still read a file that was replaced.
const GRACE_MS: i64 = 600_000;

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
struct Gathered {
    /// Each with its object.
    batches: Vec<(String, log::Batch)>,
    rows: BTreeMap<(String, Day, Digest), Vec<Record>>,
    encoders: BTreeMap<Digest, Encoder>,
    tables: BTreeSet<Digest>,
    events: BTreeMap<Day, Vec<Event>>,
    refused: Vec<Refused>,
}

/// New files of a commit, and those that they replace.
#[derive(Default)]
pub(super) struct Files {
    pub(super) added: Vec<Entry>,
    removed: Vec<String>,
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
        let mut gathered = Gathered::default();
        let (mut bytes, mut unreadable, mut deferred, mut more) = (0, 0, 0, false);
        for (object, size) in &waiting {
            if bytes > 0 && bytes + size > self.settings.round_bytes {
                more = true;
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
            bytes += size;
            let batch_of = log::Batch { name: name.to_owned(), sha256: batch.digest };
            match self.sort(batch, name, &mut gathered).await {
                Ok(()) => gathered.batches.push((object.clone(), batch_of)),
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
            let files = self.write(gathered, log.state(), at).await?;
            let Files { added, removed } = files;
            let commit = Commit { format: log::FORMAT, sequence: 0, at, batches, added, removed };
            if !log.commit(commit).await? {
                // Another collector on this store was faster; what was written here is swept away.
                return Ok(Round { batches: 0, more: true });
            }
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
    async fn sort(&self, batch: Batch, name: &str, into: &mut Gathered) -> Result<(), CollectError> {
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
        let (now, source) = (now_ms(), name.to_owned());
        let sorted = tokio::task::spawn_blocking(move || {
            let mut sorted = Gathered::default();
            for entry in batch.entries {
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
        let bytes = match self.bundles.tables(digest).await {
            Ok(bytes) => Bytes::from(bytes),
            Err(error @ RegistryError::Blob { .. }) => {
                tracing::error!(%error, "a published snapshot is damaged in the registry");
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
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

    /// Writes the files of a commit.
    async fn write(&self, gathered: Gathered, state: &State, at: i64) -> Result<Files, CollectError> {
        let mut files = Files::default();
        let mut days: BTreeMap<(String, Day), HashSet<Id>> = BTreeMap::new();
        for ((surface, day, encoder), mut records) in gathered.rows {
            let seen = match days.entry((surface.clone(), day)) {
                Slot::Occupied(seen) => seen.into_mut(),
                Slot::Vacant(seen) => {
                    let of_day = |e: &&Entry| e.surface.as_deref() == Some(&surface) && e.day == day;
                    seen.insert(self.ids_in(state, Kind::Rows, of_day).await?)
                }
            };
            records.retain(|r| seen.insert(request_id(&r.request)));
            // A request without a candidate leaves no row.
            records.retain(|r| !r.rows.items.is_empty());
            if records.is_empty() {
                continue;
            }
            let new = records.len() as u64;
            metrics::counter!("hearth_collect_requests_total", "surface" => surface.clone()).increment(new);
            let of_group = |e: &&Entry| {
                e.kind == Kind::Rows
                    && e.surface.as_deref() == Some(&surface)
                    && e.day == day
                    && e.encoder == Some(encoder)
            };
            for small in self.to_merge(state, of_group) {
                records.extend(warehouse::read_rows(&self.objects, &small.path).await?.records);
                files.removed.push(small.path.clone());
            }
            let path = format!("rows/{surface}/{day}/{}-{}.parquet", &encoder.to_string()[..16], Ulid::new());
            let ids: HashSet<Id> = records.iter().map(|r| request_id(&r.request)).collect();
            let entries = records.len() as u64;
            let by = gathered.encoders[&encoder].clone();
            let bytes = self.parquet(&path, move || rows(records, &by)).await?;
            let entry = Entry {
                kind: Kind::Rows,
                surface: Some(surface),
                day,
                encoder: Some(encoder),
                bytes: bytes.len() as u64,
                entries,
                path,
            };
            self.add(entry, bytes, ids, &mut files).await?;
        }
        for (day, mut events) in gathered.events {
            let of_day = |e: &&Entry| e.kind == Kind::Events && e.day == day;
            let mut seen = self.ids_in(state, Kind::Events, of_day).await?;
            events.retain(|e| id_of(e).is_some_and(|id| seen.insert(id)));
            if events.is_empty() {
                continue;
            }
            metrics::counter!("hearth_collect_events_total").increment(events.len() as u64);
            for small in self.to_merge(state, of_day) {
                events.extend(warehouse::read_events(&self.objects, &small.path).await?);
                files.removed.push(small.path.clone());
            }
            let path = format!("events/{day}/{}.parquet", Ulid::new());
            let ids: HashSet<Id> = events.iter().filter_map(id_of).collect();
            let entries = events.len() as u64;
            let bytes = self.parquet(&path, move || self::events(events)).await?;
            let entry = Entry {
                kind: Kind::Events,
                surface: None,
                day,
                encoder: None,
                bytes: bytes.len() as u64,
                entries,
                path,
            };
            self.add(entry, bytes, ids, &mut files).await?;
        }
        self.put_aside(gathered.refused, at, &mut files).await?;
        Ok(files)
    }

    async fn add(&self, entry: Entry, bytes: Bytes, ids: HashSet<Id>, files: &mut Files) -> Result<(), CollectError> {
        self.put_new(&entry.path, bytes).await?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remember(&entry.path, Arc::new(ids));
        files.added.push(entry);
        Ok(())
    }

    /// Writes a file under a name that is new.
    pub(super) async fn put_new(&self, path: &str, bytes: Bytes) -> Result<(), CollectError> {
        // A write that was tried before and failed may be there; its name is as new.
        if !self.objects.create(path, bytes.clone()).await? {
            self.objects.replace(path, bytes).await?;
        }
        Ok(())
    }

    async fn parquet(
        &self,
        path: &str,
        write: impl FnOnce() -> Result<Vec<u8>, ParquetError> + Send + 'static,
    ) -> Result<Bytes, CollectError> {
        let written = tokio::task::spawn_blocking(write).await.map_err(|_| CollectError::Stopping)?;
        written.map(Bytes::from).map_err(|source| CollectError::Parquet { object: path.to_owned(), source })
    }

    /// The ids that files of a kind hold.
    async fn ids_in(
        &self,
        state: &State,
        kind: Kind,
        wanted: impl Fn(&&Entry) -> bool,
    ) -> Result<HashSet<Id>, CollectError> {
        let mut ids = HashSet::new();
        for file in state.files.values().filter(|e| e.kind == kind).filter(wanted) {
            ids.extend(self.ids_of(file).await?.iter());
        }
        Ok(ids)
    }

    /// The small files to merge with a new one of their group, once they are many.
    fn to_merge<'a>(&self, state: &'a State, of_group: impl Fn(&&Entry) -> bool) -> Vec<&'a Entry> {
        let small: Vec<&Entry> =
            state.files.values().filter(of_group).filter(|e| e.bytes < self.settings.small_bytes).collect();
        if small.len() + 1 >= self.settings.small_files { small } else { Vec::new() }
    }

    /// Deletes files that no commit names any more, or never did.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sweep(&self) -> Result<(), CollectError> {
        let mut log = self.log.lock().await;
        log.refresh().await?;
        let (state, now) = (log.state(), now_ms());
        for folder in ["rows", "events", "quarantine"] {
            for (object, _) in self.objects.list(folder).await? {
                let stem = object.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
                let Some(made) = stem.rsplit('-').next().and_then(|ulid| Ulid::from_string(ulid).ok()) else {
                    continue;
                };
                let is_named = state.files.contains_key(&object)
                    || object.strip_suffix(".json").is_some_and(|o| state.files.contains_key(&format!("{o}.spool")));
                let is_old = match state.removed.get(&object) {
                    Some((_, at)) => now - at > GRACE_MS,
                    None => now - made.timestamp_ms() as i64 > ORPHAN_MS,
                };
                if !is_named && is_old {
                    self.objects.delete(&object).await?;
                }
            }
        }
        Ok(())
    }
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

fn id_of(event: &Event) -> Option<Id> {
    match event {
        Event::Impression(e) => Some(event_id(false, &e.id)),
        Event::Interaction(e) => Some(event_id(true, &e.id)),
        Event::Item(_) | Event::User(_) | Event::Request(_) => None,
    }
}

/// Rows as a LOG folder has them.
fn rows(mut records: Vec<Record>, encoder: &Encoder) -> Result<Vec<u8>, ParquetError> {
    records.sort_by(|a, b| (a.ts, &a.request).cmp(&(b.ts, &b.request)));
    let mut writer = RowsWriter::new(Vec::new(), encoder)?;
    records.into_iter().try_for_each(|record| writer.push(record))?;
    writer.finish()
}

/// Events as a DATA folder has them.
fn events(mut events: Vec<Event>) -> Result<Vec<u8>, ParquetError> {
    events.sort_by_key(Event::ts);
    let batch = columns::encode(&events);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner()
}
