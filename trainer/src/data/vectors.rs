//! Vectors on disk, for people who train with something else: one Parquet row per shown row.
//!
//! Columns: `request`, `user`, `ts` and `item` say what a row is of, `label` is its grade,
//! and then there is a column `x.NAME` for each number of a vector, in the order in which the model must take them.
//! Missing numbers are NaN.
//! The file's metadata carries the encoder, so that a model that was trained on it is bundled with the very same bits.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use shared_features::encoder::{Encoder, EncoderError};
use tempfile::NamedTempFile;

use super::feature_log::{ENCODER_KEY, ROWS_PER_BATCH, hex, unhex};

/// A row: what it is of, and its grade; its vector stands apart.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The request.
    pub request: &'a str,
    /// The user.
    pub user: &'a str,
    /// The request's time, milliseconds since the epoch.
    pub ts: i64,
    /// The item.
    pub item: &'a str,
    /// The grade.
    pub label: u32,
}

/// What a file of vectors tells of itself.
#[derive(Debug)]
pub struct Origin {
    /// What made the vectors.
    pub encoder: Encoder,
    /// The requests whose rows are in it.
    pub requests: BTreeSet<String>,
}

/// Why a file of vectors cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsError {
    /// A file that cannot be opened, made or renamed.
    #[error("{path}: {source}; pass the file that `trainer vectors` wrote or is to write")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder, a device or a pipe, where a file is to be written.
    #[error("{path} is no file, and is not replaced; pass the name of a file to write")]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// Parquet refuses it.
    #[error("{path}: {source}; pass the file that `trainer vectors` wrote")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
    /// A Parquet file of something else.
    #[error(
        "{path}: there is no fitted encoder or no column `request` in it; pass the file that `trainer vectors` wrote"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The encoder in it is refused.
    #[error("{path}: {source}; run `trainer vectors` again")]
    Encoder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EncoderError,
    },
}

/// Refuses what a file of vectors must not take the place of.
///
/// # Errors
/// A path at which there is something that is no file.
pub fn check_target(path: &Path) -> Result<(), VectorsError> {
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => Err(VectorsError::NoFile { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// Writes rows with their vectors, row-major `f32[rows, width]` with the width of a fitted encoder; the file gets its name when it is whole.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, encoder: &Encoder, rows: &[Row], vectors: &[f32]) -> Result<(), VectorsError> {
    check_target(path)?;
    let io = |source| VectorsError::Io { path: path.to_owned(), source };
    let parquet = |source| VectorsError::Parquet { path: path.to_owned(), source };
    let names: Vec<String> = encoder.slots().into_iter().map(|slot| format!("x.{}", slot.name)).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new(ENCODER_KEY.to_owned(), hex(&encoder.to_bytes()))]))
        .build();
    // Where writing fails it is removed.
    let mut temporary = temporary_beside(path).map_err(io)?;
    let file = temporary.as_file_mut();
    let mut writer = ArrowWriter::try_new(file, batch(&names, &[], &[]).schema(), Some(properties)).map_err(parquet)?;
    for (rows, vectors) in rows.chunks(ROWS_PER_BATCH).zip(vectors.chunks(ROWS_PER_BATCH * names.len().max(1))) {
        writer.write(&batch(&names, rows, vectors)).map_err(parquet)?;
    }
    writer.close().map_err(parquet)?;
    temporary.persist(path).map(drop).map_err(|e| io(e.error))
}

/// A file with a name of its own in the folder of another, which it is to replace.
fn temporary_beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // As any new file: whoever the umask lets may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".vectors-").tempfile_in(folder)
}

/// Reads which encoder made a file of vectors, and which requests are in it.
///
/// # Errors
/// No file of vectors.
pub fn origin(path: &Path) -> Result<Origin, VectorsError> {
    let parquet = |source| VectorsError::Parquet { path: path.to_owned(), source };
    let foreign = || VectorsError::Foreign { path: path.to_owned() };
    let file = File::open(path).map_err(|source| VectorsError::Io { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?;
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let encoder = metadata.and_then(|pairs| pairs.iter().find(|p| p.key == ENCODER_KEY)?.value.as_deref());
    let encoder = Encoder::from_bytes(&encoder.and_then(unhex).ok_or_else(foreign)?)
        .map_err(|source| VectorsError::Encoder { path: path.to_owned(), source })?;
    if encoder.width.is_none() {
        return Err(foreign());
    }
    let only = ProjectionMask::columns(builder.parquet_schema(), ["request"]);
    let mut requests = BTreeSet::new();
    for batch in builder.with_projection(only).build().map_err(parquet)? {
        let batch = batch.map_err(|e| parquet(e.into()))?;
        let column = batch.column_by_name("request").and_then(|c| c.as_string_opt::<i32>()).ok_or_else(foreign)?;
        requests.extend(column.iter().flatten().map(str::to_owned));
    }
    Ok(Origin { encoder, requests })
}

fn batch(names: &[String], rows: &[Row], vectors: &[f32]) -> RecordBatch {
    let text =
        |value: fn(&Row) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(value))) };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("request".into(), text(|r| r.request.to_owned())),
        ("user".into(), text(|r| r.user.to_owned())),
        ("ts".into(), Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.ts)))),
        ("item".into(), text(|r| r.item.to_owned())),
        // Exporters of classifiers know no unsigned labels.
        ("label".into(), Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| i64::from(r.label))))),
    ];
    for (at, name) in names.iter().enumerate() {
        let numbers = vectors.iter().skip(at).step_by(names.len()).copied();
        columns.push((name.clone(), Arc::new(Float32Array::from_iter_values(numbers))));
    }
    RecordBatch::try_from_iter(columns).expect("every column has a number for each row")
}
