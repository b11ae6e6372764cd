//! The labelled dataset on disk: logged rows joined with what was shown and what people did, point in time.
//!
//! A DATASET folder has a file of rows for each day (UTC) of one surface, `DAY.parquet`, in the feature log's own
//! columns and four more: `grade` (null where the row was not shown), `position`, `shown_propensity` and `shown`.
//! Rows stand by request, in the order in which they were logged, requests by time.
//! `dataset.json` says what went in, what came out, and why the rest did not.
//!
//! Joins and sorts are queries ([`super::query`]) whose memory is bounded; rows and labels then meet in one pass.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader, StringArray, UInt32Array};
use datafusion::config::TableParquetOptions;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionContext, col};
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::spec::{FeatureSpec, Label, Touch};
use tempfile::TempDir;

use super::collected::CollectedError;
use super::feature_log::FeatureLogError;
use super::query::{self, QueryError, Resources, quoted, whole_number};

mod days;
pub mod functions;
mod input;
mod merge;
mod reading;

pub use input::Input;
pub use reading::{Dataset, is_dataset};

/// Version of the folder's format.
pub const FORMAT: u32 = 1;
/// The description's file.
pub const DESCRIPTION: &str = "dataset.json";

/// Views that are computed once: those that many others read, and those that sort, as a sort holds its memory until its
/// last row is read, which the next sort would need.
const KEPT: [&str; 6] = ["asked", "impression", "placed", "graded", "attributed", "done"];

/// Rows of a row group of what is kept.
const KEPT_ROW_GROUP: usize = 1 << 16;

/// What a DATASET folder holds and how it came to be: the contents of `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the folder's format.
    pub format: u32,
    /// The surface.
    pub surface: String,
    /// The encoder whose features the columns are.
    pub encoder: Digest,
    /// How rows were labelled.
    pub label: Label,
    /// The latest event, milliseconds since the epoch; labels whose window ends later are not complete.
    pub end: i64,
    /// Rows.
    pub rows: Rows,
    /// Impressions and interactions.
    pub events: Losses,
    /// The files, in time order.
    pub days: Vec<Day>,
}

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Of this surface in the log.
    pub read: u64,
    /// Logged before with the same request and place.
    pub duplicates: u64,
    /// Of encoders that lack a feature of the newest one, or read it from another source.
    pub other_encoder: u64,
    /// Written.
    pub written: u64,
    /// Written and shown: these have a grade.
    pub shown: u64,
    /// Written with a grade above zero.
    pub positive: u64,
    /// Requests whose rows were written.
    pub requests: u64,
    /// Labels whose item is not in the log, or only as a row of another encoder.
    pub labels_without_row: u64,
}

/// What became of impressions and interactions, of all surfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Interactions in the log.
    pub interactions: u64,
    /// Interactions that the log has again; merged, and not counted elsewhere.
    pub interactions_again: u64,
    /// Interactions whose action has no grade.
    pub ungraded: u64,
    /// Graded interactions that name no request.
    pub without_request: u64,
    /// Those of them that belong to a request all the same, as it had shown the item to the user.
    pub attributed: u64,
    /// Graded interactions with a request that is not in the log.
    pub unknown_request: u64,
    /// Graded interactions after the window of the request that they name.
    pub late: u64,
    /// Graded interactions before the request that they name.
    pub early: u64,
    /// Items in impressions.
    pub shown: u64,
    /// Items in impressions of a request that is not in the log.
    pub shown_unknown_request: u64,
    /// Items in impressions after the window of their request.
    pub shown_late: u64,
    /// Items that impressions of one request name again; merged.
    pub shown_again: u64,
}

/// A day's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// The file, in the folder.
    pub file: String,
    /// Its requests.
    pub requests: u64,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
}

