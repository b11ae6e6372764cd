//! Statistics whose parts a cluster's workers gather, each where it runs, with the code that this process would use.
//!
//! A table has a row for each task, on as many partitions as there are tasks for workers to share; a function of SQL
//! reads what a row names and gives what it gathered as bytes, in pieces that a message can carry.
//! They are merged here in the order of the rows, so that the result has the same bits as without a cluster.
//! Tasks are asked for in rounds, so that what waits to be merged does not grow with the rows.
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
use serde_bytes::{ByteBuf, Bytes};
use shared_features::codec::{self, CodecError};

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
/// Tasks of a round for each of the parts that a cluster works on.
const TASKS_A_PART: usize = 16;
/// Partitions of tasks at most, each of which is work to hand out.
const PARTITIONS: usize = 1024;

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
                in_pieces(&answer(request)?).for_each(|piece| lists.values().append_value(piece));
                lists.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
        }),
    )
}

/// Who asks: workers of another version may read, or gather, otherwise.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a task asks a worker for: the version of who asks, and the question in its words.
fn request(scan: &Scan, task: Task) -> std::io::Result<Vec<u8>> {
    let question = codec::encode(&(scan.source.elsewhere(task.part)?, &scan.blocks[task.block]));
    Ok(codec::encode(&(VERSION, question)))
}

/// What a worker answers.
fn answer(request: &[u8]) -> Result<Vec<u8>, DataFusionError> {
    let (version, question): (String, Vec<u8>) =
        codec::decode(request, "a request for statistics").map_err(not_understood)?;
    if version != VERSION {
        let reason = format!("trainer {version} asks a worker of trainer {VERSION}; {SAME_VERSION}");
        return Err(DataFusionError::Execution(reason));
    }
    let (part, block): (Elsewhere, Block) =
        codec::decode(&question, "a request for statistics").map_err(not_understood)?;
    let mut gathering = block.empty();
    part.read(&block.columns(), &mut |batch| block.add(&mut gathering, batch))
        .map_err(|e| DataFusionError::Execution(e.to_string()))?;
    Ok(codec::encode(&gathering))
}

/// An answer in pieces: each says which it is, and of how many.
fn in_pieces(answer: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let all = answer.len().div_ceil(PIECE) as u32;
    (0..)
        .zip(answer.chunks(PIECE))
        .map(move |(number, piece): (u32, _)| codec::encode(&(number, all, Bytes::new(piece))))
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

/// Asks for all tasks, a round at a time; where workers die that have answers, for what is missing, until two rounds in a
/// row bring none.
async fn gather(
    scan: &mut Scan,
    cluster: &Cluster,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(), StatisticsError> {
    let mut answers = Answers::new(scan.tasks(), progress);
    let mut in_vain = false;
    loop {
        let missing = answers.missing(TASKS_A_PART * cluster.parts);
        if missing.is_empty() {
            return Ok(());
        }
        let asked = ask(scan, cluster, &missing, &mut answers).await;
        let nothing_came = answers.missing(missing.len()) == missing;
        match asked {
            Err(StatisticsError::Query(QueryError::Cluster(error)))
                if matches!(*error, ClusterError::Lost { .. }) && !(nothing_came && in_vain) =>
            {
                tracing::warn!("{error}; what is missing is asked for again");
            }
            Ok(()) if nothing_came => {
                return Err(doing(DataFusionError::Execution("the cluster left tasks out".into())).into());
            }
            asked => asked?,
        }
        in_vain = nothing_came;
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
    let rows = session.sql(&format!("SELECT task, unnest({FUNCTION}(request)) AS piece FROM tasks")).await;
    let mut rows = rows.map_err(doing)?.execute_stream().await.map_err(doing)?;
    let mut begun: BTreeMap<u32, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(doing)?;
        let columns = (batch.column(0).as_primitive_opt::<UInt32Type>(), batch.column(1).as_binary_opt::<i64>());
        let (Some(of), Some(pieces)) = columns else { return Err(doing(other_types()).into()) };
        for (&task, piece) in of.values().iter().zip(pieces).filter_map(|(task, piece)| Some((task, piece?))) {
            let piece = codec::decode(piece, "a piece of a worker's statistics");
            let (number, all, piece): (u32, u32, ByteBuf) = piece.map_err(|e| doing(not_understood(e)))?;
            let pieces = begun.entry(task).or_default();
            pieces.insert(number, piece.into_vec());
            if pieces.len() == all as usize {
                let whole = begun.remove(&task).into_iter().flat_map(BTreeMap::into_values).flatten();
                answers.add(scan, task, whole.collect())?;
            }
        }
    }
    Ok(())
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

    /// The first tasks without an answer, by their places.
    fn missing(&self, at_most: usize) -> Vec<u32> {
        let all = self.next..self.tasks.len() as u32;
        all.filter(|task| !self.waiting.contains_key(task)).take(at_most).collect()
    }

    fn add(&mut self, scan: &mut Scan, task: u32, answer: Vec<u8>) -> Result<(), StatisticsError> {
        self.waiting.insert(task, answer);
        while let Some(bytes) = self.waiting.remove(&self.next) {
            let gathering: Gathering =
                codec::decode(&bytes, "statistics of a worker").map_err(|e| doing(not_understood(e)))?;
            let task = *self.tasks.get(self.next as usize).ok_or_else(|| doing(other_types()))?;
            if !scan.fits(task, &gathering) {
                return Err(doing(other_types()).into());
            }
            scan.merge(task, gathering)?;
            self.next += 1;
            (self.progress)(u64::from(self.next), self.tasks.len() as u64);
        }
        Ok(())
    }
}

fn not_understood(error: CodecError) -> DataFusionError {
    DataFusionError::Execution(format!("{error}; {SAME_VERSION}"))
}

fn other_types() -> DataFusionError {
    DataFusionError::Execution(format!("the cluster answers something else than it was asked; {SAME_VERSION}"))
}
