//! What an edge logged, read where it lies: the state folder of `edge-runtime serve` is a LOG folder too.
//!
//! Rows, impressions and interactions come from the spool, each once; encoders and snapshots from the cached bundles.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::{Path, PathBuf};

use edge_runtime::spool::{self, SpoolError};
use shared_features::codec;
use shared_features::column::Column;
use shared_features::digest::Digest;
use shared_features::encoder::{Encoder, EncoderError};
use shared_features::event::Event;
use shared_features::feature_log::Record;

use super::feature_log::FeatureLog;

/// An edge's log of one surface.
#[derive(Debug)]
pub struct EdgeLog {
    /// The rows, as the newest encoder's features.
    pub log: FeatureLog,
    /// Impressions and interactions, in time order.
    pub events: Vec<Event>,
    /// Digest of rows and events.
    pub digest: Digest,
}

/// Why an edge's state folder is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeLogError {
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Nothing of this surface.
    #[error("{folder} has no rows of surface `{surface}`")]
    Empty {
        /// The state folder.
        folder: PathBuf,
        /// The surface.
        surface: String,
    },
    /// A cached blob that is gone.
    #[error("{path}: {source}; the edge keeps the bundles it served in its state folder")]
    Blob {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An encoder that is refused.
    #[error("{path}: {source}")]
    Encoder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EncoderError,
    },
}

/// Whether a folder is the state folder of an edge.
pub fn is_state(folder: &Path) -> bool {
    folder.join("spool").is_dir() && folder.join("cache").is_dir()
}

/// Reads an edge's log of one surface; rows whose values the newest encoder's features do not cover are left out.
///
/// # Errors
/// A spool or cached bundle that cannot be read, or no rows.
pub fn read(folder: &Path, surface: &str) -> Result<EdgeLog, EdgeLogError> {
    let contents = spool::read(&folder.join("spool"))?;
    let records: Vec<Record> = contents.records.into_iter().filter(|r| r.surface == surface).collect();
    let mut events: Vec<Event> = contents.impressions.into_iter().map(Event::Impression).collect();
    events.extend(contents.interactions.into_iter().map(Event::Interaction));
    EdgeLog::of(records, events, |hash| encoder(folder, hash))?
        .ok_or_else(|| EdgeLogError::Empty { folder: folder.to_owned(), surface: surface.to_owned() })
}

impl EdgeLog {
    /// Puts records of one surface into the newest encoder's order of features, and events in time order;
    /// `None` where there is no record.
    ///
    /// # Errors
    /// An encoder that `encoder` does not have.
    pub fn of<E>(
        mut records: Vec<Record>,
        mut events: Vec<Event>,
        encoder: impl Fn(Digest) -> Result<Encoder, E>,
    ) -> Result<Option<EdgeLog>, E> {
        records.sort_by(|a, b| (a.ts, &a.request).cmp(&(b.ts, &b.request)));
        let Some(newest) = records.iter().max_by_key(|r| r.arrived) else { return Ok(None) };
        let hash = newest.encoder;
        let mut log = FeatureLog { encoder: encoder(hash)?, records: Vec::new() };
        let mut aligned: BTreeMap<Digest, Option<Vec<usize>>> = BTreeMap::new();
        for mut record in records {
            if record.encoder != hash {
                let aligned = match aligned.entry(record.encoder) {
                    Slot::Occupied(slot) => slot.into_mut(),
                    Slot::Vacant(slot) => {
                        let older = FeatureLog { encoder: encoder(record.encoder)?, records: Vec::new() };
                        slot.insert(older.align(&log.encoder).ok())
                    }
                };
                let Some(aligned) = aligned else { continue };
                let columns = &record.rows.values.columns;
                let picked: Vec<Column> = aligned.iter().filter_map(|&k| columns.get(k).cloned()).collect();
                record.rows.values.columns = picked;
                record.rows.vectors.clear();
            }
            log.records.push(record);
        }
        events.sort_by_key(Event::ts);
        let told = events.iter().map(|e| serde_json::to_string(e).unwrap_or_default()).collect::<Vec<_>>();
        let digest = Digest::of(&codec::encode(&(&log.records, told)));
        Ok(Some(EdgeLog { log, events, digest }))
    }
}

/// The snapshot that the newest row was made with.
///
/// # Errors
/// A spool or cached snapshot that cannot be read.
pub fn newest_tables(folder: &Path, surface: &str) -> Result<Option<Vec<u8>>, EdgeLogError> {
    let contents = spool::read(&folder.join("spool"))?;
    let rows = contents.records.iter().filter(|r| r.surface == surface);
    rows.max_by_key(|r| r.ts).map(|newest| blob(folder, newest.tables)).transpose()
}

pub(super) fn encoder(folder: &Path, hash: Digest) -> Result<Encoder, EdgeLogError> {
    let bytes = blob(folder, hash)?;
    Encoder::from_bytes(&bytes).map_err(|source| EdgeLogError::Encoder { path: blob_path(folder, hash), source })
}

pub(super) fn blob(folder: &Path, digest: Digest) -> Result<Vec<u8>, EdgeLogError> {
    let path = blob_path(folder, digest);
    std::fs::read(&path).map_err(|source| EdgeLogError::Blob { path, source })
}

fn blob_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join("cache/blobs/sha256").join(digest.to_string())
}
