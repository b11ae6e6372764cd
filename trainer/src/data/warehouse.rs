//! The store of collected data: what edges uploaded, as Parquet by surface and day, in any object store.
//!
//! ```text
//! batches/<edge>/<batch>                                     as they came, until they are compacted
//! rows/<surface>/<YYYY-MM-DD>/<encoder, 16 digits>-<ulid>.parquet
//! events/<YYYY-MM-DD>/<ulid>.parquet
//! quarantine/<YYYY-MM-DD>/<ulid>.spool, <ulid>.json          what is never trained on, and why
//! tables/<digest>                                            snapshots that rows were made with
//! forgotten/<digest of a user>-<milliseconds>                who was forgotten, and when
//! commits/<sequence>, checkpoints/<sequence>                 which files there are
//! ```
//!
//! Files are never changed. The store holds what its [`log`] of commits says and nothing else: a file without a
//! commit is not there, whatever lies in the folder. So a reader sees a consistent set, as of the last commit.

use std::ops::RangeInclusive;
use std::path::Path;

use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::event::Event;
use shared_features::feature_log::Record;

use super::feature_log::{self, FeatureLog, FeatureLogError, RowsWriter};
use super::store::columns;

pub mod day;
pub mod forgotten;
pub mod log;
pub mod objects;

pub use day::Day;
pub use forgotten::Forgotten;
pub use log::{Entry, Kind, Log, State};
pub use objects::{Objects, ObjectsError};

/// Largest file that is read.
const MAX_FILE: u64 = 4 << 30;
const ROWS_PER_BATCH: usize = 65_536;

/// Why collected data cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarehouseError {
    /// The store.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// A file of rows.
    #[error(transparent)]
    Rows(#[from] FeatureLogError),
    /// A file of events.
    #[error("{object}: {reason}")]
    Events {
        /// The file.
        object: String,
        /// Why.
        reason: String,
    },
}

/// A store, as of its last commit.
#[derive(Debug)]
pub struct Warehouse {
    objects: Objects,
    state: State,
}

impl Warehouse {
    /// Opens a store: a folder or an object store's URL.
    ///
    /// # Errors
    /// A place that cannot be read.
    pub async fn open(location: &str) -> Result<Warehouse, WarehouseError> {
        Warehouse::of(Objects::open(location)?).await
    }

    /// Reads what a store holds now.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn of(objects: Objects) -> Result<Warehouse, WarehouseError> {
        let log = Log::open(objects.clone()).await?;
        Ok(Warehouse { objects, state: log.into_state() })
    }

    /// Whether a folder is such a store.
    pub fn is_store(folder: &Path) -> bool {
        folder.join("commits").is_dir()
    }

    /// Where it is.
    pub fn name(&self) -> &str {
        self.objects.name()
    }

    /// How many commits there are before what is read here.
    pub fn sequence(&self) -> u64 {
        self.state.next
    }

    /// The files of a surface's rows, by day; [`Day::ALL`] for all of them.
    pub fn rows<'a>(&'a self, surface: &'a str, days: RangeInclusive<Day>) -> impl Iterator<Item = &'a Entry> {
        self.of_days(Kind::Rows, days).filter(move |e| e.surface.as_deref() == Some(surface))
    }

    /// The files of events, by day.
    pub fn events(&self, days: RangeInclusive<Day>) -> impl Iterator<Item = &Entry> {
        self.of_days(Kind::Events, days)
    }

    /// The files of what was refused, by the day it came.
    pub fn quarantine(&self, days: RangeInclusive<Day>) -> impl Iterator<Item = &Entry> {
        self.of_days(Kind::Quarantine, days)
    }

    /// All files, by object.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.state.files.values()
    }

    /// The surfaces that have rows.
    pub fn surfaces(&self) -> Vec<&str> {
        let mut surfaces: Vec<&str> = self.state.files.values().filter_map(|e| e.surface.as_deref()).collect();
        surfaces.sort_unstable();
        surfaces.dedup();
        surfaces
    }

    /// The rows of a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn read_rows(&self, file: &Entry) -> Result<FeatureLog, WarehouseError> {
        read_rows(&self.objects, &file.path).await
    }

    /// The events of a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn read_events(&self, file: &Entry) -> Result<Vec<Event>, WarehouseError> {
        read_events(&self.objects, &file.path).await
    }

    /// A snapshot that rows were made with.
    ///
    /// # Errors
    /// A store that fails or does not have it.
    pub async fn tables(&self, digest: Digest) -> Result<Vec<u8>, WarehouseError> {
        let object = tables_path(digest);
        let bytes = self.objects.get(&object, MAX_FILE).await?;
        match Digest::of(&bytes) == digest {
            true => Ok(bytes.to_vec()),
            false => {
                Err(ObjectsError::Damaged { object, reason: "its bytes are not those its name says".into() }.into())
            }
        }
    }

    fn of_days(&self, kind: Kind, days: RangeInclusive<Day>) -> impl Iterator<Item = &Entry> {
        self.state.files.values().filter(move |e| e.kind == kind && days.contains(&e.day))
    }
}

