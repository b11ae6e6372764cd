//! Gathers columns over a part of the rows, in the whole and in slices.
//!
//! What was gathered is plain data: it is merged in the order of the parts, wherever they were read.

use std::collections::BTreeMap;

use arrow_array::{ArrayRef, UInt32Array};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::gather::Gathered;
use super::slices::{MAX_VALUES, rows_by_value};
use super::source::{Batch, Column};
use super::{MissingMeans, Precision, StatisticsError};

/// Columns that are read together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Block {
    /// Those to make statistics of.
    pub(super) features: Vec<Column>,
    /// Those to slice by.
    pub(super) by: Vec<Column>,
    /// What is missing beside null.
    pub(super) missing: MissingMeans,
}

/// What a part of the rows says of a block's features.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Gathering {
    /// A feature each.
    pub(super) whole: Vec<Gathered>,
    /// For each column to slice by, by value.
    pub(super) slices: Vec<BTreeMap<String, Vec<Gathered>>>,
}

impl Block {
    /// All columns: the features, then those to slice by.
    pub(super) fn columns(&self) -> Vec<&Column> {
        self.features.iter().chain(&self.by).collect()
    }

    /// Nothing gathered.
    pub(super) fn empty(&self) -> Gathering {
        Gathering { whole: self.of_none(Precision::WHOLE), slices: vec![BTreeMap::new(); self.by.len()] }
    }

    /// Adds rows, whose columns are [`Block::columns`].
    pub(super) fn add(&self, to: &mut Gathering, (rows, columns): &Batch) {
        let (features, slices) = columns.split_at(self.features.len());
        add_all(&mut to.whole, features, None, *rows, self.missing);
        for ((array, column), gathered) in slices.iter().zip(&self.by).zip(&mut to.slices) {
            let Some(array) = array else { continue };
            for (value, rows) in rows_by_value(array, column.of) {
                if gathered.len() > MAX_VALUES {
                    break;
                }
                let slice = gathered.entry(value).or_insert_with(|| self.of_none(Precision::SLICE));
                add_all(slice, features, Some(&rows), rows.len(), self.missing);
            }
        }
    }

    /// Whether something was gathered of these columns.
    #[cfg(feature = "cluster")]
    pub(super) fn fits(&self, gathering: &Gathering) -> bool {
        let slices = || gathering.slices.iter().flat_map(BTreeMap::values);
        gathering.slices.len() == self.by.len()
            && slices().chain([&gathering.whole]).all(|features| features.len() == self.features.len())
    }

    /// Adds what the next part of the rows says.
    pub(super) fn merge(&self, to: &mut Gathering, other: Gathering) -> Result<(), StatisticsError> {
        to.whole.par_iter_mut().zip(&other.whole).for_each(|(mine, theirs)| mine.merge(theirs));
        for ((mine, theirs), column) in to.slices.iter_mut().zip(other.slices).zip(&self.by) {
            for (value, theirs) in theirs {
                let slice = mine.entry(value).or_insert_with(|| self.of_none(Precision::SLICE));
                slice.par_iter_mut().zip(&theirs).for_each(|(mine, theirs)| mine.merge(theirs));
            }
            if mine.len() > MAX_VALUES {
                let column = column.column.clone();
                return Err(StatisticsError::TooManySlices { column, limit: MAX_VALUES });
            }
        }
        Ok(())
    }

    fn of_none(&self, precision: Precision) -> Vec<Gathered> {
        self.features.iter().map(|column| Gathered::new(column.of, column.list, precision)).collect()
    }
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
