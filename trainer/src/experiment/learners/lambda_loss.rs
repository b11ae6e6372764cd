//! LambdaRank gradients as LightGBM computes them.
//!
//! # Source
//! Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82; the normalisations are LightGBM's
//! `lambdarank_norm`: pairs are damped by their score difference and a request's gradients are scaled by
//! `log2(1 + sum) / sum`.

use hessboost::objective::{CustomLoss, GradPair};
use rayon::prelude::*;
use shared_features::slate::by_score;

/// Pairs whose better-placed member stands below this place do not count.
const TRUNCATION: usize = 30;

/// The loss for rows grouped by request.
pub(super) fn lambda_loss(groups: &[usize]) -> CustomLoss {
    let groups = groups.to_vec();
    CustomLoss::new("hearth:lambdarank", 1, move |scores, labels, _weights, out| {
        let mut parts = Vec::with_capacity(groups.len());
        let (mut scores, mut labels, mut out) = (scores, labels, out);
        for &size in &groups {
            let (s, l, o);
            (s, scores) = scores.split_at(size);
            (l, labels) = labels.split_at(size);
            (o, out) = out.split_at_mut(size);
            parts.push((s, l, o));
        }
        parts.into_par_iter().for_each(|(scores, labels, out)| gradients(scores, labels, out));
    })
}

/// First and second derivatives for the rows of one request.
fn gradients(scores: &[f32], labels: &[f32], out: &mut [GradPair]) {
    let order = by_score(scores);
    let gain = |row: usize| libm::exp2(f64::from(labels[row])) - 1.0;
    let discount = |place: usize| 1.0 / libm::log2(place as f64 + 2.0);
    let best_dcg = best_dcg(labels);
    let (mut lambdas, mut hessians) = (vec![0.0; labels.len()], vec![0.0; labels.len()]);
    let mut sum = 0.0;
    let score = |place: usize| f64::from(scores[order[place] as usize]);
    let damped = !order.is_empty() && score(0) != score(order.len() - 1);
    for i in 0..order.len().min(TRUNCATION) {
        for j in i + 1..order.len() {
            let (a, b) = (order[i] as usize, order[j] as usize);
            if labels[a] == labels[b] {
                continue;
            }
            let (high, low, delta_score) =
                if labels[a] > labels[b] { (a, b, score(i) - score(j)) } else { (b, a, score(j) - score(i)) };
            let mut delta = (gain(high) - gain(low)) * (discount(i) - discount(j)) / best_dcg;
            if damped {
                delta /= 0.01 + libm::fabs(delta_score);
            }
            let p = 1.0 / (1.0 + libm::exp(delta_score));
            let (lambda, hessian) = (p * delta, p * (1.0 - p) * delta);
            lambdas[high] -= lambda;
            lambdas[low] += lambda;
            hessians[high] += hessian;
            hessians[low] += hessian;
            sum += 2.0 * lambda;
        }
    }
    let scale = if sum > 0.0 { libm::log2(1.0 + sum) / sum } else { 1.0 };
    for ((out, lambda), hessian) in out.iter_mut().zip(&lambdas).zip(&hessians) {
        *out = GradPair::new((lambda * scale) as f32, (hessian * scale) as f32);
    }
}

fn best_dcg(labels: &[f32]) -> f64 {
    let mut ideal = labels.to_vec();
    ideal.sort_unstable_by(|a, b| b.total_cmp(a));
    let gains = ideal.iter().take(TRUNCATION).enumerate();
    gains.map(|(at, &label)| (libm::exp2(f64::from(label)) - 1.0) / libm::log2(at as f64 + 2.0)).sum()
}
