//! Reads a source in parts, at once, and merges what was gathered in the order of the rows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::gather::Gathered;
use super::gathering::{Block, Gathering};
use super::source::{Part, Source};
use super::{Slice, SliceStatistics, Statistics, StatisticsError};
use crate::data::engine::Engine;

/// How many tasks a thread does before what they gathered is merged; bounds memory, changes nothing else.
const TASKS_A_THREAD: usize = 4;

/// What to make statistics of, and where.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Columns whose values make slices.
    pub slices: Vec<String>,
    /// Features to read; all where there are none.
    pub features: Vec<String>,
    /// Where the data is read; the result is the same.
    pub engine: Engine,
}

/// What is read, and what was gathered of it so far.
pub(super) struct Scan {
    pub(super) source: Source,
    pub(super) blocks: Vec<Block>,
    /// A block each.
    gathered: Vec<Gathering>,
}

/// A part of the rows and a block of their columns, by their places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) part: Part,
    pub(super) block: usize,
}

/// Statistics of files, or of all files in folders; calls `progress` with how much is done and of how much.
///
/// A LOG folder's features are its `value.` columns, by their names without it; there NaN and empty lists are missing.
///
/// # Errors
/// Files that cannot be read or do not fit each other, columns that are not there, or a cluster that fails.
pub fn of(
    paths: &[PathBuf],
    settings: &Settings,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Statistics, StatisticsError> {
    let mut scan = Scan::open(paths, settings)?;
    match &settings.engine {
        Engine::Here => scan.run(progress)?,
        #[cfg(feature = "cluster")]
        Engine::Ballista(cluster) => super::cluster::run(&mut scan, cluster, progress)?,
    }
    Ok(scan.finish(settings))
}

impl Scan {
    fn open(paths: &[PathBuf], settings: &Settings) -> Result<Scan, StatisticsError> {
        let source = Source::open(paths)?;
        let missing_column = |column: &String, why| StatisticsError::Column {
            column: column.clone(),
            columns: paths.first().cloned().unwrap_or_default(),
            why,
        };
        for name in &settings.features {
            if !source.columns.iter().any(|c| c.feature.as_ref() == Some(name)) {
                return Err(missing_column(name, "to make statistics of"));
            }
        }
        let wanted = |name: &String| settings.features.is_empty() || settings.features.contains(name);
        let features: Vec<_> = source.columns.iter().filter(|c| c.feature.as_ref().is_some_and(wanted)).collect();
        let by: Vec<_> = (settings.slices.iter())
            .map(|name| {
                let mut flat = source.columns.iter().filter(|c| !c.list);
                flat.find(|c| c.column == *name || c.feature.as_ref() == Some(name))
                    .cloned()
                    .ok_or_else(|| missing_column(name, "to slice by; it must be flat"))
            })
            .collect::<Result<_, _>>()?;
        let blocks: Vec<Block> = (features.chunks(source.columns_at_once().min(features.len().max(1))))
            .map(|features| Block {
                features: features.iter().map(|&column| column.clone()).collect(),
                by: by.clone(),
                missing: source.missing,
            })
            .collect();
        let gathered = blocks.iter().map(Block::empty).collect();
        Ok(Scan { source, blocks, gathered })
    }

    /// What there is to do, in the order of the rows.
    pub(super) fn tasks(&self) -> Vec<Task> {
        let blocks = self.blocks.len();
        self.source.parts().into_iter().flat_map(|part| (0..blocks).map(move |block| Task { part, block })).collect()
    }

    /// Whether something was gathered for a task like this.
    #[cfg(feature = "cluster")]
    pub(super) fn fits(&self, task: Task, result: &Gathering) -> bool {
        self.blocks[task.block].fits(result)
    }

    /// Adds what a task gathered; tasks come in the order of [`Scan::tasks`].
    pub(super) fn merge(&mut self, task: Task, result: Gathering) -> Result<(), StatisticsError> {
        self.blocks[task.block].merge(&mut self.gathered[task.block], result)
    }

    fn run(&mut self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(), StatisticsError> {
        let tasks = self.tasks();
        let (done, total) = (AtomicU64::new(0), tasks.len() as u64);
        progress(0, total);
        for tasks in tasks.chunks(TASKS_A_THREAD * rayon::current_num_threads()) {
            let results: Vec<Result<Gathering, StatisticsError>> = tasks
                .par_iter()
                .map(|task| {
                    let result = self.gather(*task);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
                    result
                })
                .collect();
            for (task, result) in tasks.iter().zip(results) {
                self.merge(*task, result?)?;
            }
        }
        Ok(())
    }

    fn gather(&self, task: Task) -> Result<Gathering, StatisticsError> {
        let block = &self.blocks[task.block];
        let mut gathering = block.empty();
        self.source.read(task.part, &block.columns(), &mut |batch| block.add(&mut gathering, batch))?;
        Ok(gathering)
    }

    fn finish(&self, settings: &Settings) -> Statistics {
        let features = |of: &dyn Fn(&Gathering) -> Vec<Gathered>| {
            let (mut rows, mut features) = (0, Vec::new());
            for (block, gathered) in self.blocks.iter().zip(&self.gathered) {
                for (column, gathered) in block.features.iter().zip(of(gathered)) {
                    rows = gathered.rows();
                    let name = column.feature.as_deref().unwrap_or_default();
                    features.push(gathered.finish(name, block.missing));
                }
            }
            (rows, features)
        };
        let (rows, all) = features(&|gathered| gathered.whole.clone());
        let mut slices = vec![SliceStatistics { slice: None, rows, features: all }];
        for (i, column) in settings.slices.iter().enumerate() {
            for value in self.gathered.first().into_iter().flat_map(|gathered| gathered.slices[i].keys()) {
                let (rows, features) = features(&|gathered| gathered.slices[i].get(value).cloned().unwrap_or_default());
                let slice = Some(Slice { column: column.clone(), value: value.clone() });
                slices.push(SliceStatistics { slice, rows, features });
            }
        }
        Statistics { slices, unread: self.source.unread.clone() }
    }
}
