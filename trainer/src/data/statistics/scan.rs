//! Reads a source in parts, at once, and merges what was gathered in the order of the rows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, UInt32Array};
use rayon::prelude::*;

use super::gather::Gathered;
use super::slices::{MAX_VALUES, rows_by_value};
use super::source::{Batch, Column, Part, Source};
use super::{MissingMeans, Precision, Slice, SliceStatistics, Statistics, StatisticsError};

/// How many tasks a thread does before what they gathered is merged; bounds memory, changes nothing else.
const TASKS_A_THREAD: usize = 4;

/// What to make statistics of.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Columns whose values make slices.
    pub slices: Vec<String>,
    /// Features to read; all where there are none.
    pub features: Vec<String>,
}

/// What a part of the rows says of some columns.
struct Gathering<'a> {
    source: &'a Source,
    /// Columns of the source.
    columns: &'a [usize],
    whole: Vec<Gathered>,
    /// For each column to slice by, by value.
    slices: Vec<BTreeMap<String, Vec<Gathered>>>,
}

/// Statistics of files, or of all files in folders; calls `progress` with how much is done and of how much.
///
/// A LOG folder's features are its `value.` columns, by their names without it; there NaN and empty lists are missing.
///
/// # Errors
/// Files that cannot be read or do not fit each other, or columns that are not there.
pub fn of(
    paths: &[PathBuf],
    settings: &Settings,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Statistics, StatisticsError> {
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
    let features: Vec<usize> = (0..source.columns.len())
        .filter(|&c| source.columns[c].feature.as_ref().is_some_and(|f| wanted(f, &settings.features)))
        .collect();
    let by: Vec<usize> = settings
        .slices
        .iter()
        .map(|name| {
            let named = |c: &Column| !c.list && (c.column == *name || c.feature.as_ref() == Some(name));
            source.columns.iter().position(named).ok_or_else(|| missing_column(name, "to slice by; it must be flat"))
        })
        .collect::<Result<_, _>>()?;

    let parts = source.parts();
    let blocks: Vec<&[usize]> = features.chunks(source.columns_at_once().min(features.len().max(1))).collect();
    let total = (parts.len() * blocks.len()) as u64;
    let done = AtomicU64::new(0);
    progress(0, total);
    let mut gathered: Vec<Gathering> = blocks.iter().map(|block| Gathering::new(&source, block, by.len())).collect();
    let at_once = (TASKS_A_THREAD * rayon::current_num_threads()).div_ceil(blocks.len().max(1));
    for parts in parts.chunks(at_once) {
        let tasks: Vec<(Part, usize)> =
            parts.iter().flat_map(|&part| (0..blocks.len()).map(move |block| (part, block))).collect();
        let results: Vec<Result<Gathering, StatisticsError>> = tasks
            .par_iter()
            .map(|&(part, block)| {
                let result = gather(&source, part, blocks[block], &by);
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
                result
            })
            .collect();
        for (result, (_, block)) in results.into_iter().zip(tasks) {
            gathered[block].merge(result?, settings)?;
        }
    }
    Ok(finish(&source, &gathered, settings))
}

fn wanted(feature: &str, features: &[String]) -> bool {
    features.is_empty() || features.iter().any(|name| name == feature)
}

fn gather<'a>(
    source: &'a Source,
    part: Part,
    columns: &'a [usize],
    by: &[usize],
) -> Result<Gathering<'a>, StatisticsError> {
    let mut gathering = Gathering::new(source, columns, by.len());
    let all: Vec<usize> = columns.iter().chain(by).copied().collect();
    source.read(part, &all, &mut |batch| gathering.add(batch, by))?;
    Ok(gathering)
}

impl<'a> Gathering<'a> {
    fn new(source: &'a Source, columns: &'a [usize], slice_columns: usize) -> Gathering<'a> {
        Gathering {
            source,
            columns,
            whole: empty(source, columns, Precision::WHOLE),
            slices: vec![BTreeMap::new(); slice_columns],
        }
    }

    fn add(&mut self, (rows, columns): &Batch, by: &[usize]) {
        let (features, slices) = columns.split_at(self.columns.len());
        let missing = self.source.missing;
        add_all(&mut self.whole, features, None, *rows, missing);
        for ((array, &column), gathered) in slices.iter().zip(by).zip(&mut self.slices) {
            let Some(array) = array else { continue };
            for (value, rows) in rows_by_value(array, self.source.columns[column].of) {
                if gathered.len() > MAX_VALUES {
                    break;
                }
                let slice = gathered.entry(value).or_insert_with(|| empty(self.source, self.columns, Precision::SLICE));
                add_all(slice, features, Some(&rows), rows.len(), missing);
            }
        }
    }

    fn merge(&mut self, other: Gathering, settings: &Settings) -> Result<(), StatisticsError> {
        self.whole.par_iter_mut().zip(&other.whole).for_each(|(mine, theirs)| mine.merge(theirs));
        for ((mine, theirs), column) in self.slices.iter_mut().zip(other.slices).zip(&settings.slices) {
            for (value, theirs) in theirs {
                let slice = mine.entry(value).or_insert_with(|| empty(self.source, self.columns, Precision::SLICE));
                slice.par_iter_mut().zip(&theirs).for_each(|(mine, theirs)| mine.merge(theirs));
            }
            if mine.len() > MAX_VALUES {
                return Err(StatisticsError::TooManySlices { column: column.clone(), limit: MAX_VALUES });
            }
        }
        Ok(())
    }
}

fn empty(source: &Source, columns: &[usize], precision: Precision) -> Vec<Gathered> {
    columns.iter().map(|&c| Gathered::new(source.columns[c].of, source.columns[c].list, precision)).collect()
}

/// Adds a batch, or the given rows of it, to each column's statistics.
fn add_all(
    gathered: &mut [Gathered],
    columns: &[Option<ArrayRef>],
    only: Option<&UInt32Array>,
    rows: usize,
    missing: MissingMeans,
) {
    gathered.par_iter_mut().zip(columns).for_each(|(gathered, column)| match (column, only) {
        (None, _) => gathered.add_missing(rows),
        (Some(column), None) => gathered.add(column, missing),
        (Some(column), Some(only)) => {
            let column = arrow_select::take::take(column, only, None).expect("the rows are of this batch");
            gathered.add(&column, missing);
        }
    });
}

fn finish(source: &Source, gathered: &[Gathering], settings: &Settings) -> Statistics {
    let features = |of: &dyn Fn(&Gathering) -> Vec<Gathered>| {
        let (mut rows, mut features) = (0, Vec::new());
        for block in gathered {
            for (&column, gathered) in block.columns.iter().zip(of(block)) {
                rows = gathered.rows();
                let name = source.columns[column].feature.as_deref().unwrap_or_default();
                features.push(gathered.finish(name, source.missing));
            }
        }
        (rows, features)
    };
    let (rows, all) = features(&|block| block.whole.clone());
    let mut slices = vec![SliceStatistics { slice: None, rows, features: all }];
    for (i, column) in settings.slices.iter().enumerate() {
        for value in gathered.first().into_iter().flat_map(|block| block.slices[i].keys()) {
            let (rows, features) = features(&|block| block.slices[i].get(value).cloned().unwrap_or_default());
            let slice = Some(Slice { column: column.clone(), value: value.clone() });
            slices.push(SliceStatistics { slice, rows, features });
        }
    }
    Statistics { slices, unread: source.unread.clone() }
}
