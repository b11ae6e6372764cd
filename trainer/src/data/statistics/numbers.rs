//! Statistics of numbers, gathered a batch at a time and merged.
//!
//! While there are few different numbers each is counted, and everything about them is exact;
//! past a bound their order goes into a [`Sketch`] and their variety into a [`Distinct`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use super::Precision;
use super::distinct::{Distinct, mix};
use super::ranks::{Bucket, Ranks};
use super::sketch::{Sketch, from_ordered, to_ordered};

const HISTOGRAM_BUCKETS: u32 = 10;

/// What is known of a feature's numbers; of none, the averages and bounds are 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberStatistics {
    /// How many finite numbers; the statistics below are of these.
    pub finite: u64,
    /// How many are not a number.
    pub nan: u64,
    /// How many are infinite upwards.
    pub positive_infinities: u64,
    /// How many are infinite downwards.
    pub negative_infinities: u64,
    /// How many are 0.
    pub zeros: u64,
    /// Their mean; the greatest double where its sum is beyond it.
    pub mean: f64,
    /// Their standard deviation, of the population; the greatest double where it is beyond it.
    pub std_dev: f64,
    /// The least.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The greatest.
    pub max: f64,
    /// Buckets of equal width.
    pub equal_width: Vec<Bucket>,
    /// Buckets of about equal counts.
    pub equal_count: Vec<Bucket>,
    /// How many are at most each of about a thousand values.
    pub ranks: Ranks,
}

/// Gathers [`NumberStatistics`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Numbers {
    precision: Precision,
    finite: u64,
    nan: u64,
    positive_infinities: u64,
    negative_infinities: u64,
    zeros: u64,
    mean: f64,
    /// The sum of squared differences from the mean.
    squares: f64,
    min: f64,
    max: f64,
    order: Order,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Order {
    /// The key is [`to_ordered`].
    Counted(HashMap<u64, u64, BuildHasherDefault<Mix>>),
    Sketched(Sketch, Distinct),
}

