//! Queries over Parquet files that may be larger than memory: DataFusion with a limit, spilling to disk.
//!
//! Everything that joins, sorts or groups logs asks for a [`session`] here, so that one setting bounds them all.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext};
use reqwest::Url;

use super::engine::Engine;
#[cfg(feature = "cluster")]
use crate::cluster::ClusterError;

pub(crate) mod joins;

/// What a query may use.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Bytes that sorts, joins and groups hold in memory together; what is beyond goes to disk.
    pub memory_bytes: usize,
    /// Where it goes; the system's folder for temporary files where absent.
    pub spill: Option<PathBuf>,
    /// Parts that a query is worked on in at the same time; the machine's cores where absent.
    pub threads: Option<usize>,
    /// Where it runs; workers of a cluster have bounds of their own.
    pub engine: Engine,
}

/// The least memory that a query is given: below it sorts cannot merge what they spilled.
pub const LEAST_MEMORY: usize = 16 << 20;

/// The memory that another part of a query asks for.
const PART_MEMORY: usize = 64 << 20;

impl Default for Resources {
    fn default() -> Self {
        Resources { memory_bytes: 2 << 30, spill: None, threads: None, engine: Engine::Here }
    }
}

/// Why a query fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Less memory than a query needs in any case.
    #[error("{got} bytes of memory are too few for a query; pass at least {LEAST_MEMORY}")]
    Memory {
        /// What was given.
        got: usize,
    },
    /// A cluster is not there, or fails.
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Cluster(Box<ClusterError>),
    /// DataFusion says no.
    #[error("{doing}: {source}")]
    Query {
        /// What was being done.
        doing: &'static str,
        /// Its words.
        source: DataFusionError,
    },
}

impl QueryError {
    /// For `map_err`: what was being done when DataFusion failed.
    pub(crate) fn doing(doing: &'static str) -> impl Fn(DataFusionError) -> QueryError + Copy {
        move |source| match source {
            #[cfg(feature = "cluster")]
            DataFusionError::External(error) if error.is::<ClusterError>() => {
                QueryError::Cluster(error.downcast().expect("it is one"))
            }
            source => QueryError::Query { doing, source },
        }
    }
}

impl Resources {
    /// A folder for what is computed once, removed when dropped; none where others than this process would read it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn scratch(&self) -> std::io::Result<Option<tempfile::TempDir>> {
        match (&self.engine, &self.spill) {
            (Engine::Here, Some(folder)) => tempfile::tempdir_in(folder).map(Some),
            (Engine::Here, None) => tempfile::tempdir().map(Some),
            #[cfg(feature = "cluster")]
            (Engine::Ballista(_), _) => Ok(None),
        }
    }
}

/// A session within its resources.
///
/// # Errors
/// Too little memory, or no folder to spill to.
pub fn session(resources: &Resources) -> Result<SessionContext, QueryError> {
    let memory = resources.memory_bytes;
    if memory < LEAST_MEMORY {
        return Err(QueryError::Memory { got: memory });
    }
    let threads = resources.threads.or_else(|| std::thread::available_parallelism().ok().map(NonZeroUsize::get));
    // A query has a dozen sorts, each of them once a part; where memory is scarce it has fewer parts.
    let threads = threads.unwrap_or(1).min(memory / PART_MEMORY).max(1);
    let spill = match &resources.spill {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let named = NonZeroUsize::MIN.saturating_add(4);
    let runtime = spilling(spill)
        .with_memory_pool(Arc::new(TrackConsumersPool::new(FairSpillPool::new(memory), named)))
        .build_arc()
        .map_err(QueryError::doing("cannot start a query"))?;
    let parts = match &resources.engine {
        Engine::Here => threads,
        #[cfg(feature = "cluster")]
        Engine::Ballista(cluster) => cluster.parts,
    };
    let mut config = SessionConfig::new().with_target_partitions(parts).with_batch_size(batch_rows(memory, threads));
    let options = config.options_mut();
    // Joins that spill, columns of the types that logs are written in, and room to merge with little memory.
    options.optimizer.prefer_hash_join = false;
    options.execution.parquet.schema_force_view_types = false;
    // A file's least and greatest number say nothing of NaN, which is how a number is missing: a column with one number
    // and NaNs would be read as that number in every row.
    options.execution.collect_statistics = false;
    options.execution.sort_spill_reservation_bytes = (memory / (32 * threads)).min(10 << 20);
    options.execution.sort_in_place_threshold_bytes = (memory / (32 * threads)).min(1 << 20);
    match &resources.engine {
        Engine::Here => {
            let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime);
            let state = state.with_default_features().with_physical_optimizer_rules(joins::rules());
            Ok(SessionContext::new_with_state(state.build()))
        }
        #[cfg(feature = "cluster")]
        Engine::Ballista(cluster) => Ok(crate::cluster::session(config, runtime, cluster)),
    }
}

/// What queries run in that spill as far as the disk reaches.
pub(crate) fn spilling(to: DiskManagerMode) -> RuntimeEnvBuilder {
    let disk = DiskManagerBuilder::default().with_mode(to).with_max_temp_directory_size(u64::MAX);
    RuntimeEnvBuilder::new().with_disk_manager_builder(disk)
}

/// Rows of a batch: fewer where memory is scarce, as a merge holds a batch of every run.
fn batch_rows(memory: usize, threads: usize) -> usize {
    (memory / threads / 65_536).clamp(256, 8_192)
}

/// Parquet files as one table.
///
/// # Errors
/// Files that cannot be read, or that have different columns.
pub async fn parquet(
    session: &SessionContext,
    files: &[PathBuf],
    schema: Option<&SchemaRef>,
) -> Result<DataFrame, QueryError> {
    let paths: Vec<String> = files.iter().map(|file| address(file)).collect();
    let mut options = ParquetReadOptions::default().file_extension("");
    if let Some(schema) = schema {
        options = options.schema(schema);
    }
    session.read_parquet(paths, options).await.map_err(QueryError::doing("cannot read Parquet"))
}

/// A file as DataFusion means it: in a path it would take `[`, `*` and `?` for patterns.
pub(super) fn address(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Url::from_file_path(&whole).map_or_else(|()| whole.to_string_lossy().into_owned(), String::from)
}

/// A text in SQL.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A column's name in SQL.
pub(crate) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
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

#[cfg(test)]
mod tests {
    use arrow_array::types::Float32Type;
    use arrow_array::{Float32Array, RecordBatch};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[tokio::test]
    async fn a_path_is_no_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("odd [a] *?%20 \u{e9}");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("rows.parquet");
        let batch = RecordBatch::try_from_iter([("x", Arc::new(Float32Array::from(vec![2.5])) as ArrayRef)]).unwrap();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let session = session(&Resources::default()).unwrap();
        let read = parquet(&session, &[path], None).await.unwrap();
        assert_eq!(read.count().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_column_of_one_number_and_missing_ones_is_read_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let column: ArrayRef = Arc::new(Float32Array::from(vec![2.5, f32::NAN, f32::NAN]));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let session = session(&Resources::default()).unwrap();
        let read = parquet(&session, &[path], None).await.unwrap().collect().await.unwrap();
        let missing = read.iter().flat_map(|b| b.column(0).as_primitive::<Float32Type>().values().to_vec());
        assert_eq!(missing.filter(|x| x.is_nan()).count(), 2);
    }
}
