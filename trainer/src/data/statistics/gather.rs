//! Gathers the statistics of one feature over the batches of a part of the data.

use arrow_array::Array;
use serde::{Deserialize, Serialize};

use super::columns::{each_string, list_parts, push_numbers};
use super::numbers::Numbers;
use super::ranks::Ranks;
use super::sketch::Sketch;
use super::strings::Strings;
use super::{Content, FeatureStatistics, MissingMeans, Precision, Type, Valency};

/// Gathers [`FeatureStatistics`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Gathered {
    precision: Precision,
    of: Type,
    list: bool,
    rows: u64,
    present: u64,
    values: u64,
    min_values: u64,
    max_values: u64,
    /// How many values the present rows have, where they are lists.
    lengths: Sketch,
    numbers: Numbers,
    strings: Strings,
    /// Saves an allocation a batch.
    #[serde(skip)]
    scratch: Vec<f64>,
}

impl Gathered {
    pub(super) fn new(of: Type, list: bool, precision: Precision) -> Gathered {
        Gathered {
            precision,
            of,
            list,
            rows: 0,
            present: 0,
            values: 0,
            min_values: u64::MAX,
            max_values: 0,
            lengths: Sketch::new(precision.sketch),
            numbers: Numbers::new(precision),
            strings: Strings::new(precision),
            scratch: Vec::new(),
        }
    }

    /// Adds rows that have no such column.
    pub(super) fn add_missing(&mut self, rows: usize) {
        self.rows += rows as u64;
    }

    /// Adds a column of this feature's type.
    pub(super) fn add(&mut self, array: &dyn Array, missing: MissingMeans) {
        self.rows += array.len() as u64;
        match list_parts(array) {
            Some((values, offsets, nulls)) => {
                let present = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                self.add_lists(&*values, &offsets, &present, missing);
            }
            None => {
                let (nan, count) = (self.numbers.nan(), array.len() - array.logical_null_count());
                self.add_values(array);
                // Such rows are missing, not rows with a value that is not a number.
                let missing = if missing.nan { self.numbers.nan() - nan } else { 0 };
                let count = count as u64 - missing;
                self.present += count;
                self.values += count;
                if count > 0 {
                    (self.min_values, self.max_values) = (1, 1);
                }
            }
        }
    }

    /// How many rows were added.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds what was gathered of other rows.
    pub(super) fn merge(&mut self, other: &Gathered) {
        self.rows += other.rows;
        self.present += other.present;
        self.values += other.values;
        self.min_values = self.min_values.min(other.min_values);
        self.max_values = self.max_values.max(other.max_values);
        self.lengths.merge(&other.lengths);
        self.numbers.merge(&other.numbers);
        self.strings.merge(&other.strings);
    }

    pub(super) fn finish(&self, name: &str, missing: MissingMeans) -> FeatureStatistics {
        let (distinct, distinct_is_exact) = match self.of {
            Type::Bytes => self.strings.distinct(),
            _ => self.numbers.distinct(),
        };
        FeatureStatistics {
            name: name.to_owned(),
            of: self.of,
            present: self.present,
            missing: self.rows - self.present,
            valency: Valency {
                list: self.list,
                min: if self.present > 0 { self.min_values } else { 0 },
                max: self.max_values,
                total: self.values,
                deciles: match self.list {
                    true => Ranks::of_sketch(&self.lengths, self.precision.points).equal_count(10),
                    false => Vec::new(),
                },
            },
            distinct,
            distinct_is_exact,
            content: match self.of {
                Type::Bytes => Content::Strings(self.strings.finish()),
                _ => Content::Numbers(self.numbers.finish(missing.nan && !self.list)),
            },
        }
    }

    fn add_lists(
        &mut self,
        values: &dyn Array,
        offsets: &[usize],
        present: &dyn Fn(usize) -> bool,
        missing: MissingMeans,
    ) {
        let mut lengths = Vec::with_capacity(offsets.len());
        // The rows that are present, as few runs of values as possible.
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (row, ends) in offsets.windows(2).enumerate() {
            let (start, end) = (ends[0], ends[1]);
            let absent = !present(row)
                || missing.empty_list && start == end
                || missing.nan
                    && self.of == Type::Float
                    && start < end
                    && all_nan(&values.slice(start, end - start), &mut self.scratch);
            if absent {
                continue;
            }
            lengths.push((end - start) as f64);
            match runs.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => runs.push((start, end)),
            }
        }
        self.present += lengths.len() as u64;
        for &length in &lengths {
            self.values += length as u64;
            self.min_values = self.min_values.min(length as u64);
            self.max_values = self.max_values.max(length as u64);
        }
        self.lengths.extend(&lengths);
        for (start, end) in runs {
            self.add_values(&values.slice(start, end - start));
        }
    }

    fn add_values(&mut self, array: &dyn Array) {
        match self.of {
            Type::Bytes => each_string(array, &mut |value, times, valid| self.strings.add(value, times, valid)),
            _ => {
                self.scratch.clear();
                push_numbers(array, &mut self.scratch);
                self.numbers.add(&mut self.scratch);
            }
        }
    }
}

fn all_nan(array: &dyn Array, scratch: &mut Vec<f64>) -> bool {
    scratch.clear();
    push_numbers(array, scratch);
    scratch.iter().all(|x| x.is_nan())
}
