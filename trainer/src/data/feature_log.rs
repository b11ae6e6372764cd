//! The feature log on disk: a LOG folder with one Parquet row per logged candidate.
//!
//! `rows.parquet` carries the encoder that read its values in its metadata, so a log explains itself:
//! a column `value.NAME` for each feature, of the feature's kind, and `vector` where a bundle made it.
//! Missing numbers are NaN, missing categories are null, missing tags are empty lists.
//! `events.parquet` beside it holds the impressions and interactions that label the rows;
//! `tables/` the newest snapshot that rows were made with.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int16Type, Int64Type, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float32Array, Int16Array, Int64Array, RecordBatch};
use arrow_array::{StringArray, UInt8Array, UInt32Array};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use shared_features::column::{Categories, Column, Kind, TagSets, Vectors};
use shared_features::digest::Digest;
use shared_features::encoder::{Encoder, EncoderError, Values};
use shared_features::feature_log::Record;
use shared_features::rank::LogRows;
use shared_features::source::{Declared, Read};

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
    WriterProperties::builder().set_compression(Compression::SNAPPY).set_key_value_metadata(Some(vec![encoder])).build()
}

fn kinds(encoder: &Encoder) -> Vec<Kind> {
    let declared = Declared { schema: &encoder.schema, statistics: &encoder.statistics };
    let kind =
        |source: &shared_features::source::Source| source.kind(&declared).expect("a checked encoder's sources fit");
    encoder.features.iter().map(|f| kind(&f.source)).collect()
}

