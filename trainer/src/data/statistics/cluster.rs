//! Statistics whose parts a cluster's workers gather, each where it runs, with the code that this process would use.
//!
//! A table has a row for each task, on as many partitions as there are tasks for workers to share; a function of SQL
//! reads what a row names and gives what it gathered as bytes, in pieces that a message can carry.
//! They are merged here in the order of the rows, so that the result has the same bits as without a cluster.
//! What a worker answered stays with it until it is fetched: where one dies before that, what is missing is asked again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{LargeBinaryBuilder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use futures::StreamExt;
use shared_features::codec;

use super::StatisticsError;
use super::gathering::{Block, Gathering};
use super::scan::{Scan, Task};
use super::source::Elsewhere;
use crate::cluster::ClusterError;
use crate::data::engine::{Cluster, Engine};
use crate::data::query::{self, QueryError, Resources};

/// The function's name.
const FUNCTION: &str = "hearth_statistics";
/// What it says where the two sides do not understand each other.
const SAME_VERSION: &str = "run the same version of trainer on every machine";
/// Bytes of a piece.
const PIECE: usize = 1 << 20;
/// Partitions of tasks at most, each of which is work to hand out.
const PARTITIONS: usize = 1024;
/// How often tasks are asked for, where workers die that have answers.
const TRIES: usize = 4;