/// [`mix`], as the map wants it.
#[derive(Debug, Clone, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Numbers {
    pub(super) fn new(precision: Precision) -> Numbers {
        Numbers {
            precision,
            finite: 0,
            nan: 0,
            positive_infinities: 0,
            negative_infinities: 0,
            zeros: 0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            order: Order::Counted(HashMap::default()),
        }
    }

    /// Adds numbers; leaves the finite ones in `numbers`.
    pub(super) fn add(&mut self, numbers: &mut Vec<f64>) {
        if !numbers.iter().all(|x| x.is_finite()) {
            numbers.retain(|&x| {
                self.nan += u64::from(x.is_nan());
                self.positive_infinities += u64::from(x == f64::INFINITY);
                self.negative_infinities += u64::from(x == f64::NEG_INFINITY);
                x.is_finite()
            });
        }
        if numbers.is_empty() {
            return;
        }
        let (mut min, mut max, mut zeros) = (self.min, self.max, 0u64);
        for &x in numbers.iter() {
            min = if x < min { x } else { min };
            max = if x > max { x } else { max };
            zeros += u64::from(x == 0.0);
        }
        (self.min, self.max) = (min, max);
        self.zeros += zeros;
        let mean = sum(numbers, |x| x) / numbers.len() as f64;
        let squares = sum(numbers, |x| (x - mean) * (x - mean));
        self.merge_moments(numbers.len() as u64, mean, squares);
        match &mut self.order {
            Order::Sketched(sketch, distinct) => {
                sketch.extend(numbers);
                numbers.iter().for_each(|&x| distinct.add(mix(to_ordered(x))));
            }
            Order::Counted(counts) => {
                for (i, &x) in numbers.iter().enumerate() {
                    *counts.entry(to_ordered(x)).or_insert(0) += 1;
                    if counts.len() > self.precision.counted_numbers {
                        let (mut sketch, mut distinct) = sketch_counts(counts, self.precision);
                        sketch.extend(&numbers[i + 1..]);
                        numbers[i + 1..].iter().for_each(|&x| distinct.add(mix(to_ordered(x))));
                        self.order = Order::Sketched(sketch, distinct);
                        break;
                    }
                }
            }
        }
    }

    /// Adds what another has gathered.
    pub(super) fn merge(&mut self, other: &Numbers) {
        self.nan += other.nan;
        self.positive_infinities += other.positive_infinities;
        self.negative_infinities += other.negative_infinities;
        self.zeros += other.zeros;
        self.min = if other.min < self.min { other.min } else { self.min };
        self.max = if other.max > self.max { other.max } else { self.max };
        self.merge_moments(other.finite, other.mean, other.squares);
        if let (Order::Counted(mine), Order::Counted(theirs)) = (&mut self.order, &other.order) {
            for (x, count) in theirs {
                *mine.entry(*x).or_insert(0) += count;
            }
            if mine.len() > self.precision.counted_numbers {
                let (sketch, distinct) = sketch_counts(mine, self.precision);
                self.order = Order::Sketched(sketch, distinct);
            }
            return;
        }
        if let Order::Counted(mine) = &self.order {
            let (sketch, distinct) = sketch_counts(mine, self.precision);
            self.order = Order::Sketched(sketch, distinct);
        }
        if let Order::Sketched(sketch, distinct) = &mut self.order {
            match &other.order {
                Order::Counted(theirs) => {
                    let (more, variety) = sketch_counts(theirs, self.precision);
                    sketch.merge(&more);
                    distinct.merge(&variety);
                }
                Order::Sketched(more, variety) => {
                    sketch.merge(more);
                    distinct.merge(variety);
                }
            }
        }
    }

    pub(super) fn nan(&self) -> u64 {
        self.nan
    }

    /// How many different finite numbers there are, and whether that is exact.
    pub(super) fn distinct(&self) -> (u64, bool) {
        match &self.order {
            Order::Counted(counts) => (counts.len() as u64, true),
            Order::Sketched(_, distinct) => (distinct.count(), false),
        }
    }

    /// The statistics; `nan` of the numbers are reported as missing elsewhere.
    pub(super) fn finish(&self, nan_is_missing: bool) -> NumberStatistics {
        let ranks = match &self.order {
            Order::Counted(counts) => Ranks::of(&in_order(counts), self.precision.points),
            Order::Sketched(sketch, _) => {
                let mut ranks = Ranks::of_sketch(sketch, self.precision.points);
                // The bounds are known exactly, whatever the sketch forgot.
                if let [first, .., last] = ranks.points.as_mut_slice() {
                    (first.0, last.0) = (self.min, self.max);
                }
                ranks
            }
        };
        let any = self.finite > 0;
        NumberStatistics {
            finite: self.finite,
            nan: if nan_is_missing { 0 } else { self.nan },
            positive_infinities: self.positive_infinities,
            negative_infinities: self.negative_infinities,
            zeros: self.zeros,
            mean: bounded(self.mean),
            std_dev: bounded(libm::sqrt(self.squares / self.finite.max(1) as f64)),
            min: if any { self.min } else { 0.0 },
            median: ranks.quantile(0.5).unwrap_or(0.0),
            max: if any { self.max } else { 0.0 },
            equal_width: ranks.equal_width(HISTOGRAM_BUCKETS),
            equal_count: ranks.equal_count(HISTOGRAM_BUCKETS),
            ranks,
        }
    }

    /// # Source
    /// Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), (2.1).
    fn merge_moments(&mut self, count: u64, mean: f64, squares: f64) {
        if count == 0 {
            return;
        }
        let (mine, theirs) = (self.finite as f64, count as f64);
        let difference = mean - self.mean;
        self.finite += count;
        self.mean += difference * (theirs / self.finite as f64);
        self.squares += squares + difference * difference * (mine * theirs / self.finite as f64);
    }
}

