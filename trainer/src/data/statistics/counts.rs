//! How often each value occurs: exact while the different values fit, then the frequent ones with a stated error.
//!
//! When there are too many values, the median count is taken off all of them and those left with nothing go.
//! What was taken off is the most that a count can be too low, and is kept.
//!
//! # Source
//! Misra, Gries, "Finding repeated elements" (1982); merging: Agarwal et al., "Mergeable summaries" (2012), section 3.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use super::distinct::Distinct;

/// Counts of byte strings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Counts {
    counts: HashMap<Box<[u8]>, u64, BuildHasherDefault<Hash>>,
    bytes: usize,
    limit: Limit,
    /// Exists from the first time that a value was dropped.
    distinct: Option<Distinct>,
    too_low_by: u64,
}

/// What counts may use.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Limit {
    /// Different values.
    pub values: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

/// XXH64 for strings, which the map hands over in pieces: the bytes and then their length.
#[derive(Debug, Clone, Default)]
struct Hash(u64);

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash64::oneshot(self.0, bytes);
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Counts {
    /// Nothing counted.
    pub(super) fn new(limit: Limit) -> Counts {
        Counts { counts: HashMap::default(), bytes: 0, limit, distinct: None, too_low_by: 0 }
    }

    /// Counts a value `times` times.
    pub(super) fn add(&mut self, value: &[u8], times: u64) {
        if let Some(count) = self.counts.get_mut(value) {
            *count += times;
            return;
        }
        if let Some(distinct) = &mut self.distinct {
            distinct.add(XxHash64::oneshot(0, value));
        }
        self.bytes += value.len();
        self.counts.insert(value.into(), times);
        if self.counts.len() > self.limit.values || self.bytes > self.limit.bytes {
            self.shrink();
        }
    }

    /// Counts what another has counted.
    pub(super) fn merge(&mut self, other: &Counts) {
        match (&mut self.distinct, &other.distinct) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (None, Some(theirs)) => {
                let mut distinct = self.hashes();
                distinct.merge(theirs);
                self.distinct = Some(distinct);
            }
            _ => {}
        }
        self.too_low_by += other.too_low_by;
        // The order in which values come can decide which are dropped, so it is their own.
        let mut values: Vec<_> = other.counts.iter().collect();
        values.sort_unstable();
        for (value, times) in values {
            self.add(value, *times);
        }
    }

    /// How many different values there are, and whether that is exact.
    pub(super) fn distinct(&self) -> (u64, bool) {
        match &self.distinct {
            None => (self.counts.len() as u64, true),
            Some(distinct) => (distinct.count(), false),
        }
    }

    /// The most that a count can be too low.
    pub(super) fn too_low_by(&self) -> u64 {
        self.too_low_by
    }

    /// The `n` most frequent values, of equal ones the greater first, as TFDV has it.
    pub(super) fn top(&self, n: usize) -> Vec<(&[u8], u64)> {
        let mut values: Vec<(u64, &[u8])> = self.counts.iter().map(|(value, &count)| (count, &value[..])).collect();
        if values.len() > n && n > 0 {
            values.select_nth_unstable_by(n - 1, |a, b| b.cmp(a));
            values.truncate(n);
        }
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.into_iter().map(|(count, value)| (value, count)).collect()
    }

    fn hashes(&self) -> Distinct {
        let mut distinct = Distinct::new();
        self.counts.keys().for_each(|value| distinct.add(XxHash64::oneshot(0, value)));
        distinct
    }

    fn shrink(&mut self) {
        if self.distinct.is_none() {
            self.distinct = Some(self.hashes());
        }
        while !self.counts.is_empty()
            && (self.counts.len() > self.limit.values / 2 || self.bytes > self.limit.bytes / 2)
        {
            let mut counts: Vec<u64> = self.counts.values().copied().collect();
            let middle = counts.len() / 2;
            let median = *counts.select_nth_unstable(middle).1;
            self.too_low_by += median;
            self.counts.retain(|value, count| {
                *count = count.saturating_sub(median);
                if *count == 0 {
                    self.bytes -= value.len();
                }
                *count > 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_values_survive_a_flood_of_rare_ones_within_the_stated_error() {
        let limit = Limit { values: 100, bytes: 1 << 20 };
        let (mut left, mut right) = (Counts::new(limit), Counts::new(limit));
        for i in 0..10_000u32 {
            let to = if i < 4_000 { &mut left } else { &mut right };
            to.add(format!("rare {i}").as_bytes(), 1);
            if i % 4 == 0 {
                to.add(b"often", 1);
            }
        }
        left.merge(&right);
        let (value, count) = left.top(1)[0];
        assert_eq!(value, b"often");
        assert!(count <= 2_500 && count + left.too_low_by() >= 2_500, "{count} + {}", left.too_low_by());
        assert!(left.too_low_by() < 500, "{}", left.too_low_by());
        let (distinct, exact) = left.distinct();
        assert!(!exact && (9_700..10_300).contains(&distinct), "{distinct}");
    }

    #[test]
    fn long_values_are_dropped_by_their_bytes() {
        let mut counts = Counts::new(Limit { values: 1_000_000, bytes: 1_000 });
        (0..50u8).for_each(|i| counts.add(&[i; 100], 1));
        assert!(counts.bytes <= 1_000 && counts.bytes == counts.counts.keys().map(|v| v.len()).sum::<usize>());
    }

    #[test]
    fn values_of_equal_frequency_are_listed_from_the_greatest() {
        let mut counts = Counts::new(Limit { values: 100, bytes: 1_000 });
        for value in ["a", "b", "c", "b", "a", "d"] {
            counts.add(value.as_bytes(), 1);
        }
        let top: Vec<_> =
            counts.top(3).into_iter().map(|(v, n)| (String::from_utf8_lossy(v).into_owned(), n)).collect();
        assert_eq!(top, [("b".to_owned(), 2), ("a".to_owned(), 2), ("d".to_owned(), 1)]);
        assert_eq!(counts.distinct(), (4, true));
    }
}
