//! Random draws: a generator for every (seed, stream, indices), so that no draw depends on how many others were made.

use shared_features::random::Random;

/// Draws of one stream.
#[derive(Clone, Debug)]
pub(super) struct Draws(Random);

impl Draws {
    /// The stream of this name at these indices.
    pub(super) fn new(seed: u64, stream: &str, indices: &[u64]) -> Draws {
        let mut id = String::from(stream);
        for index in indices {
            id.push('/');
            id.push_str(&index.to_string());
        }
        Draws(Random::keyed(&seed.to_string(), &id))
    }

    /// Uniform in `[0, 1)`.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0.next_f64()
    }

    /// Uniform in `[low, high)`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform below `bound`, at least 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal, by Box and Muller's transform.
    pub(super) fn normal(&mut self) -> f64 {
        // 1 - u is never 0, so that its logarithm is finite.
        let (u, angle) = (1.0 - self.uniform(), std::f64::consts::TAU * self.uniform());
        libm::sqrt(-2.0 * libm::log(u)) * libm::cos(angle)
    }

    /// An index with probability proportional to its weight; the last one where rounding leaves a remainder.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }

    /// Puts a list into random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// Weights `exp(score / temperature)`, scaled so that the largest is 1.
pub(super) fn softmax_weights(scores: &[f64], temperature: f64) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b > a { b } else { a });
    scores.iter().map(|s| libm::exp((s - top) / temperature)).collect()
}

/// The logistic function.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}
