//! The feature log on disk: a LOG folder with one Parquet row per logged candidate.
//!
//! `rows.parquet` carries the encoder that read its values in its metadata, so a log explains itself:
//! a column `value.NAME` for each feature, of the feature's kind, and `vector` where a bundle made it.
//! Missing numbers are NaN, missing categories are null, missing tags are empty lists.
//! `events.parquet` beside it holds the impressions and interactions that label the rows;
//! `tables/` the newest snapshot that rows were made with.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;
use shared_features::column::{Column, Kind};
use shared_features::encoder::{Encoder, EncoderError, Values};
use shared_features::feature_log::Record;
mod columns;

use columns::{batch_of, kinds, read_batch};

/// The rows' file in a LOG folder.
pub const ROWS: &str = "rows.parquet";
/// Where a file of this crate says in its metadata which encoder it is of, as hexadecimal bytes.
pub(super) const ENCODER_KEY: &str = "hearth.encoder";
/// What the names of columns of values begin with.
pub(super) const VALUE_PREFIX: &str = "value.";
pub(super) const ROWS_PER_BATCH: usize = 65_536;

/// A feature log in memory: records of one encoder, in time order.
#[derive(Debug)]
pub struct FeatureLog {
    /// What read the values.
    pub encoder: Encoder,
    /// A record a request.
    pub records: Vec<Record>,
}

/// Why a feature log cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureLogError {
    /// A file cannot be read or written.
    #[error("{path}: {source}; a LOG folder is what `trainer replay` writes")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Parquet refuses it.
    #[error("{path}: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// Not a feature log.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The encoder in it is refused.
    #[error("{path}: {source}")]
    Encoder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EncoderError,
    },
    /// The log lacks a feature of the encoder it is to be used with.
    #[error("the log has no values of feature `{feature}` as this spec declares it; replay the raw events with --spec")]
    Feature {
        /// Which.
        feature: String,
    },
}

/// Whether an encoder read every feature of another one, each from the same source.
pub(super) fn covers(encoder: &Encoder, other: &Encoder) -> bool {
    FeatureLog { encoder: encoder.clone(), records: Vec::new() }.align(other).is_ok()
}

/// Writes the rows of a LOG folder.
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    rows: RowsWriter<File>,
}

/// Writes rows as Parquet.
pub struct RowsWriter<W: Write + Send> {
    parquet: ArrowWriter<W>,
    kinds: Vec<Kind>,
    names: Vec<String>,
    waiting: Vec<Record>,
    waiting_rows: usize,
}

impl FeatureLog {
    /// Reads the rows of a LOG folder.
    ///
    /// # Errors
    /// A folder without a readable log.
    pub fn read(folder: &Path) -> Result<FeatureLog, FeatureLogError> {
        let rows = open(&folder.join(ROWS))?;
        let mut log = FeatureLog { encoder: rows.encoder.clone(), records: Vec::new() };
        rows.read(|_| Some(()), &mut log.records)?;
        Ok(log)
    }

    /// The values of a record, in the order of another encoder's features.
    ///
    /// # Errors
    /// A feature that this log does not have with the same source.
    pub fn align(&self, target: &Encoder) -> Result<Vec<usize>, FeatureLogError> {
        target
            .features
            .iter()
            .map(|wanted| {
                self.encoder
                    .features
                    .iter()
                    .position(|f| f.name == wanted.name && f.source == wanted.source)
                    .ok_or_else(|| FeatureLogError::Feature { feature: wanted.name.clone() })
            })
            .collect()
    }

    /// One block of values of many records, picked by [`FeatureLog::align`].
    pub fn values(&self, records: &[usize], aligned: &[usize]) -> Values {
        let parts: Vec<&Values> = records.iter().map(|&r| &self.records[r].rows.values).collect();
        let columns = aligned
            .iter()
            .map(|&k| {
                let parts: Vec<&Column> = parts.iter().map(|v| &v.columns[k]).collect();
                Column::concat(&parts).expect("columns of one feature have one kind")
            })
            .collect();
        Values { rows: parts.iter().map(|v| v.rows).sum(), columns }
    }
}

/// Opens a file of rows.
pub(super) fn open(path: &Path) -> Result<RowsFile<File>, FeatureLogError> {
    let file = File::open(path).map_err(|source| FeatureLogError::Io { path: path.to_owned(), source })?;
    RowsFile::open(file, path)
}

/// Reads rows; `path` names them in errors.
///
/// # Errors
/// Bytes that are no feature log.
pub fn read_rows<R: ChunkReader + 'static>(rows: R, path: &Path) -> Result<FeatureLog, FeatureLogError> {
    let rows = RowsFile::open(rows, path)?;
    let mut log = FeatureLog { encoder: rows.encoder.clone(), records: Vec::new() };
    rows.read(|_| Some(()), &mut log.records)?;
    Ok(log)
}

/// Rows in Parquet, opened.
pub(super) struct RowsFile<R: ChunkReader> {
    path: PathBuf,
    /// What read the values.
    pub(super) encoder: Encoder,
    builder: ParquetRecordBatchReaderBuilder<R>,
}

