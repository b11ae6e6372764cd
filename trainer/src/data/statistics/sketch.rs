//! A mergeable sketch of the order of numbers, which knows how wrong it can be.
//!
//! Numbers of equal weight wait in levels; a full level is sorted, every other number of it goes up with twice the
//! weight, and the rest is forgotten, first those in odd places, then those in even ones.
//! Nothing is random: equal input in equal order gives an equal sketch, and the worst error is counted, not estimated.
//!
//! # Source
//! Manku, Rajagopalan, Lindsay, "Approximate medians and other quantiles in one pass and with limited memory" (1998);
//! the levels are those of Karnin, Lang, Liberty, "Optimal quantile approximation in streams" (2016) without coins.

use serde::{Deserialize, Serialize};

/// Numbers, each standing for `2^level` of those that were added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sketch {
    levels: Vec<Level>,
    capacity: usize,
    worst_rank_error: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Level {
    /// In the order of [`to_ordered`].
    waiting: Vec<u64>,
    /// Whether the next compaction keeps the odd places.
    odd: bool,
}

impl Sketch {
    /// An empty sketch that keeps up to `capacity` numbers a level.
    ///
    /// After `n` numbers a rank is wrong by at most `log2(n / capacity) / capacity` of `n`.
    pub(super) fn new(capacity: usize) -> Sketch {
        // An even number, so that a full level is forgotten whole.
        Sketch { levels: Vec::new(), capacity: (capacity / 2 * 2).max(2), worst_rank_error: 0 }
    }

    /// Adds numbers; none may be NaN.
    pub(super) fn extend(&mut self, numbers: &[f64]) {
        for part in numbers.chunks(self.capacity) {
            self.level(0).waiting.extend(part.iter().copied().map(to_ordered));
            self.compact();
        }
    }

    /// Adds a number `count` times.
    pub(super) fn add(&mut self, number: f64, count: u64) {
        for level in 0..u64::BITS as usize {
            if count >> level & 1 == 1 {
                self.level(level).waiting.push(to_ordered(number));
            }
        }
        self.compact();
    }

    /// Adds what another sketch has seen.
    pub(super) fn merge(&mut self, other: &Sketch) {
        for (level, more) in other.levels.iter().enumerate() {
            self.level(level).waiting.extend_from_slice(&more.waiting);
        }
        self.worst_rank_error += other.worst_rank_error;
        self.compact();
    }

    /// The numbers that are left, ascending, each once with the weight it stands for.
    pub(super) fn weighted(&self) -> Vec<(f64, u64)> {
        let mut all: Vec<(u64, u64)> = Vec::new();
        for (level, numbers) in self.levels.iter().enumerate() {
            all.extend(numbers.waiting.iter().map(|&number| (number, 1 << level)));
        }
        all.sort_unstable();
        let mut weighted: Vec<(f64, u64)> = Vec::with_capacity(all.len());
        for (number, weight) in all {
            let number = from_ordered(number);
            match weighted.last_mut() {
                Some(last) if last.0 == number => last.1 += weight,
                _ => weighted.push((number, weight)),
            }
        }
        weighted
    }

    /// By how many of the added numbers a rank can be wrong at most.
    pub(super) fn worst_rank_error(&self) -> u64 {
        self.worst_rank_error
    }

    fn level(&mut self, level: usize) -> &mut Level {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Level::default);
        }
        &mut self.levels[level]
    }

    fn compact(&mut self) {
        let mut at = 0;
        while at < self.levels.len() {
            if self.levels[at].waiting.len() >= self.capacity {
                let level = &mut self.levels[at];
                match at {
                    0 => level.waiting.sort_unstable(),
                    // Higher levels are runs in order, which this one merges.
                    _ => level.waiting.sort(),
                }
                // An odd number too many stays where it is.
                let keep = level.waiting.len() % 2;
                let rest = level.waiting.split_off(level.waiting.len() - keep);
                let promoted: Vec<u64> =
                    level.waiting.iter().copied().skip(usize::from(level.odd)).step_by(2).collect();
                level.waiting.clear();
                level.waiting.extend(rest);
                level.odd = !level.odd;
                self.worst_rank_error += 1 << at;
                self.level(at + 1).waiting.extend(promoted);
            }
            at += 1;
        }
    }
}

/// Bits in the order of their numbers, which sort faster; one zero.
pub(super) fn to_ordered(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

pub(super) fn from_ordered(ordered: u64) -> f64 {
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst_error(sketch: &Sketch, sorted: &[f64]) -> f64 {
        let (mut below, mut worst) = (0u64, 0f64);
        for (number, weight) in sketch.weighted() {
            below += weight;
            let truth = sorted.partition_point(|&x| x <= number) as f64;
            worst = worst.max((below as f64 - truth).abs());
        }
        worst
    }

    #[test]
    fn ranks_are_within_the_error_the_sketch_states() {
        let mut state = 1u64;
        let mut numbers: Vec<f64> = (0..200_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as f64 - 3e6
            })
            .collect();
        let (mut one, mut left, mut right) = (Sketch::new(256), Sketch::new(256), Sketch::new(256));
        one.extend(&numbers);
        left.extend(&numbers[..70_001]);
        right.extend(&numbers[70_001..]);
        left.merge(&right);
        numbers.sort_by(f64::total_cmp);
        for sketch in [&one, &left] {
            assert_eq!(sketch.weighted().iter().map(|w| w.1).sum::<u64>(), 200_000);
            let bound = sketch.worst_rank_error() as f64;
            assert!(bound / 200_000.0 < 0.05, "{bound}");
            assert!(worst_error(sketch, &numbers) <= bound, "{} > {bound}", worst_error(sketch, &numbers));
        }
    }

    #[test]
    fn a_number_added_many_times_is_that_many_numbers() {
        let mut sketch = Sketch::new(8);
        sketch.add(-2.5, 1000);
        sketch.add(0.0, 3);
        sketch.extend(&[-0.0, 7.0]);
        assert_eq!(sketch.weighted(), [(-2.5, 1000), (0.0, 4), (7.0, 1)]);
        assert_eq!(sketch.worst_rank_error(), 0);
    }
}
