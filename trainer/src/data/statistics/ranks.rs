//! How numbers are distributed: how many are at most `x`, at chosen points, with a stated error.

use serde::{Deserialize, Serialize};

use super::sketch::Sketch;

/// A distribution function at up to a thousand points or so; exact where there are few different numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranks {
    /// How many numbers.
    pub count: u64,
    /// By what share of them a rank may be wrong at most; 0 where exact.
    pub worst_error: f64,
    /// `(x, how many are at most x)`, ascending; the first is the least number and the last the greatest.
    pub points: Vec<(f64, u64)>,
}

/// Numbers in `(low, high]`, the first bucket with its `low`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Where it starts.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// How many numbers are in it.
    pub count: f64,
}

impl Ranks {
    /// From numbers with their counts, ascending; keeps about `points` of them.
    pub fn of(weighted: &[(f64, u64)], points: usize) -> Ranks {
        let count: u64 = weighted.iter().map(|&(_, n)| n).sum();
        let mut cumulative = 0;
        let all: Vec<(f64, u64)> = weighted
            .iter()
            .map(|&(x, n)| {
                cumulative += n;
                (x, cumulative)
            })
            .collect();
        if all.len() <= points {
            return Ranks { count, worst_error: 0.0, points: all };
        }
        // A point a step; a jump over steps is a point of its own.
        let step = count.div_ceil(points as u64).max(1);
        let mut kept: Vec<(f64, u64)> = Vec::with_capacity(points + 2);
        for (i, &(x, at_most)) in all.iter().enumerate() {
            let last = kept.last().map_or(0, |&(_, at_most)| at_most);
            if i == 0 || i + 1 == all.len() || at_most - last >= step {
                kept.push((x, at_most));
            }
        }
        Ranks { count, worst_error: step as f64 / count as f64, points: kept }
    }

    /// From a sketch; keeps about `points` points.
    pub(super) fn of_sketch(sketch: &Sketch, points: usize) -> Ranks {
        let mut ranks = Ranks::of(&sketch.weighted(), points);
        if ranks.count > 0 {
            ranks.worst_error += sketch.worst_rank_error() as f64 / ranks.count as f64;
        }
        ranks
    }

    /// Which share of the numbers is at most `x`; 0 of none.
    pub fn share_at_most(&self, x: f64) -> f64 {
        self.at_most(x) as f64 / self.count.max(1) as f64
    }

    /// The least number that at least a share `q` of all is at most; `None` of none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let wanted = q * self.count as f64;
        let at = self.points.partition_point(|&(_, at_most)| (at_most as f64) < wanted);
        self.points.get(at).or(self.points.last()).map(|&(x, _)| x)
    }

    /// Buckets of equal width between the least and the greatest number.
    pub fn equal_width(&self, buckets: u32) -> Vec<Bucket> {
        let (Some(&(min, _)), Some(&(max, _))) = (self.points.first(), self.points.last()) else { return Vec::new() };
        if min == max {
            return vec![Bucket { low: min, high: max, count: self.count as f64 }];
        }
        let edge = |i: u32| {
            let share = f64::from(i) / f64::from(buckets);
            min * (1.0 - share) + max * share
        };
        let mut below = 0;
        (0..buckets)
            .map(|i| {
                let at_most = self.at_most(edge(i + 1));
                let count = (at_most - below) as f64;
                below = at_most;
                Bucket { low: edge(i), high: edge(i + 1), count }
            })
            .collect()
    }

    /// Buckets between quantiles, of about equal counts.
    pub fn equal_count(&self, buckets: u32) -> Vec<Bucket> {
        let Some(&(mut low, _)) = self.points.first() else { return Vec::new() };
        let mut below = 0;
        (1..=buckets)
            .filter_map(|i| {
                let high = self.quantile(f64::from(i) / f64::from(buckets))?;
                let at_most = self.at_most(high);
                let bucket = Bucket { low, high, count: (at_most - below) as f64 };
                (low, below) = (high, at_most);
                Some(bucket)
            })
            .collect()
    }

    fn at_most(&self, x: f64) -> u64 {
        match self.points.partition_point(|&(point, _)| point <= x) {
            0 => 0,
            after => self.points[after - 1].1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_numbers_are_exact() {
        let ranks = Ranks::of(&[(-1.0, 2), (0.0, 1), (5.0, 1)], 10);
        assert_eq!((ranks.count, ranks.worst_error), (4, 0.0));
        assert_eq!([-2.0, -1.0, 4.9, 5.0].map(|x| ranks.share_at_most(x)), [0.0, 0.5, 0.75, 1.0]);
        assert_eq!([0.0, 0.5, 0.51, 0.76, 1.0].map(|q| ranks.quantile(q)), [-1.0, -1.0, 0.0, 5.0, 5.0].map(Some));
        let counts = |buckets: Vec<Bucket>| buckets.iter().map(|b| b.count).collect::<Vec<_>>();
        assert_eq!(counts(ranks.equal_width(3)), [3.0, 0.0, 1.0]);
        assert_eq!(counts(ranks.equal_count(2)), [2.0, 2.0]);
        assert_eq!(Ranks::default().quantile(0.5), None);
    }

    #[test]
    fn thinning_keeps_jumps_and_states_its_error() {
        let mut weighted: Vec<(f64, u64)> = (0..10_000).map(|i| (f64::from(i), 1)).collect();
        weighted[5_000].1 = 10_000;
        let ranks = Ranks::of(&weighted, 100);
        assert!(ranks.points.len() <= 102 && ranks.worst_error <= 0.0101, "{}", ranks.worst_error);
        for (x, truth) in [(4_999.0, 5_000.0), (5_000.0, 15_000.0), (7_777.0, 17_777.0)] {
            let off = (ranks.share_at_most(x) - truth / 19_999.0).abs();
            assert!(off <= ranks.worst_error, "{x}: {off}");
        }
    }
}