/// The greatest double in place of what is beyond it, for which JSON has no name.
fn bounded(number: f64) -> f64 {
    if number.is_finite() { number } else { f64::MAX }
}

/// A sum in eight lanes, in an order that depends on nothing but the numbers' places.
fn sum(numbers: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; 8];
    let eights = numbers.chunks_exact(8);
    let rest = eights.remainder();
    for eight in eights {
        for (lane, &x) in lanes.iter_mut().zip(eight) {
            *lane += of(x);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&x| of(x)).sum::<f64>()
}

fn in_order(counts: &HashMap<u64, u64, BuildHasherDefault<Mix>>) -> Vec<(f64, u64)> {
    let mut ordered: Vec<(u64, u64)> = counts.iter().map(|(&x, &count)| (x, count)).collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|(x, count)| (from_ordered(x), count)).collect()
}

fn sketch_counts(counts: &HashMap<u64, u64, BuildHasherDefault<Mix>>, precision: Precision) -> (Sketch, Distinct) {
    let (mut sketch, mut distinct) = (Sketch::new(precision.sketch), Distinct::new());
    for (x, count) in in_order(counts) {
        sketch.add(x, count);
        distinct.add(mix(to_ordered(x)));
    }
    (sketch, distinct)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(parts: &[&[f64]]) -> Numbers {
        let mut all = Numbers::new(Precision::WHOLE);
        for part in parts {
            let mut numbers = Numbers::new(Precision::WHOLE);
            numbers.add(&mut part.to_vec());
            all.merge(&numbers);
        }
        all
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let numbers = gather(&[&[f64::NAN, 1.0, f64::INFINITY], &[], &[-0.0, f64::NEG_INFINITY, f64::NAN, 0.0, 3.0]]);
        let s = numbers.finish(false);
        assert_eq!((s.finite, s.nan, s.positive_infinities, s.negative_infinities, s.zeros), (4, 2, 1, 1, 2));
        assert_eq!((s.min, s.median, s.max, s.mean, s.std_dev), (0.0, 0.0, 3.0, 1.0, libm::sqrt(1.5)));
        assert_eq!(numbers.distinct(), (3, true));
        let none = gather(&[&[f64::NAN]]).finish(false);
        assert_eq!((none.min, none.max, none.mean, none.std_dev, none.ranks.points.len()), (0.0, 0.0, 0.0, 0.0, 0));
    }

    #[test]
    fn what_is_beyond_a_double_is_the_greatest() {
        let s = gather(&[&[f64::MAX, f64::MAX, -f64::MAX]]).finish(false);
        assert_eq!((s.mean, s.std_dev, s.min, s.max), (f64::MAX, f64::MAX, -f64::MAX, f64::MAX));
        assert!(s.equal_width.iter().all(|b| b.low.is_finite() && b.high.is_finite() && b.low < b.high));
        assert_eq!(s.equal_width.iter().map(|b| b.count).sum::<f64>(), 3.0);
    }

    #[test]
    fn many_different_numbers_are_sketched_whichever_way_they_are_merged() {
        let numbers: Vec<f64> = (0..60_000u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 8)).collect();
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        let (a, rest) = numbers.split_at(3_000);
        let (b, c) = rest.split_at(40_000);
        for parts in [vec![&numbers[..]], vec![a, b, c], vec![c, a, b], vec![b, c, a]] {
            let gathered = gather(&parts);
            let s = gathered.finish(false);
            assert_eq!((s.finite, s.min, s.max), (60_000, sorted[0], sorted[59_999]));
            let (distinct, exact) = gathered.distinct();
            assert!(!exact && (58_500..61_500).contains(&distinct), "{distinct}");
            for q in [0.01, 0.5, 0.9] {
                let x = s.ranks.quantile(q).unwrap();
                let rank = sorted.partition_point(|&y| y <= x) as f64 / 60_000.0;
                assert!((rank - q).abs() <= s.ranks.worst_error && s.ranks.worst_error < 0.005, "{rank} {q}");
            }
        }
    }
}
