//! How far apart two distributions are.

use std::collections::BTreeMap;

use crate::data::statistics::{Bucket, FeatureStatistics, NumberStatistics, Ranks};

/// A distance, and the value at which it is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Farthest {
    /// How far.
    pub distance: f64,
    /// Where.
    pub value: String,
}

/// Strings with their counts, in order; of numbers there are none.
pub fn counts(of: &FeatureStatistics) -> BTreeMap<&str, f64> {
    let values = of.strings().map_or(&[][..], |strings| &strings.values);
    values.iter().map(|(value, count)| (value.as_str(), *count as f64)).collect()
}

/// The greatest difference of a string's share.
///
/// # Source
/// TFDV 1.16, `anomalies/metrics.cc`, `LInftyDistance`; of equal differences the last string counts.
pub fn l_infinity(a: &BTreeMap<&str, f64>, b: &BTreeMap<&str, f64>) -> Farthest {
    largest_difference(a, sum(a), b, sum(b))
}

/// The greatest difference of a string's counts, over the counts of all strings of both.
///
/// # Source
/// TFDV 1.16, `anomalies/metrics.cc`, `NormalizedAbsoluteDifference`.
pub fn normalized_abs_difference(a: &BTreeMap<&str, f64>, b: &BTreeMap<&str, f64>) -> Farthest {
    let all = sum(a) + sum(b);
    largest_difference(a, all, b, all)
}

/// The Jensen-Shannon divergence of strings, in bits; `None` where either has none.
///
/// # Source
/// TFDV 1.16, `anomalies/metrics.cc`, `JensenShannonDivergence` of two maps.
pub fn jensen_shannon_of_strings(a: &BTreeMap<&str, f64>, b: &BTreeMap<&str, f64>) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (sum_a, sum_b) = (sum(a), sum(b));
    let mut divergence = 0.0;
    for (_, x, y) in joined(a, b) {
        let (p, q) = (x / sum_a, y / sum_b);
        let middle = (p + q) / 2.0;
        divergence += against(p, middle) + against(q, middle);
    }
    Some(capped(divergence / 2.0))
}

/// The approximate Jensen-Shannon divergence of numbers, in bits, from their histograms of equal width.
///
/// Values are taken to be spread evenly in a bucket, so outliers that stretch the buckets alarm for nothing;
/// that is why it is not what numbers are compared with by default.
///
/// # Source
/// TFDV 1.16, `anomalies/metrics.cc`, `JensenShannonDivergence` of two histograms.
pub fn jensen_shannon_of_numbers(a: &NumberStatistics, b: &NumberStatistics) -> Option<f64> {
    let extra = |of: &NumberStatistics, other: &NumberStatistics| {
        // Infinities of each are a bucket of its own, as are values that are not a number.
        let infinities = |n: &NumberStatistics| (n.positive_infinities + n.negative_infinities) as f64;
        ([infinities(of), 0.0, of.nan as f64, 0.0], [0.0, infinities(other), 0.0, other.nan as f64])
    };
    let (extra_a, extra_b) = extra(a, b);
    jensen_shannon_of_histograms(&a.equal_width, &extra_a, &b.equal_width, &extra_b)
}

/// The divergence of histograms with further buckets that are the same in both.
pub(super) fn jensen_shannon_of_histograms(
    a: &[Bucket],
    extra_a: &[f64],
    b: &[Bucket],
    extra_b: &[f64],
) -> Option<f64> {
    let mut edges: Vec<f64> = a.iter().chain(b).filter(|b| b.low < b.high).flat_map(|b| [b.low, b.high]).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let mut points: Vec<f64> = a.iter().chain(b).filter(|b| b.low == b.high).map(|b| b.low).collect();
    points.sort_by(f64::total_cmp);
    points.dedup();
    let spread = |buckets: &[Bucket], extra: &[f64]| -> Option<Vec<f64>> {
        let mut masses = vec![0.0; edges.len().saturating_sub(1)];
        for bucket in buckets.iter().filter(|b| b.low < b.high) {
            let (from, to) = (edges.partition_point(|&e| e < bucket.low), edges.partition_point(|&e| e < bucket.high));
            for i in from..to {
                masses[i] += (edges[i + 1] - edges[i]) / (bucket.high - bucket.low) * bucket.count;
            }
        }
        let at =
            |&point: &f64| buckets.iter().filter(|b| b.low == point && b.high == point).map(|b| b.count).sum::<f64>();
        masses.extend(points.iter().map(at));
        masses.extend(extra);
        let all: f64 = masses.iter().sum();
        (all > 0.0).then(|| masses.iter().map(|mass| mass / all).collect())
    };
    let (p, q) = (spread(a, extra_a)?, spread(b, extra_b)?);
    let middle: Vec<f64> = p.iter().zip(&q).map(|(p, q)| (p + q) / 2.0).collect();
    let divergence = |p: &[f64]| p.iter().zip(&middle).map(|(&p, &m)| against(p, m)).sum::<f64>();
    Some(capped((divergence(&p) + divergence(&q)) / 2.0))
}

