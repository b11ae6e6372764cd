//! Statistics of strings, gathered a value at a time and merged.

use serde::{Deserialize, Serialize};

use super::Precision;
use super::counts::Counts;

/// How many values are kept with their frequencies, the most frequent first, as TFDV keeps.
pub const KEPT_VALUES: usize = 1000;

/// What is known of a feature's strings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StringStatistics {
    /// The mean length in bytes; 0 of none.
    pub mean_length: f64,
    /// The least length in bytes; 0 of none.
    pub min_length: u64,
    /// The greatest length in bytes; 0 of none.
    pub max_length: u64,
    /// How many are not valid UTF-8; they count as values under their text with replacement characters.
    pub invalid_utf8: u64,
    /// Values and how often they occur, the most frequent first, of equal ones the greater first; at most 1,000.
    pub values: Vec<(String, u64)>,
    /// The most that a frequency can be too low; 0 where there were few enough values to count them all.
    pub frequencies_too_low_by: u64,
}

/// Gathers [`StringStatistics`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Strings {
    count: u64,
    bytes: u64,
    min_length: u64,
    max_length: u64,
    invalid_utf8: u64,
    counts: Counts,
}

impl Strings {
    pub(super) fn new(precision: Precision) -> Strings {
        Strings {
            count: 0,
            bytes: 0,
            min_length: u64::MAX,
            max_length: 0,
            invalid_utf8: 0,
            counts: Counts::new(precision.counted_strings),
        }
    }

    /// Adds a value `times` times; `valid` where it is known to be UTF-8.
    pub(super) fn add(&mut self, value: &[u8], times: u64, valid: bool) {
        let length = value.len() as u64;
        self.count += times;
        self.bytes += length * times;
        self.min_length = self.min_length.min(length);
        self.max_length = self.max_length.max(length);
        if !valid && std::str::from_utf8(value).is_err() {
            self.invalid_utf8 += times;
        }
        self.counts.add(value, times);
    }

    /// Adds what another has gathered.
    pub(super) fn merge(&mut self, other: &Strings) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.min_length = self.min_length.min(other.min_length);
        self.max_length = self.max_length.max(other.max_length);
        self.invalid_utf8 += other.invalid_utf8;
        self.counts.merge(&other.counts);
    }

    /// How many different values there are, and whether that is exact.
    pub(super) fn distinct(&self) -> (u64, bool) {
        self.counts.distinct()
    }

    pub(super) fn finish(&self) -> StringStatistics {
        StringStatistics {
            mean_length: self.bytes as f64 / self.count.max(1) as f64,
            min_length: if self.count > 0 { self.min_length } else { 0 },
            max_length: self.max_length,
            invalid_utf8: self.invalid_utf8,
            values: (self.counts.top(KEPT_VALUES).into_iter())
                .map(|(value, count)| (String::from_utf8_lossy(value).into_owned(), count))
                .collect(),
            frequencies_too_low_by: self.counts.too_low_by(),
        }
    }
}
