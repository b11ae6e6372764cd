//! The files of a commit: what the store has already is left out, and small files are merged into new ones.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use shared_features::event::Event;
use ulid::Ulid;

use super::compact::Gathered;
use super::known::{Id, event_id, request_id};
use super::{CollectError, Collector};
use crate::data::collected::event_key;
use crate::data::warehouse::{self, Day, Entry, Kind, State};

/// New files of a commit, and those that they replace.
#[derive(Default)]
pub(super) struct Files {
    pub(super) added: Vec<Entry>,
    pub(super) removed: Vec<String>,
}

impl Collector {
    /// Writes the files of a commit.
    pub(super) async fn write(&self, gathered: Gathered, state: &State, at: i64) -> Result<Files, CollectError> {
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
            let bytes = self.parquet(&path, move || warehouse::encode_rows(records, &by)).await?;
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
            let bytes = self.parquet(&path, move || warehouse::encode_events(events)).await?;
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
}

fn id_of(event: &Event) -> Option<Id> {
    event_key(event).map(|(kind, id)| event_id(kind, id))
}
