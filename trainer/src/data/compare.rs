//! Two logs of the same requests, compared value by value: a replay with what edges logged, one version with the next.
//!
//! Rows meet by request and item, features by name. Where a feature was logged, a replay must give the same bits;
//! anything else is a difference between training and serving.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use shared_features::encoder::Encoder;

use super::collected::{self, CollectedError};
use super::feature_log::{self, FeatureLogError, ROWS, VALUE_PREFIX, covers};
use super::query::{self, QueryError, Resources, quoted_name, whole_number};

/// What two logs have in common and what not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Rows of both.
    pub rows: u64,
    /// Rows of the left log only.
    pub left_only: u64,
    /// Rows of the right log only.
    pub right_only: u64,
    /// Features of both, in the left log's order.
    pub features: Vec<Feature>,
    /// Features of the left log only.
    pub left_features: Vec<String>,
    /// Features of the right log only.
    pub right_features: Vec<String>,
}

/// A feature's values in the rows of both logs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Missing on both sides.
    pub both_missing: u64,
    /// Missing on the right.
    pub left_only: u64,
    /// Missing on the left.
    pub right_only: u64,
    /// The same value, to the bit.
    pub equal: u64,
    /// Two values that differ.
    pub different: u64,
    /// Symmetric mean absolute percentage error over values present on both sides, 0 to 200; `None` for what is no number.
    pub smape: Option<f64>,
    /// Of the absolute differences of values that differ: median, 90 %, largest; the first two approximate.
    pub difference: Option<[f64; 3]>,
}

impl Comparison {
    /// Values that are not the same on both sides.
    pub fn differing_values(&self) -> u64 {
        self.features.iter().map(|f| f.left_only + f.right_only + f.different).sum()
    }
}

/// Why logs cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A log.
    #[error(transparent)]
    Log(#[from] FeatureLogError),
    /// A store.
    #[error(transparent)]
    Collected(#[from] CollectedError),
    /// No rows.
    #[error("{path} has no rows; pass a LOG folder, or STORE/rows/SURFACE of a collected store")]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// Rows of several surfaces.
    #[error("{path} has rows of several surfaces; pass STORE/rows/SURFACE")]
    Surfaces {
        /// The path.
        path: PathBuf,
    },
    /// A query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Asynchronous work cannot be started.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    /// One feature, two kinds.
    #[error("feature `{feature}` is {left} in one log and {right} in the other; compare logs of one kind")]
    Kind {
        /// Which.
        feature: String,
        /// Its type on the left.
        left: DataType,
        /// Its type on the right.
        right: DataType,
    },
}

/// Compares the rows of two logs, each a LOG folder or a path in a collected store, such as `STORE/rows/SURFACE`.
///
/// # Errors
/// A log that cannot be read, or features of two kinds.
pub fn compare(left: &Path, right: &Path, resources: &Resources) -> Result<Comparison, CompareError> {
    let (left, right) = (Log::find(left)?, Log::find(right)?);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(left, right, resources))
}

async fn run(left: Log, right: Log, resources: &Resources) -> Result<Comparison, CompareError> {
    let session = query::session(resources)?;
    let left = Side::register(&session, "l", left).await?;
    let right = Side::register(&session, "r", right).await?;
    let mut both = Vec::new();
    for (name, kind) in &left.features {
        match right.features.iter().find(|(other, _)| other == name) {
            Some((_, other)) if other != kind => {
                return Err(CompareError::Kind { feature: name.clone(), left: kind.clone(), right: other.clone() });
            }
            Some(_) => both.push((name.clone(), kind.clone())),
            None => {}
        }
    }
    let only = |side: &Side, other: &Side| {
        let others: BTreeSet<&str> = other.features.iter().map(|(name, _)| name.as_str()).collect();
        let names = side.features.iter().map(|(name, _)| name.clone());
        names.filter(|name| !others.contains(name.as_str())).collect::<Vec<_>>()
    };
    let doing = QueryError::doing("cannot compare the rows");
    let batches = session.sql(&joined(&both)).await.map_err(doing)?.collect().await.map_err(doing)?;
    let result = batches.iter().find(|b| b.num_rows() > 0);
    let count = |name: String| result.and_then(|b| whole_number(b.column_by_name(&name)?)).unwrap_or(0) as u64;
    let features = both.iter().enumerate().map(|(k, (name, kind))| {
        let number = |what: &str| result.and_then(|b| number(b, &format!("{what}_{k}")));
        let is_number = *kind == DataType::Float32;
        Feature {
            name: name.clone(),
            both_missing: count(format!("both_missing_{k}")),
            left_only: count(format!("left_only_{k}")),
            right_only: count(format!("right_only_{k}")),
            equal: count(format!("equal_{k}")),
            different: count(format!("different_{k}")),
            smape: if is_number { number("smape") } else { None },
            difference: if is_number {
                number("median").zip(number("p90")).zip(number("largest")).map(|((a, b), c)| [a, b, c])
            } else {
                None
            },
        }
    });
    Ok(Comparison {
        rows: count("both".into()),
        left_only: count("left_only".into()),
        right_only: count("right_only".into()),
        features: features.collect(),
        left_features: only(&left, &right),
        right_features: only(&right, &left),
    })
}

