//! Gauss-Legendre rules on (0, 1): exact for polynomials of degree up to `2 n - 1`.

use std::f64::consts::PI;

/// Places and their weights; a [`Rule`] of length 0 is empty.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) at: Vec<f64>,
    pub(super) weight: Vec<f64>,
}

impl Rule {
    /// The rule of `n` places, roots of the Legendre polynomial of degree `n`, by Newton's method.
    pub(super) fn new(n: usize) -> Rule {
        let mut rule = Rule { at: Vec::with_capacity(n), weight: Vec::with_capacity(n) };
        for k in 0..n {
            let mut x = libm::cos(PI * (k as f64 + 0.75) / (n as f64 + 0.5));
            // It converges quadratically from there; the count is fixed so that every host takes the same steps.
            for _ in 0..8 {
                let (p, slope) = legendre(n, x);
                x -= p / slope;
            }
            let (_, slope) = legendre(n, x);
            rule.at.push((1.0 + x) / 2.0);
            rule.weight.push(1.0 / ((1.0 - x * x) * slope * slope));
        }
        rule
    }
}

/// The Legendre polynomial of degree `n >= 1` at `x`, and its slope.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut p) = (1.0, x);
    for k in 1..n {
        let k = k as f64;
        (before, p) = (p, ((2.0 * k + 1.0) * x * p - k * before) / (k + 1.0));
    }
    (p, n as f64 * (before - x * p) / (1.0 - x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_integrated_exactly() {
        for n in 1..=32 {
            let rule = Rule::new(n);
            assert!(rule.at.iter().all(|t| (0.0..1.0).contains(t) && *t > 0.0));
            for power in 0..2 * n as i32 {
                let sum: f64 = rule.at.iter().zip(&rule.weight).map(|(t, w)| w * libm::pow(*t, f64::from(power))).sum();
                assert!((sum * f64::from(power + 1) - 1.0).abs() < 1e-13, "n {n}, power {power}: {sum}");
            }
        }
    }
}