impl<R: ChunkReader + 'static> RowsFile<R> {
    /// Reads which encoder rows are of; `path` names them in errors.
    pub(super) fn open(rows: R, path: &Path) -> Result<RowsFile<R>, FeatureLogError> {
        let path = path.to_owned();
        let builder = ParquetRecordBatchReaderBuilder::try_new(rows)
            .map_err(|source| FeatureLogError::Parquet { path: path.clone(), source })?;
        let metadata = builder.metadata().file_metadata().key_value_metadata();
        let encoder = metadata
            .and_then(|pairs| pairs.iter().find(|p| p.key == ENCODER_KEY)?.value.as_deref().and_then(unhex))
            .ok_or_else(|| FeatureLogError::Format {
                path: path.clone(),
                reason: "there is no encoder in the file's metadata, so this is no feature log".into(),
            })?;
        let encoder =
            Encoder::from_bytes(&encoder).map_err(|source| FeatureLogError::Encoder { path: path.clone(), source })?;
        Ok(RowsFile { path, encoder, builder })
    }

    /// Reads all records behind those that are there; `beside` is shown each batch, for columns that are no log's.
    pub(super) fn read(
        self,
        mut beside: impl FnMut(&RecordBatch) -> Option<()>,
        records: &mut Vec<Record>,
    ) -> Result<(), FeatureLogError> {
        let RowsFile { path, encoder, builder } = self;
        let parquet = |source| FeatureLogError::Parquet { path: path.clone(), source };
        let kinds = kinds(&encoder);
        for batch in builder.with_batch_size(ROWS_PER_BATCH).build().map_err(parquet)? {
            let batch = batch.map_err(|e| parquet(e.into()))?;
            let read = read_batch(&batch, &encoder, &kinds, records).and_then(|()| beside(&batch));
            read.ok_or_else(|| FeatureLogError::Format {
                path: path.clone(),
                reason: "a column is missing or of another type".into(),
            })?;
        }
        Ok(())
    }
}

impl Writer {
    /// Starts the rows of a LOG folder, which is made where it does not exist.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn create(folder: &Path, encoder: &Encoder) -> Result<Writer, FeatureLogError> {
        let path = folder.join(ROWS);
        let temporary = folder.join(format!("{ROWS}.partial"));
        let io = |source| FeatureLogError::Io { path: temporary.clone(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let file = File::create(&temporary).map_err(io)?;
        let rows = RowsWriter::new(file, encoder)
            .map_err(|source| FeatureLogError::Parquet { path: temporary.clone(), source })?;
        Ok(Writer { path, temporary, rows })
    }

    /// Adds a record; records come in time order.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn push(&mut self, record: Record) -> Result<(), FeatureLogError> {
        self.rows.push(record).map_err(|source| FeatureLogError::Parquet { path: self.temporary.clone(), source })
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<(), FeatureLogError> {
        self.rows.finish().map_err(|source| FeatureLogError::Parquet { path: self.temporary.clone(), source })?;
        std::fs::rename(&self.temporary, &self.path).map_err(|source| FeatureLogError::Io { path: self.path, source })
    }
}

impl<W: Write + Send> RowsWriter<W> {
    /// Starts a file of rows whose values an encoder has read.
    ///
    /// # Errors
    /// A sink that cannot be written.
    pub fn new(sink: W, encoder: &Encoder) -> Result<RowsWriter<W>, ParquetError> {
        let kinds = kinds(encoder);
        let names: Vec<String> = encoder.features.iter().map(|f| f.name.clone()).collect();
        let schema = batch_of(&[], &names, &kinds).schema();
        let parquet = ArrowWriter::try_new(sink, schema, Some(properties(encoder)))?;
        Ok(RowsWriter { parquet, kinds, names, waiting: Vec::new(), waiting_rows: 0 })
    }

    /// Adds a record; records come in time order, and their values are what the encoder has read.
    ///
    /// # Errors
    /// A sink that cannot be written.
    pub fn push(&mut self, record: Record) -> Result<(), ParquetError> {
        self.waiting_rows += record.rows.items.len();
        self.waiting.push(record);
        if self.waiting_rows >= ROWS_PER_BATCH { self.flush() } else { Ok(()) }
    }

    /// Ends the file; the sink.
    ///
    /// # Errors
    /// A sink that cannot be written.
    pub fn finish(mut self) -> Result<W, ParquetError> {
        self.flush()?;
        self.parquet.into_inner()
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let batch = batch_of(&self.waiting, &self.names, &self.kinds);
        self.waiting.clear();
        self.waiting_rows = 0;
        self.parquet.write(&batch)
    }
}

/// The columns of a log of this encoder.
pub(super) fn schema(encoder: &Encoder) -> SchemaRef {
    let names: Vec<String> = encoder.features.iter().map(|f| f.name.clone()).collect();
    batch_of(&[], &names, &kinds(encoder)).schema()
}

/// How files that carry an encoder are written.
pub(super) fn properties(encoder: &Encoder) -> WriterProperties {
    let encoder = KeyValue::new(ENCODER_KEY.to_owned(), hex(&encoder.to_bytes()));
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        // Least and greatest values cost a comparison a cell, and only those of the time help anybody who looks for rows.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled("ts".into(), EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(vec![encoder]))
        .build()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}
