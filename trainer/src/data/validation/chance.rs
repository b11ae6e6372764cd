//! How far apart samples of one distribution are by chance: farther once in a million comparisons.

/// The two-sided level, small as there are as many comparisons as features, slices and days.
const LEVEL: f64 = 1e-6;
/// How many standard deviations from the mean a normal variable is once in a million.
const DEVIATIONS: f64 = 4.891_638_475_699_59;

/// Of the Kolmogorov-Smirnov distance of samples of these sizes.
///
/// # Source
/// The asymptotic distribution of Smirnov (1948), its first term: `sqrt(-ln(level / 2) / 2) sqrt((n + m) / (n m))`.
pub(super) fn of_quantiles(n: u64, m: u64) -> f64 {
    libm::sqrt(-libm::log(LEVEL / 2.0) / 2.0) * libm::sqrt(sum_of_inverses(n, m))
}

/// Of the difference of a share in samples of these sizes, with its pooled estimate.
pub(super) fn of_shares(share: f64, n: u64, m: u64) -> f64 {
    DEVIATIONS * libm::sqrt(share * (1.0 - share) * sum_of_inverses(n, m))
}

fn sum_of_inverses(n: u64, m: u64) -> f64 {
    1.0 / n.max(1) as f64 + 1.0 / m.max(1) as f64
}