/// Why a dataset cannot be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The log.
    #[error(transparent)]
    Log(#[from] FeatureLogError),
    /// A collected store.
    #[error(transparent)]
    Collected(#[from] CollectedError),
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
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
    /// No rows at all.
    #[error(
        "the log has no rows of surface `{surface}`; pass a LOG folder of this surface, as `trainer replay` writes it"
    )]
    Empty {
        /// The surface.
        surface: String,
    },
    /// A folder that is something else.
    #[error("{path}: {reason}")]
    Format {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file that is not the one that was written.
    #[error("{path} was altered or cut: its digest is {got}, {DESCRIPTION} says {expected}; build the dataset again")]
    Digest {
        /// The file.
        path: PathBuf,
        /// What it is.
        got: Digest,
        /// What it should be.
        expected: Digest,
    },
}

/// Joins a log with its events and writes a DATASET folder; nothing is in it before it is whole.
///
/// # Errors
/// A log that cannot be read, a query beyond its memory and disk, or a folder that cannot be written.
pub fn build(input: &Input, spec: &FeatureSpec, resources: &Resources, out: &Path) -> Result<Report, BuildError> {
    let io = |source| BuildError::Io { path: out.to_owned(), source };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(io)?
        .block_on(run(input, spec, resources, out))
}

async fn run(input: &Input, spec: &FeatureSpec, resources: &Resources, out: &Path) -> Result<Report, BuildError> {
    let session = query::session(resources)?;
    functions::register(&session);
    let read = input::register(&session, input, spec).await?;
    let kept = resources.scratch().map_err(|source| BuildError::Io { path: out.to_owned(), source })?;
    let kept = kept.as_ref().map(TempDir::path);
    create_views(&session, spec, kept).await?;
    let doing = QueryError::doing("cannot join the log with its events");
    let labels = sorted(session.table("label").await.map_err(doing)?, &["ts", "request"])?;
    let labels = match kept {
        // Joined before the rows are sorted, as each needs most of the memory.
        Some(folder) => {
            let path = folder.join("label");
            write(labels, &path).await?;
            in_order(&path)?
        }
        None => labels.execute_stream().await.map_err(doing)?,
    };
    let rows = session.table("surface_rows").await.map_err(doing)?;
    let rows = sorted(rows, &["ts", "request", "row", "arrived"])?.execute_stream().await.map_err(doing)?;
    let mut writer = days::Writer::create(out, &read.encoder)?;
    let mut counts = merge::merge(rows, labels, spec.label.assume_shown, &mut writer).await?;
    counts.other_encoder = read.other_encoder;
    counts.read += read.other_encoder;
    if counts.written == 0 {
        return Err(BuildError::Empty { surface: spec.surface().to_owned() });
    }
    let report = Report {
        format: FORMAT,
        surface: spec.surface().to_owned(),
        encoder: read.encoder.hash(),
        label: spec.label.clone(),
        end: read.end,
        rows: counts,
        events: losses(&session, spec).await?,
        days: Vec::new(),
    };
    writer.finish(report, input.tables.as_deref())
}

/// Creates the views; those that are [`KEPT`] are computed once, into a folder, where there is one.
async fn create_views(session: &SessionContext, spec: &FeatureSpec, folder: Option<&Path>) -> Result<(), BuildError> {
    let doing = QueryError::doing("cannot read the log's columns");
    session.register_table("grades", Arc::new(grades(spec))).map_err(doing)?;
    for statement in filled(include_str!("build/views.sql"), spec).split(";\n") {
        if !statement.trim().is_empty() {
            session.sql(statement).await.map_err(doing)?;
        }
        let created = statement.split("CREATE VIEW ").nth(1).and_then(|rest| rest.split_whitespace().next());
        if let (Some(name), Some(folder)) = (created.filter(|name| KEPT.contains(name)), folder) {
            keep(session, name, folder).await?;
        }
    }
    Ok(())
}