/// The Kolmogorov-Smirnov distance: the greatest difference between the shares that are at most `x`, and that `x`.
///
/// It does not depend on the unit of the numbers, nor on how far out the outliers are.
/// `None` where either has no numbers.
pub fn quantile_distance(a: &Ranks, b: &Ranks) -> Option<(f64, f64)> {
    quantile_distance_within(a, b, 0.0)
}

/// The same, of numbers that may each be off by a share of themselves, as rounding makes them.
pub(super) fn quantile_distance_within(a: &Ranks, b: &Ranks, off: f64) -> Option<(f64, f64)> {
    let mut worst = (0.0, a.points.first()?.0);
    b.points.first()?;
    for &(x, _) in a.points.iter().chain(&b.points) {
        let (low, high) = (x - libm::fabs(x) * off, x + libm::fabs(x) * off);
        for difference in [a.share_at_most(low) - b.share_at_most(high), b.share_at_most(low) - a.share_at_most(high)] {
            if difference > worst.0 {
                worst = (difference, x);
            }
        }
    }
    Some(worst)
}

fn largest_difference(a: &BTreeMap<&str, f64>, all_a: f64, b: &BTreeMap<&str, f64>, all_b: f64) -> Farthest {
    let mut farthest = Farthest { distance: 0.0, value: String::new() };
    for (value, x, y) in joined(a, b) {
        let share = |count: f64, all: f64| if all > 0.0 { count / all } else { 0.0 };
        let distance = libm::fabs(share(x, all_a) - share(y, all_b));
        if distance >= farthest.distance {
            farthest = Farthest { distance, value: value.to_owned() };
        }
    }
    farthest
}

/// All strings with their counts in both, in order.
fn joined<'a>(a: &BTreeMap<&'a str, f64>, b: &BTreeMap<&'a str, f64>) -> Vec<(&'a str, f64, f64)> {
    let mut all: BTreeMap<&str, (f64, f64)> = a.iter().map(|(&value, &count)| (value, (count, 0.0))).collect();
    for (&value, &count) in b {
        all.entry(value).or_default().1 = count;
    }
    all.into_iter().map(|(value, (x, y))| (value, x, y)).collect()
}

fn sum(counts: &BTreeMap<&str, f64>) -> f64 {
    counts.values().sum()
}

fn against(p: f64, middle: f64) -> f64 {
    if p > 0.0 && middle > 0.0 { p * libm::log2(p / middle) } else { 0.0 }
}

fn capped(divergence: f64) -> f64 {
    if divergence > 1.0 { 1.0 } else { divergence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_strings_by_hand() {
        let a = BTreeMap::from([("x", 3.0), ("y", 1.0)]);
        let b = BTreeMap::from([("x", 1.0), ("z", 1.0)]);
        assert_eq!(l_infinity(&a, &b), Farthest { distance: 0.5, value: "z".into() });
        let (p, q) = (BTreeMap::from([("p", 1.0)]), BTreeMap::from([("q", 1.0)]));
        assert_eq!(l_infinity(&p, &q), Farthest { distance: 1.0, value: "q".into() });
        assert_eq!(normalized_abs_difference(&a, &b), Farthest { distance: 3.0 / 6.0 - 1.0 / 6.0, value: "x".into() });
        assert_eq!(jensen_shannon_of_strings(&a, &a), Some(0.0));
        assert_eq!(jensen_shannon_of_strings(&BTreeMap::from([("x", 1.0)]), &BTreeMap::from([("y", 9.0)])), Some(1.0));
        assert_eq!(jensen_shannon_of_strings(&a, &BTreeMap::new()), None);
    }

    #[test]
    fn distances_of_numbers_by_hand() {
        let ranks = |numbers: &[(f64, u64)]| Ranks::of(numbers, 100);
        let (a, b) = (ranks(&[(0.0, 1), (1.0, 1)]), ranks(&[(1.0, 3), (2.0, 1)]));
        assert_eq!(quantile_distance(&a, &b), Some((0.5, 0.0)));
        assert_eq!(quantile_distance(&a, &Ranks::default()), None);
        let near = ranks(&[(0.0, 1), (1.000_000_1, 1)]);
        assert_eq!(quantile_distance(&a, &near), Some((0.5, 1.0)));
        assert_eq!(quantile_distance_within(&a, &near, 1e-6), Some((0.0, 0.0)));
        let bucket = |low, high, count| Bucket { low, high, count };
        let (a, b) = ([bucket(0.0, 2.0, 8.0)], [bucket(1.0, 3.0, 2.0)]);
        // Shares of (0, 1], (1, 2], (2, 3]: a half, a half and none against none, a half and a half.
        assert_eq!(jensen_shannon_of_histograms(&a, &[], &b, &[]), Some(0.5));
        assert_eq!(jensen_shannon_of_histograms(&a, &[0.0], &[], &[3.0]), Some(1.0));
        assert_eq!(jensen_shannon_of_histograms(&a, &[], &[], &[]), None);
    }
}
