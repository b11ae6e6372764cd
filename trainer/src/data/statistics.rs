//! Statistics of data sets: what each feature looks like, in the whole and in slices.
//!
//! [`of`] reads CSV and Parquet in a stream, a part of a file at a time and parts at once, and merges what it gathered
//! in the order of the data, so that the result depends on neither the number of threads nor their luck.
//! Memory is bounded by [`Precision`], not by the data.
//! A cluster gathers with the same code and is merged in the same order, so that the result is the same there, too.
//! Where [`Ranks`] and frequencies are not exact they say how wrong they may be.
//!
//! Counts are those of TensorFlow Data Validation 1.16, and numbers in CSV are read as it reads them.

#[cfg(feature = "cluster")]
pub mod cluster;
mod columns;
mod counts;
mod csv_file;
mod distinct;
mod gather;
mod gathering;
mod numbers;
mod parquet_file;
mod ranks;
mod saved;
mod scan;
mod sketch;
mod slices;
mod source;
mod strings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::collected::CollectedError;
use super::query::QueryError;

pub use counts::Limit;
pub use numbers::NumberStatistics;
pub use ranks::{Bucket, Ranks};
pub use saved::SavedError;
pub use scan::{Settings, of};
pub use strings::{KEPT_VALUES, StringStatistics};

/// Statistics of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// All rows, then each slice, by column in the order asked for and then by value.
    pub slices: Vec<SliceStatistics>,
    /// Columns of which no statistics can be made, with their types.
    pub unread: Vec<(String, String)>,
}

/// Statistics of the rows of a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceStatistics {
    /// Which rows; `None` for all.
    pub slice: Option<Slice>,
    /// How many.
    pub rows: u64,
    /// A feature a column, in the order of the columns.
    pub features: Vec<FeatureStatistics>,
}

/// The rows that have a value in a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The column.
    pub column: String,
    /// The value, as text.
    pub value: String,
}

/// What a feature's values are, as TFDV has it: dates and booleans are integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Whole numbers.
    Int,
    /// Numbers.
    Float,
    /// Strings.
    Bytes,
}

/// Statistics of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureStatistics {
    /// Its name.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub of: Type,
    /// How many rows have a value or a list.
    pub present: u64,
    /// How many rows have none.
    pub missing: u64,
    /// How many values the rows have.
    pub valency: Valency,
    /// How many different values there are; NaN and infinities are not counted, and integers beyond 2^53 are taken for
    /// the nearest double, as in all of these statistics.
    pub distinct: u64,
    /// Whether that is exact, or has a standard error of 0.81 %.
    pub distinct_is_exact: bool,
    /// The values.
    pub content: Content,
}

/// How many values the rows have that are present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Valency {
    /// Whether the column holds lists.
    pub list: bool,
    /// The fewest of a row; 0 where no row is present.
    pub min: u64,
    /// The most of a row.
    pub max: u64,
    /// Of all rows.
    pub total: u64,
    /// Buckets of about equal numbers of rows, by how many values they have; empty where the column holds no lists.
    pub deciles: Vec<Bucket>,
}

/// Statistics of values by what they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Of numbers.
    Numbers(NumberStatistics),
    /// Of strings.
    Strings(StringStatistics),
}

/// Which values of a file mean that there is none, beside null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct MissingMeans {
    nan: bool,
    empty_list: bool,
}

/// How much is kept of each feature.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Precision {
    /// Numbers a level of the sketch.
    pub sketch: usize,
    /// Different numbers that are counted exactly.
    pub counted_numbers: usize,
    /// Strings that are counted exactly.
    pub counted_strings: Limit,
    /// Points of [`Ranks`].
    pub points: usize,
}

impl Precision {
    /// For all rows: ranks within about 0.4 % at ten million rows, at most about 10 MB a feature and part
    /// that is read at once.
    pub const WHOLE: Precision = Precision {
        sketch: 4096,
        counted_numbers: 8192,
        counted_strings: Limit { values: 1 << 16, bytes: 1 << 22 },
        points: 1000,
    };
    /// For slices, of which there can be hundreds: ranks within about 1.5 %, at most about 1 MB a feature.
    pub const SLICE: Precision = Precision {
        sketch: 1024,
        counted_numbers: 1024,
        counted_strings: Limit { values: 4096, bytes: 1 << 20 },
        points: 250,
    };
}

/// Why statistics cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// A file or folder cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// CSV that is none.
    #[error("{path}: {source}")]
    Csv {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// Parquet that is none.
    #[error("{path}: {source}")]
    Parquet {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A collected store.
    #[error(transparent)]
    Collected(#[from] CollectedError),
    /// A cluster.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// There is nothing to read.
    #[error("{path} has no .csv or .parquet files")]
    Empty {
        /// Where.
        path: PathBuf,
    },
    /// CSV and Parquet together.
    #[error("{csv} is CSV and {parquet} is Parquet; read them one after the other")]
    Mixed {
        /// A CSV file.
        csv: PathBuf,
        /// A Parquet file.
        parquet: PathBuf,
    },
    /// A header that names a column twice.
    #[error("{path} has two columns `{column}`; name each once")]
    TwoColumns {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: String,
    },
    /// A column is different things in different files.
    #[error("column `{column}` of {path} is {got}, but {expected} in the files before it")]
    Differs {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: String,
        /// What the files before it have.
        expected: String,
        /// What it has.
        got: String,
    },
    /// A column to slice by, or to read, that is not there or is none to slice by.
    #[error("{columns} has no column `{column}` {why}")]
    Column {
        /// Which column.
        column: String,
        /// Where it was looked for.
        columns: PathBuf,
        /// For what.
        why: &'static str,
    },
    /// A column to slice by has too many values.
    #[error("column `{column}` has more than {limit} values; slice by a coarser one")]
    TooManySlices {
        /// Which column.
        column: String,
        /// How many there may be.
        limit: usize,
    },
}

impl Statistics {
    /// Of all rows.
    pub fn whole(&self) -> Option<&SliceStatistics> {
        self.slices.iter().find(|s| s.slice.is_none())
    }

    /// Of a slice, or of all rows.
    pub fn slice(&self, slice: Option<&Slice>) -> Option<&SliceStatistics> {
        self.slices.iter().find(|s| s.slice.as_ref() == slice)
    }
}

impl SliceStatistics {
    /// Of a feature, by name.
    pub fn feature(&self, name: &str) -> Option<&FeatureStatistics> {
        self.features.iter().find(|f| f.name == name)
    }
}

impl FeatureStatistics {
    /// Of its numbers, where they are numbers.
    pub fn numbers(&self) -> Option<&NumberStatistics> {
        match &self.content {
            Content::Numbers(numbers) => Some(numbers),
            Content::Strings(_) => None,
        }
    }

    /// Of its strings, where they are strings.
    pub fn strings(&self) -> Option<&StringStatistics> {
        match &self.content {
            Content::Strings(strings) => Some(strings),
            Content::Numbers(_) => None,
        }
    }

    /// Which share of the rows has none; 0 of no rows.
    pub fn missing_share(&self) -> f64 {
        self.missing as f64 / (self.present + self.missing).max(1) as f64
    }
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}={}", self.column, self.value)
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Type::Int => "int",
            Type::Float => "float",
            Type::Bytes => "bytes",
        })
    }
}