fn batch_of(records: &[Record], names: &[String], kinds: &[Kind]) -> RecordBatch {
    // A value of the record, repeated for each of its rows.
    fn repeat<'a, T: Clone>(records: &'a [Record], value: impl Fn(&'a Record) -> T) -> std::vec::IntoIter<T> {
        let each = records.iter().flat_map(|r| std::iter::repeat_n(value(r), r.rows.items.len()));
        each.collect::<Vec<T>>().into_iter()
    }
    fn rows<'a, T>(records: &'a [Record], column: impl Fn(&'a LogRows) -> &'a [T]) -> std::vec::IntoIter<&'a T> {
        records.iter().flat_map(|r| column(&r.rows)).collect::<Vec<&T>>().into_iter()
    }
    let text =
        |value: fn(&Record) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(repeat(records, value))) };
    let digest = |value: fn(&Record) -> Option<Digest>| -> ArrayRef {
        Arc::new(StringArray::from_iter(repeat(records, move |r| value(r).map(|d| d.to_string()))))
    };
    let long =
        |value: fn(&Record) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(repeat(records, value))) };
    let count =
        |value: fn(&Record) -> u32| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(repeat(records, value))) };
    let float = |value: fn(&LogRows) -> &[f32]| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(rows(records, value).copied()))
    };
    let places: UInt32Array = records.iter().flat_map(|r| (0..r.rows.items.len() as u32).map(Some)).collect();
    let mut columns: Vec<(String, ArrayRef, bool)> = vec![
        ("request".into(), text(|r| &r.request), false),
        ("user".into(), text(|r| &r.user), false),
        ("surface".into(), text(|r| &r.surface), false),
        ("ts".into(), long(|r| r.ts), false),
        ("offset_min".into(), Arc::new(Int16Array::from_iter_values(repeat(records, |r| r.offset_min))), false),
        ("arrived".into(), long(|r| r.arrived), false),
        ("bundle".into(), digest(|r| r.bundle), true),
        ("encoder".into(), digest(|r| Some(r.encoder)), true),
        ("tables".into(), digest(|r| Some(r.tables)), true),
        ("arm".into(), text(|r| &r.arm), false),
        ("weight".into(), count(|r| r.weight), false),
        ("history_length".into(), count(|r| r.history_length), false),
        ("history_entries".into(), count(|r| r.rows.history_entries), false),
        ("fallback".into(), Arc::new(repeat(records, |r| Some(r.fallback)).collect::<BooleanArray>()), true),
        ("row".into(), Arc::new(places), false),
        ("item".into(), Arc::new(StringArray::from_iter_values(rows(records, |r| &r.items))), false),
        ("source".into(), Arc::new(UInt8Array::from_iter_values(rows(records, |r| &r.sources).copied())), false),
        ("rank".into(), Arc::new(UInt32Array::from_iter_values(rows(records, |r| &r.ranks).copied())), false),
        ("score".into(), float(|r| &r.scores), false),
        ("propensity".into(), float(|r| &r.propensity), false),
        ("sampling".into(), float(|r| &r.sampling), false),
    ];
    for (k, (name, kind)) in names.iter().zip(kinds).enumerate() {
        let parts: Vec<&Column> = records.iter().map(|r| &r.rows.values.columns[k]).collect();
        columns.push((format!("{VALUE_PREFIX}{name}"), value_array(&parts, *kind), true));
    }
    let mut vectors = ListBuilder::new(Float32Builder::new());
    for record in records {
        let width = record.rows.vectors.len() / record.rows.items.len().max(1);
        for row in 0..record.rows.items.len() {
            vectors.values().append_slice(&record.rows.vectors[row * width..(row + 1) * width]);
            vectors.append(true);
        }
    }
    columns.push(("vector".into(), Arc::new(vectors.finish()), true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("every column has a row for each logged candidate")
}

fn value_array(parts: &[&Column], kind: Kind) -> ArrayRef {
    match kind {
        Kind::Category | Kind::Text => {
            let mut builder = StringBuilder::new();
            for part in parts {
                if let Column::Category(c) = part {
                    (0..c.codes.len()).for_each(|row| builder.append_option(c.get(row)));
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Tags => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for part in parts {
                if let Column::Tags(t) = part {
                    for row in 0..part.rows() {
                        t.get(row).for_each(|tag| builder.values().append_value(tag));
                        builder.append(true);
                    }
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Vector(width) => {
            let mut builder = FixedSizeListBuilder::new(Float32Builder::new(), width as i32);
            for part in parts {
                if let Column::Vector(v) = part {
                    for row in v.data.chunks_exact(width.max(1) as usize) {
                        builder.values().append_slice(row);
                        builder.append(true);
                    }
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Number | Kind::Boolean | Kind::Timestamp => {
            let mut numbers = Vec::new();
            for part in parts {
                if let Column::Number(x) = part {
                    numbers.extend_from_slice(x);
                }
            }
            Arc::new(Float32Array::from(numbers))
        }
    }
}

fn read_batch(batch: &RecordBatch, encoder: &Encoder, kinds: &[Kind], records: &mut Vec<Record>) -> Option<()> {
    let text = |name: &str| Some(batch.column_by_name(name)?.as_string_opt::<i32>()?.clone());
    let long = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?.clone());
    let count = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<UInt32Type>()?.clone());
    let float = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<Float32Type>()?.clone());
    let (request, user, surface, arm, item) =
        (text("request")?, text("user")?, text("surface")?, text("arm")?, text("item")?);
    let (bundle, hash, tables) = (text("bundle")?, text("encoder")?, text("tables")?);
    let (ts, arrived) = (long("ts")?, long("arrived")?);
    let (weight, length, entries, rank) =
        (count("weight")?, count("history_length")?, count("history_entries")?, count("rank")?);
    let (score, propensity, sampling) = (float("score")?, float("propensity")?, float("sampling")?);
    let offset = batch.column_by_name("offset_min")?.as_primitive_opt::<Int16Type>()?;
    let source = batch.column_by_name("source")?.as_primitive_opt::<UInt8Type>()?;
    let fallback = batch.column_by_name("fallback")?.as_boolean_opt()?;
    let vector = batch.column_by_name("vector")?.as_list_opt::<i32>()?;
    let digest = |array: &StringArray, row: usize| -> Option<Digest> { array.value(row).parse().ok() };
    let mut from = 0;
    while from < batch.num_rows() {
        let mut to = from + 1;
        while to < batch.num_rows() && request.value(to) == request.value(from) {
            to += 1;
        }
        let columns = encoder
            .features
            .iter()
            .zip(kinds)
            .map(|(feature, kind)| {
                let array = batch.column_by_name(&format!("{VALUE_PREFIX}{}", feature.name))?;
                value_column(&array.slice(from, to - from), *kind)
            })
            .collect::<Option<Vec<_>>>()?;
        let vectors = vector.slice(from, to - from);
        let record = Record {
            request: request.value(from).to_owned(),
            user: user.value(from).to_owned(),
            surface: surface.value(from).to_owned(),
            ts: ts.value(from),
            offset_min: offset.value(from),
            arrived: arrived.value(from),
            bundle: if bundle.is_null(from) { None } else { Some(digest(&bundle, from)?) },
            encoder: digest(&hash, from)?,
            tables: digest(&tables, from)?,
            arm: arm.value(from).to_owned(),
            weight: weight.value(from),
            history_length: length.value(from),
            fallback: fallback.value(from),
            rows: LogRows {
                items: (from..to).map(|i| item.value(i).to_owned()).collect(),
                sources: (from..to).map(|i| source.value(i)).collect(),
                ranks: (from..to).map(|i| rank.value(i)).collect(),
                scores: (from..to).map(|i| score.value(i)).collect(),
                propensity: (from..to).map(|i| propensity.value(i)).collect(),
                sampling: (from..to).map(|i| sampling.value(i)).collect(),
                history_entries: entries.value(from),
                values: Values { rows: (to - from) as u32, columns },
                vectors: (0..vectors.len())
                    .map(|i| Some(vectors.value(i).as_primitive_opt::<Float32Type>()?.values().to_vec()))
                    .collect::<Option<Vec<_>>>()?
                    .concat(),
            },
        };
        // A request whose rows were cut by the end of a batch goes on in the next one.
        match records.last_mut() {
            Some(last) if from == 0 && last.request == record.request => append(last, record)?,
            _ => records.push(record),
        }
        from = to;
    }
    Some(())
}

fn append(to: &mut Record, more: Record) -> Option<()> {
    let rows = &mut to.rows;
    rows.items.extend(more.rows.items);
    rows.sources.extend(more.rows.sources);
    rows.ranks.extend(more.rows.ranks);
    rows.scores.extend(more.rows.scores);
    rows.propensity.extend(more.rows.propensity);
    rows.sampling.extend(more.rows.sampling);
    rows.vectors.extend(more.rows.vectors);
    rows.values.rows += more.rows.values.rows;
    for (a, b) in rows.values.columns.iter_mut().zip(&more.rows.values.columns) {
        *a = Column::concat(&[a, b]).ok()?;
    }
    Some(())
}

fn value_column(array: &ArrayRef, kind: Kind) -> Option<Column> {
    Some(match kind {
        Kind::Number | Kind::Boolean | Kind::Timestamp => {
            Column::Number(array.as_primitive_opt::<Float32Type>()?.values().to_vec())
        }
        Kind::Category | Kind::Text => {
            let cells: Vec<Option<&str>> = array.as_string_opt::<i32>()?.iter().collect();
            Column::Category(Categories::collect(&cells))
        }
        Kind::Tags => {
            let lists = array.as_list_opt::<i32>()?;
            let rows: Vec<ArrayRef> = (0..lists.len()).map(|i| lists.value(i)).collect();
            let cells = rows
                .iter()
                .map(|row| Some(row.as_string_opt::<i32>()?.iter().flatten().collect()))
                .collect::<Option<Vec<Vec<&str>>>>()?;
            Column::Tags(TagSets::collect(&cells))
        }
        Kind::Vector(width) => {
            let lists = array.as_fixed_size_list_opt()?;
            let mut data = Vec::with_capacity(lists.len() * width as usize);
            for i in 0..lists.len() {
                data.extend_from_slice(lists.value(i).as_primitive_opt::<Float32Type>()?.values());
            }
            Column::Vector(Vectors { width, data })
        }
    })
}

/// The first cell of a column of whole numbers.
pub(super) fn whole_number(column: &ArrayRef) -> Option<i64> {
    match column.data_type() {
        DataType::UInt64 => {
            column.as_primitive::<UInt64Type>().iter().next()?.map(|n| i64::try_from(n).unwrap_or(i64::MAX))
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().next()?,
        _ => None,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

/// Records by request, for joining.
pub fn by_request(records: &[Record]) -> BTreeMap<&str, &Record> {
    records.iter().map(|r| (r.request.as_str(), r)).collect()
}