/// A log as a table.
struct Side {
    features: Vec<(String, DataType)>,
}

impl Side {
    async fn register(session: &SessionContext, table: &str, log: Log) -> Result<Side, CompareError> {
        let schema = feature_log::schema(&log.encoder);
        let rows = query::parquet(session, &log.files, Some(&schema)).await?;
        session.register_table(table, rows.into_view()).map_err(QueryError::doing("cannot read the log"))?;
        let features = schema
            .fields()
            .iter()
            .filter_map(|field| Some((field.name().strip_prefix(VALUE_PREFIX)?.to_owned(), field.data_type().clone())));
        Ok(Side { features: features.collect() })
    }
}

/// The files of a log.
struct Log {
    files: Vec<PathBuf>,
    encoder: Encoder,
}

impl Log {
    /// The files with the features of the newest encoder: of a store those that read them all from the same sources.
    fn find(path: &Path) -> Result<Log, CompareError> {
        let encoder_of = |file: &PathBuf| Ok::<_, CompareError>(feature_log::open(file)?.encoder);
        let Some(collected) = collected::rows_below(path)? else {
            let file = path.join(ROWS);
            return Ok(Log { encoder: encoder_of(&file)?, files: vec![file] });
        };
        let surfaces: BTreeSet<&Path> = collected.iter().filter_map(|file| file.parent()?.parent()).collect();
        if surfaces.len() > 1 {
            return Err(CompareError::Surfaces { path: path.to_owned() });
        }
        // Files are named by their encoder, and then by when they were written.
        let written = |file: &&PathBuf| {
            let number = file.file_stem().and_then(|stem| Some(stem.to_str()?.rsplit_once('-')?.1.to_owned()));
            (file.parent().map(Path::to_owned), number)
        };
        let newest = collected.iter().max_by_key(written);
        let newest = newest.ok_or_else(|| CompareError::Empty { path: path.to_owned() })?;
        let mut log = Log { encoder: encoder_of(newest)?, files: Vec::new() };
        for file in collected {
            if covers(&encoder_of(&file)?, &log.encoder) {
                log.files.push(file);
            }
        }
        Ok(log)
    }
}

/// One row of counts over all rows of both logs.
fn joined(features: &[(String, DataType)]) -> String {
    let mut columns = vec![
        "count(*) FILTER (WHERE l.request IS NOT NULL AND r.request IS NOT NULL) AS both".to_owned(),
        "count(*) FILTER (WHERE r.request IS NULL) AS left_only".to_owned(),
        "count(*) FILTER (WHERE l.request IS NULL) AS right_only".to_owned(),
    ];
    for (k, (name, kind)) in features.iter().enumerate() {
        let name = quoted_name(&format!("{VALUE_PREFIX}{name}"));
        let (l, r) = (format!("l.{name}"), format!("r.{name}"));
        let missing = |side: &str| match kind {
            DataType::Float32 => format!("isnan({side})"),
            DataType::List(_) => format!("cardinality({side}) = 0"),
            _ => format!("{side} IS NULL"),
        };
        let (lm, rm) = (missing(&l), missing(&r));
        let both = "l.request IS NOT NULL AND r.request IS NOT NULL";
        let present = format!("{both} AND NOT ({lm}) AND NOT ({rm})");
        columns.push(format!("count(*) FILTER (WHERE {both} AND ({lm}) AND ({rm})) AS both_missing_{k}"));
        columns.push(format!("count(*) FILTER (WHERE {both} AND NOT ({lm}) AND ({rm})) AS left_only_{k}"));
        columns.push(format!("count(*) FILTER (WHERE {both} AND ({lm}) AND NOT ({rm})) AS right_only_{k}"));
        columns.push(format!("count(*) FILTER (WHERE {present} AND {l} = {r}) AS equal_{k}"));
        columns.push(format!("count(*) FILTER (WHERE {present} AND {l} <> {r}) AS different_{k}"));
        if *kind == DataType::Float32 {
            let (l, r) = (format!("CAST({l} AS DOUBLE)"), format!("CAST({r} AS DOUBLE)"));
            let size = format!("abs({l}) + abs({r})");
            let term = format!("CASE WHEN {size} = 0 THEN 0 ELSE 200 * abs({l} - {r}) / ({size}) END");
            columns.push(format!("avg({term}) FILTER (WHERE {present}) AS smape_{k}"));
            let differ = format!("FILTER (WHERE {present} AND {l} <> {r})");
            for (what, share) in [("median", "0.5"), ("p90", "0.9")] {
                columns.push(format!("approx_percentile_cont(abs({l} - {r}), {share}) {differ} AS {what}_{k}"));
            }
            columns.push(format!("max(abs({l} - {r})) {differ} AS largest_{k}"));
        }
    }
    format!("SELECT {} FROM l FULL OUTER JOIN r ON l.request = r.request AND l.item = r.item", columns.join(", "))
}

fn number(batch: &RecordBatch, name: &str) -> Option<f64> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
    column.is_valid(0).then(|| column.value(0))
}
