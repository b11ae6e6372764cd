//! Which ids the files of a store hold, so that nothing is counted twice.
//!
//! Files never change, so what one holds is remembered by its name, up to a bound; what is forgotten is read again.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, PoisonError};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use shared_features::digest::Digest;

use super::{CollectError, Collector};
use crate::data::warehouse::{self, Entry, Kind, WarehouseError};

/// Most ids that are remembered: 64 MiB.
const MOST: usize = 4 << 20;

/// What an id is remembered by: the first half of a SHA-256.
pub(super) type Id = [u8; 16];

/// Ids by file.
#[derive(Debug, Default)]
pub(super) struct Known {
    files: BTreeMap<String, Arc<HashSet<Id>>>,
    /// Oldest first.
    order: VecDeque<String>,
    ids: usize,
    /// Snapshots that the store has.
    tables: BTreeSet<Digest>,
}

impl Known {
    /// Whether the store is known to have a snapshot.
    pub(super) fn has_tables(&self, digest: Digest) -> bool {
        self.tables.contains(&digest)
    }

    /// Remembers that the store has a snapshot.
    pub(super) fn add_tables(&mut self, digest: Digest) {
        self.tables.insert(digest);
    }

    /// Remembers what a file holds.
    pub(super) fn remember(&mut self, file: &str, ids: Arc<HashSet<Id>>) {
        self.ids += ids.len();
        if let Some(before) = self.files.insert(file.to_owned(), ids) {
            self.ids -= before.len();
        } else {
            self.order.push_back(file.to_owned());
        }
        while self.ids > MOST && self.order.len() > 1 {
            let oldest = self.order.pop_front().and_then(|file| self.files.remove(&file));
            self.ids -= oldest.map_or(0, |ids| ids.len());
        }
    }
}

/// A request's id.
pub(super) fn request_id(request: &str) -> Id {
    half(&[b"request\0", request.as_bytes()].concat())
}

/// The id of an event of a kind.
pub(super) fn event_id(kind: &str, id: &str) -> Id {
    half(&[b"event\0", kind.as_bytes(), b"\0", id.as_bytes()].concat())
}

fn half(bytes: &[u8]) -> Id {
    let digest = Digest::of(bytes);
    std::array::from_fn(|k| digest.as_bytes()[k])
}

impl Collector {
    /// The ids that a file holds.
    pub(super) async fn ids_of(&self, file: &Entry) -> Result<Arc<HashSet<Id>>, CollectError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).files.get(&file.path).cloned();
        if let Some(ids) = known {
            return Ok(ids);
        }
        let columns: &[&str] = if file.kind == Kind::Rows { &["request"] } else { &["event", "id"] };
        let mut ids = HashSet::new();
        for batch in warehouse::batches(&self.objects, &file.path, Some(columns)).await? {
            let text = |name: &str| {
                let column = batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
                column.ok_or_else(|| WarehouseError::Events {
                    object: file.path.clone(),
                    reason: format!("there is no text column `{name}`"),
                })
            };
            match file.kind {
                Kind::Rows => ids.extend(text("request")?.iter().flatten().map(request_id)),
                _ => {
                    let (kind, id) = (text("event")?, text("id")?);
                    ids.extend((0..id.len()).map(|k| event_id(kind.value(k), id.value(k))));
                }
            }
        }
        let ids = Arc::new(ids);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remember(&file.path, Arc::clone(&ids));
        Ok(ids)
    }
}
