//! Percentile bootstrap of a mean over requests, clustered by user: users are drawn, with all their requests.
//!
//! # Source
//! Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 8 (clusters).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_features::random::Random;

/// How often users are drawn anew.
const RESAMPLES: usize = 1000;

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean over requests.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The mean of `(user, value)` pairs with its interval; zeros where there are none.
pub fn mean<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Estimate {
    let mut users: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (user, value) in values {
        let (sum, count) = users.entry(user).or_default();
        *sum += value;
        *count += 1.0;
    }
    let clusters: Vec<(f64, f64)> = users.into_values().collect();
    if clusters.is_empty() {
        return Estimate { value: 0.0, low: 0.0, high: 0.0 };
    }
    let of = |sums: (f64, f64)| sums.0 / sums.1;
    let value = of(clusters.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1)));
    let mut random = Random::keyed("bootstrap", "users");
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            of((0..clusters.len()).fold((0.0, 0.0), |(sum, count), _| {
                let (s, c) = clusters[random.below(clusters.len() as u64) as usize];
                (sum + s, count + c)
            }))
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Estimate { value, low: means[RESAMPLES * 25 / 1000], high: means[RESAMPLES * 975 / 1000 - 1] }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4} [{:.4}, {:.4}]", self.value, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_covers_its_mean_and_knows_clusters() {
        let names: Vec<String> = (0..400).map(|k| k.to_string()).collect();
        let value = |k: usize| f64::from(u32::from(k.is_multiple_of(2)));
        let independent = mean((0..400).map(|k| (names[k].as_str(), value(k))));
        assert!(independent.low < 0.5 && independent.high > 0.5 && independent.value == 0.5);
        // The standard error is 0.025: 1.96 of them on either side, give or take the resampling.
        assert!((independent.high - independent.low - 0.098).abs() < 0.02, "{independent}");
        // Four users with 100 equal requests each know much less.
        let clustered = mean((0..400).map(|k| (names[k % 4].as_str(), value(k % 4))));
        assert!(clustered.high - clustered.low > 0.5, "{clustered}");
        assert_eq!(mean(std::iter::empty()).value, 0.0);
    }
}