/// Computes a view and puts a table of its rows in its place.
async fn keep(session: &SessionContext, name: &str, folder: &Path) -> Result<(), BuildError> {
    let doing = QueryError::doing("cannot join the log with its events");
    let path = folder.join(name);
    write(session.table(name).await.map_err(doing)?, &path).await?;
    let kept = query::parquet(session, &[path], None).await?;
    session.deregister_table(name).map_err(doing)?;
    session.register_table(name, kept.into_view()).map_err(doing)?;
    Ok(())
}

/// A query with the label's settings in their places.
fn filled(sql: &str, spec: &FeatureSpec) -> String {
    let label = &spec.label;
    let assumed = match label.assume_shown {
        true => "UNION ALL SELECT \"user\", item, surface, request, ts, ts AS asked FROM rows",
        false => "",
    };
    let touch = match label.touch {
        Touch::Last => "DESC",
        Touch::First => "ASC",
    };
    sql.replace("{window}", &label.window.ms.to_string())
        .replace("{touch}", touch)
        .replace("{assumed}", assumed)
        .replace("{surface}", &quoted(spec.surface()))
}

/// Writes rows as one Parquet file, in row groups that take little memory.
async fn write(rows: DataFrame, path: &Path) -> Result<(), BuildError> {
    let one_file = DataFrameWriteOptions::new().with_single_file_output(true);
    let mut options = TableParquetOptions::default();
    options.global.max_row_group_size = KEPT_ROW_GROUP;
    let written = rows.write_parquet(&query::address(path), one_file, Some(options)).await;
    written.map_err(QueryError::doing("cannot join the log with its events"))?;
    Ok(())
}

/// The rows of a Parquet file in their order, which a query does not promise.
fn in_order(path: &Path) -> Result<SendableRecordBatchStream, BuildError> {
    let parquet = |source| BuildError::Parquet { path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| BuildError::Io { path: path.to_owned(), source })?;
    let rows = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|file| file.build()).map_err(parquet)?;
    let schema = rows.schema();
    let rows = futures::stream::iter(rows).map_err(DataFusionError::from);
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

fn grades(spec: &FeatureSpec) -> MemTable {
    let graded = || spec.label.grades.iter().filter(|(_, grade)| **grade > 0);
    let actions: StringArray = graded().map(|(action, _)| Some(action.as_str())).collect();
    let grades: UInt32Array = graded().map(|(_, grade)| Some(*grade)).collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("action", Arc::new(actions) as _, false),
        ("grade", Arc::new(grades) as _, false),
    ])
    .expect("both columns have a row a grade");
    MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("the batch has its own schema")
}

fn sorted(rows: DataFrame, by: &[&str]) -> Result<DataFrame, BuildError> {
    let by = by.iter().map(|name| col(*name).sort(true, false)).collect();
    Ok(rows.sort(by).map_err(QueryError::doing("cannot sort"))?)
}

async fn losses(session: &SessionContext, spec: &FeatureSpec) -> Result<Losses, BuildError> {
    let doing = QueryError::doing("cannot count what was left out");
    let counted = session.sql(&filled(include_str!("build/losses.sql"), spec)).await.map_err(doing)?;
    let batches = counted.collect().await.map_err(doing)?;
    let count = |name: &str| {
        let batch = batches.iter().find(|b| b.num_rows() > 0);
        let cell = batch.and_then(|batch| whole_number(batch.column_by_name(name)?));
        cell.unwrap_or(0) as u64
    };
    Ok(Losses {
        interactions: count("interactions"),
        interactions_again: count("interactions_again"),
        ungraded: count("ungraded"),
        without_request: count("without_request"),
        attributed: count("attributed"),
        unknown_request: count("unknown_request"),
        late: count("late"),
        early: count("early"),
        shown: count("shown"),
        shown_unknown_request: count("shown_unknown_request"),
        shown_late: count("shown_late"),
        shown_again: count("shown_again"),
    })
}

/// The encoder of the newest rows, and what else a build has to know of its input.
struct Registered {
    encoder: Encoder,
    /// Rows of this surface that the columns of the newest encoder do not cover.
    other_encoder: u64,
    end: i64,
}