/// `hearth_statistics(request) -> list<piece>`: what a worker gathers for a task, as bytes.
pub fn function() -> ScalarUDF {
    let pieces = DataType::List(Arc::new(Field::new_list_field(DataType::LargeBinary, true)));
    create_udf(
        FUNCTION,
        vec![DataType::Binary],
        pieces,
        // It reads files: only a worker may ask for its value.
        Volatility::Volatile,
        Arc::new(|arguments| {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let requests = arrays.first().and_then(|a| a.as_binary_opt::<i32>());
            let requests = requests.ok_or_else(|| DataFusionError::Execution(format!("{FUNCTION}() takes bytes")))?;
            let mut lists = ListBuilder::new(LargeBinaryBuilder::new());
            for request in requests.iter().flatten() {
                answer(request)?.chunks(PIECE).for_each(|piece| lists.values().append_value(piece));
                lists.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
        }),
    )
}

/// What a task asks a worker for.
fn request(scan: &Scan, task: Task) -> std::io::Result<Vec<u8>> {
    Ok(codec::encode(&(scan.source.elsewhere(task.part)?, &scan.blocks[task.block])))
}

/// What a worker answers.
fn answer(request: &[u8]) -> Result<Vec<u8>, DataFusionError> {
    let (part, block): (Elsewhere, Block) = codec::decode(request, "a request for statistics")
        .map_err(|e| DataFusionError::Execution(format!("{e}; {SAME_VERSION}")))?;
    let mut gathering = block.empty();
    part.read(&block.columns(), &mut |batch| block.add(&mut gathering, batch))
        .map_err(|e| DataFusionError::Execution(e.to_string()))?;
    Ok(codec::encode(&gathering))
}

/// Gathers all of a scan on a cluster.
pub(super) fn run(
    scan: &mut Scan,
    cluster: &Cluster,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), StatisticsError> {
    let doing = QueryError::doing("cannot start a query");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(DataFusionError::IoError).map_err(doing)?.block_on(gather(scan, cluster, progress))
}

/// Asks for what is missing until nothing is, or until workers die time after time.
async fn gather(
    scan: &mut Scan,
    cluster: &Cluster,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), StatisticsError> {
    let mut answers = Answers::new(scan.tasks(), progress);
    for tries_left in (0..TRIES).rev() {
        let missing = answers.missing();
        if missing.is_empty() {
            break;
        }
        match ask(scan, cluster, &missing, &mut answers).await {
            Err(StatisticsError::Query(QueryError::Cluster(error)))
                if tries_left > 0 && matches!(*error, ClusterError::Lost { .. }) =>
            {
                tracing::warn!("{error}; what is missing is asked for again");
            }
            asked => asked?,
        }
    }
    match answers.missing().is_empty() {
        true => Ok(()),
        false => Err(doing(DataFusionError::Execution("the cluster left tasks out".into())).into()),
    }
}

/// Asks for tasks and takes the answers that come whole.
async fn ask(
    scan: &mut Scan,
    cluster: &Cluster,
    tasks: &[u32],
    answers: &mut Answers<'_>,
) -> Result<(), StatisticsError> {
    let table = table(scan, &answers.tasks, tasks).map_err(doing)?;
    let session = query::session(&Resources { engine: Engine::Ballista(cluster.clone()), ..Resources::default() })?;
    session.register_table("tasks", Arc::new(table)).map_err(doing)?;
    let pieces = session.sql(&format!("SELECT task, unnest({FUNCTION}(request)) AS piece FROM tasks")).await;
    let mut pieces = pieces.map_err(doing)?.execute_stream().await.map_err(doing)?;
    let mut current: Option<(u32, Vec<u8>)> = None;
    while let Some(batch) = pieces.next().await {
        let batch = batch.map_err(doing)?;
        let columns = (batch.column(0).as_primitive_opt::<UInt32Type>(), batch.column(1).as_binary_opt::<i64>());
        let (Some(of), Some(pieces)) = columns else { return Err(doing(other_types()).into()) };
        for (task, piece) in of.values().iter().zip(pieces).filter_map(|(task, piece)| Some((*task, piece?))) {
            match &mut current {
                Some((of, bytes)) if *of == task => bytes.extend_from_slice(piece),
                _ => answers.add(scan, current.replace((task, piece.to_vec())))?,
            }
        }
    }
    answers.add(scan, current)
}

fn doing(error: DataFusionError) -> QueryError {
    QueryError::doing("cannot gather statistics")(error)
}

/// A row a task, in partitions that workers can share.
fn table(scan: &Scan, all: &[Task], tasks: &[u32]) -> Result<MemTable, DataFusionError> {
    let mut partitions = Vec::new();
    for tasks in tasks.chunks(tasks.len().div_ceil(PARTITIONS)) {
        let requests = tasks.iter().map(|&task| request(scan, all[task as usize])).collect::<Result<Vec<_>, _>>()?;
        let requests: BinaryArray = requests.iter().map(|bytes| Some(bytes.as_slice())).collect();
        partitions.push(vec![RecordBatch::try_from_iter_with_nullable([
            ("task", Arc::new(UInt32Array::from(tasks.to_vec())) as ArrayRef, false),
            ("request", Arc::new(requests) as ArrayRef, false),
        ])?]);
    }
    MemTable::try_new(partitions[0][0].schema(), partitions)
}

/// Merges answers in the order of their tasks; those that come early wait.
struct Answers<'a> {
    tasks: Vec<Task>,
    next: u32,
    waiting: BTreeMap<u32, Vec<u8>>,
    progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl<'a> Answers<'a> {
    fn new(tasks: Vec<Task>, progress: &'a (dyn Fn(u64, u64) + Sync)) -> Answers<'a> {
        progress(0, tasks.len() as u64);
        Answers { tasks, next: 0, waiting: BTreeMap::new(), progress }
    }

    /// Tasks without an answer, by their places.
    fn missing(&self) -> Vec<u32> {
        (self.next..self.tasks.len() as u32).filter(|task| !self.waiting.contains_key(task)).collect()
    }

    fn add(&mut self, scan: &mut Scan, answer: Option<(u32, Vec<u8>)>) -> Result<(), StatisticsError> {
        self.waiting.extend(answer);
        while let Some(bytes) = self.waiting.remove(&self.next) {
            let gathering: Gathering = codec::decode(&bytes, "statistics of a worker")
                .map_err(|e| doing(DataFusionError::Execution(format!("{e}; {SAME_VERSION}"))))?;
            let task = self.tasks.get(self.next as usize).ok_or_else(|| doing(other_types()))?;
            scan.merge(*task, gathering)?;
            self.next += 1;
            (self.progress)(u64::from(self.next), self.tasks.len() as u64);
        }
        Ok(())
    }
}

fn other_types() -> DataFusionError {
    DataFusionError::Execution(format!("the cluster answers something else than it was asked; {SAME_VERSION}"))
}