/// Where a snapshot is.
pub(crate) fn tables_path(digest: Digest) -> String {
    format!("tables/{digest}")
}

/// The rows of a file.
///
/// # Errors
/// A file that cannot be read.
pub(crate) async fn read_rows(objects: &Objects, object: &str) -> Result<FeatureLog, WarehouseError> {
    let bytes = objects.get(object, MAX_FILE).await?;
    Ok(feature_log::read_rows(bytes, Path::new(object))?)
}

/// The events of a file.
///
/// # Errors
/// A file that cannot be read.
pub(crate) async fn read_events(objects: &Objects, object: &str) -> Result<Vec<Event>, WarehouseError> {
    let refuse = |reason: String| WarehouseError::Events { object: object.to_owned(), reason };
    let mut events = Vec::new();
    for batch in batches(objects, object, None).await? {
        for event in columns::decode(&batch).map_err(refuse)? {
            events.push(event.map_err(refuse)?);
        }
    }
    Ok(events)
}

/// The batches of a Parquet file, of all columns or of some.
///
/// # Errors
/// A file that cannot be read.
pub(crate) async fn batches(
    objects: &Objects,
    object: &str,
    columns: Option<&[&str]>,
) -> Result<Vec<arrow_array::RecordBatch>, WarehouseError> {
    let bytes = objects.get(object, MAX_FILE).await?;
    let read = |bytes: Bytes| {
        let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        if let Some(columns) = columns {
            let schema = builder.parquet_schema();
            let mask = parquet::arrow::ProjectionMask::columns(schema, columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        let reader = builder.with_batch_size(ROWS_PER_BATCH).build()?;
        reader.map(|batch| Ok(batch?)).collect::<Result<Vec<_>, parquet::errors::ParquetError>>()
    };
    read(bytes).map_err(|e| WarehouseError::Events { object: object.to_owned(), reason: e.to_string() })
}

/// Rows as a LOG folder has them, in time order.
///
/// # Errors
/// Rows that another encoder has read.
pub(crate) fn encode_rows(mut records: Vec<Record>, encoder: &Encoder) -> Result<Vec<u8>, ParquetError> {
    records.sort_by(|a, b| (a.ts, &a.request).cmp(&(b.ts, &b.request)));
    let mut writer = RowsWriter::new(Vec::new(), encoder)?;
    records.into_iter().try_for_each(|record| writer.push(record))?;
    writer.finish()
}

/// Events as a DATA folder has them, in time order.
///
/// # Errors
/// Parquet's.
pub(crate) fn encode_events(mut events: Vec<Event>) -> Result<Vec<u8>, ParquetError> {
    events.sort_by_key(Event::ts);
    let batch = columns::encode(&events);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner()
}
