//! Whether a log may be trained on: held against the schema that is kept with its spec, before anything is learned.

use std::path::{Path, PathBuf};

use super::{Against, Report, validate};
use crate::data::collected::{self, CollectedError};
use crate::data::edge_log::{self, EdgeLogError};
use crate::data::feature_log::{FeatureLogError, Writer};
use crate::data::schema::{Feature, FloatDomain, Presence, Schema, SchemaError};
use crate::data::statistics::{self, FeatureStatistics, Settings, Statistics, StatisticsError, Type};

/// The environment of a schema that logs for training are held against.
const TRAINING: &str = "TRAINING";

/// What a log is held against before it is trained on.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// The schema; the one beside the spec where absent. Where that is not there either, each feature must have a value
    /// in some row, and none may be infinite.
    pub schema: Option<PathBuf>,
    /// The day before.
    pub previous: Option<Statistics>,
}

/// Why nothing is trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The log, or what there is of it as Parquet.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// The state folder of an edge.
    #[error(transparent)]
    Edge(#[from] EdgeLogError),
    /// A collected store.
    #[error(transparent)]
    Collected(#[from] CollectedError),
    /// What edges logged, written as Parquet.
    #[error(transparent)]
    Log(#[from] FeatureLogError),
    /// No folder for it.
    #[error("no temporary folder: {0}")]
    Temporary(std::io::Error),
    /// A day before, and no schema.
    #[error("--previous compares by a schema: {make}")]
    NoSchema {
        /// How to make one.
        make: String,
    },
    /// The log is not as it should be.
    #[error("the log is not what {rule} says it should be, so nothing was trained: {}", .report.first_error())]
    NotValid {
        /// The schema's file, or what is asked of every log.
        rule: String,
        /// What is wrong.
        report: Box<Report>,
    },
}

/// The schema that is kept beside a spec: its name with `.schema.toml`.
pub fn schema_beside(spec: &Path) -> PathBuf {
    spec.with_extension("schema.toml")
}

/// Holds a surface's log against its schema, or against what is asked of every log: a LOG or DATASET folder, an edge's
/// state folder or a collected store.
///
/// # Errors
/// An anomaly that is an error, or what cannot be read.
pub fn check(log: &Path, spec: &Path, surface: &str, checks: &Checks) -> Result<(), CheckError> {
    let beside = schema_beside(spec);
    let path = checks.schema.clone().or_else(|| beside.is_file().then(|| beside.clone()));
    if path.is_none() && checks.previous.is_some() {
        return Err(CheckError::NoSchema { make: make_schema(log, surface, &beside) });
    }
    let kept = path.as_deref().map(Schema::read).transpose()?;
    let statistics = statistics_of(log, surface)?;
    let schema = kept.unwrap_or_else(|| of_every_log(&statistics));
    let environment = schema.environments().contains(&TRAINING).then_some(TRAINING);
    let against = Against { environment, previous: checks.previous.as_ref(), ..Against::default() };
    let report = validate(&schema, &statistics, &against);
    if !report.has_errors() {
        return Ok(());
    }
    let rule = match path {
        Some(path) => path.display().to_string(),
        None => format!(
            "the rule for logs without a schema (each feature has a value in some row; where one may have none, {})",
            make_schema(log, surface, &beside)
        ),
    };
    Err(CheckError::NotValid { rule, report: Box::new(report) })
}

/// How to make a schema of a log: the commands, where it has files of rows.
fn make_schema(log: &Path, surface: &str, schema: &Path) -> String {
    let rows = match collected::store_at(log) {
        Some(store) => format!("{}/rows/{surface}", store.trim_end_matches('/')),
        None if edge_log::is_state(log) => {
            return "collect what the edge logs (`trainer serve`) and make a schema of the store".into();
        }
        None => log.to_string_lossy().into_owned(),
    };
    let [rows, schema] = [rows.as_str(), &schema.to_string_lossy()].map(in_shell);
    format!("make a schema: trainer data stats {rows} --out s.json && trainer data schema infer s.json --out {schema}")
}

/// A word as a shell reads it.
fn in_shell(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}

/// What holds where nobody has said more: a feature without a value in any row is one that edges do not get.
fn of_every_log(statistics: &Statistics) -> Schema {
    let feature = |of: &FeatureStatistics| Feature {
        presence: Some(Presence { min_count: Some(1), min_fraction: None }),
        float_domain: (of.of == Type::Float).then(|| FloatDomain { disallow_inf: true, ..FloatDomain::default() }),
        ..Feature::new(of.of)
    };
    let features = statistics.whole().into_iter().flat_map(|whole| &whole.features);
    Schema { features: features.map(|of| (of.name.clone(), feature(of))).collect(), ..Schema::default() }
}

fn statistics_of(log: &Path, surface: &str) -> Result<Statistics, CheckError> {
    let of = |path: PathBuf| Ok(statistics::of(&[path], &Settings::default(), &|_, _| {})?);
    let edges = match collected::store_at(log) {
        Some(location) => collected::read_all(&location, surface)?,
        None if edge_log::is_state(log) => edge_log::read(log, surface)?,
        None => return of(log.to_owned()),
    };
    let folder = tempfile::tempdir().map_err(CheckError::Temporary)?;
    let mut writer = Writer::create(folder.path(), &edges.log.encoder)?;
    edges.log.records.into_iter().try_for_each(|record| writer.push(record))?;
    writer.finish()?;
    of(folder.path().to_owned())
}
