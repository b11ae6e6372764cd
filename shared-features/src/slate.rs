//! From scores to a slate: order, rules, exploration, and the draw of candidates that are logged unshown.

use crate::column::{Column, NO_CODE};
use crate::policy::{AtMost, Exploration, Policy};
use crate::random::Random;
use crate::scene::Scene;
use crate::{numeric, order};

use diversity::Diversity;

mod diversity;

/// A ranked list of candidate indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Slate {
    /// Indices of candidates, best first.
    pub order: Vec<u32>,
    /// Probability of each at its place given those above; empty without exploration.
    pub propensity: Vec<f32>,
    /// Indices of candidates outside the slate that are logged.
    pub unshown: Vec<u32>,
    /// The probability with which each unshown candidate was drawn; missing where nothing is left out.
    pub unshown_probability: f32,
}

/// Indices by falling score; ties by the earlier candidate; NaN last.
pub fn by_score(scores: &[f32]) -> Vec<u32> {
    let mut keys: Vec<u64> = (0..).zip(scores).map(|(i, score)| u64::from(falling(*score)) << 32 | i).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| key as u32).collect()
}

/// A number that falls as the score rises: the largest of all for NaN, and one for both zeros.
fn falling(score: f32) -> u32 {
    if score.is_nan() {
        return u32::MAX;
    }
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

/// The slate of scored candidates.
pub fn slate(policy: &Policy, scene: &Scene, scores: &[f32], salt: &str) -> Slate {
    let mut random = Random::keyed(salt, &scene.request.id);
    let allowed = allowed(policy, scene);
    let mut left: Vec<u32> = by_score(scores).into_iter().filter(|&i| allowed[i as usize]).collect();
    let mut quota = Quota::new(policy, scene);
    let mut diversity = Diversity::new(policy, scene);
    let (mut order, mut propensity) = (Vec::new(), Vec::new());
    while order.len() < policy.slate as usize {
        left.retain(|&i| quota.has_room(i));
        let worth =
            || -> Vec<f64> { left.iter().map(|&i| f64::from(scores[i as usize]) - diversity.loss(i)).collect() };
        let (at, probability) = match policy.exploration {
            Exploration::PlackettLuce { temperature, top } if order.len() < top as usize => {
                draw(&worth(), temperature, &mut random)
            }
            // What is left stands by score.
            _ if diversity.is_over() => (0, 1.0),
            _ => (largest(&worth()), 1.0),
        };
        if at >= left.len() {
            break;
        }
        let chosen = left.remove(at);
        quota.take(chosen);
        diversity.take(chosen);
        order.push(chosen);
        if policy.exploration != Exploration::None {
            propensity.push(probability);
        }
    }
    let in_slate: Vec<bool> = order.iter().fold(vec![false; scores.len()], |mut seen, &i| {
        seen[i as usize] = true;
        seen
    });
    let mut rest: Vec<u32> = (0..scores.len() as u32).filter(|&i| !in_slate[i as usize]).collect();
    let draws = rest.len().min(policy.log_unshown as usize);
    let unshown_probability =
        if rest.is_empty() { numeric::MISSING } else { numeric::store(draws as f64 / rest.len() as f64) };
    // A partial Fisher-Yates shuffle; the drawn ones are then logged in candidate order.
    for k in 0..draws {
        let other = k + random.below((rest.len() - k) as u64) as usize;
        rest.swap(k, other);
    }
    rest.truncate(draws);
    rest.sort_unstable();
    Slate { order, propensity, unshown: rest, unshown_probability }
}

/// The place of the largest; the first of several, and of nothing but NaN.
fn largest(worth: &[f64]) -> usize {
    let mut best = 0;
    for (at, x) in worth.iter().enumerate() {
        if *x > worth[best] {
            best = at;
        }
    }
    best
}

/// Draws one of the candidates that are left, by `exp(worth / temperature)`; returns its place and probability.
fn draw(worth: &[f64], temperature: f64, random: &mut Random) -> (usize, f32) {
    let best = largest(worth);
    let weight = |x: f64| if x.is_nan() { 0.0 } else { libm::exp((x - worth[best]) / temperature) };
    let total: f64 = worth.iter().map(|&x| weight(x)).sum();
    // Also where it is NaN.
    if total.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return (best, 1.0);
    }
    let target = random.next_f64() * total;
    let mut sum = 0.0;
    let mut last = 0;
    for (at, &x) in worth.iter().enumerate() {
        let w = weight(x);
        if w == 0.0 {
            continue;
        }
        sum += w;
        last = at;
        if target < sum {
            break;
        }
    }
    (last, numeric::store(weight(worth[last]) / total))
}

fn allowed(policy: &Policy, scene: &Scene) -> Vec<bool> {
    let hides: Vec<bool> = scene.history.actions.iter().map(|a| policy.rules.hide_after.contains(a)).collect();
    let hidden: Vec<&str> = scene
        .window
        .clone()
        .filter(|&i| hides[scene.history.action[i] as usize])
        .map(|i| scene.history.items[scene.history.item[i] as usize].as_str())
        .chain(scene.request.exclude.iter().map(String::as_str))
        .collect();
    let hidden = order::sorted_texts(&hidden);
    scene.candidates.iter().map(|item| hidden.binary_search(item).is_err()).collect()
}

/// How many more items of each field value a slate may have.
struct Quota {
    rules: Vec<Rule>,
}

/// A rule with the code of each candidate's value, and how many of each code may still come.
struct Rule {
    codes: Vec<u32>,
    left: Vec<u32>,
}

impl Quota {
    fn new(policy: &Policy, scene: &Scene) -> Quota {
        let rule = |rule: &AtMost| match scene.field(&rule.field) {
            Column::Category(c) => Rule { left: vec![rule.count; c.names.len()], codes: c.codes },
            _ => Rule { left: Vec::new(), codes: vec![NO_CODE; scene.rows()] },
        };
        Quota { rules: policy.rules.at_most.iter().map(rule).collect() }
    }

    fn has_room(&self, candidate: u32) -> bool {
        self.rules
            .iter()
            .all(|rule| rule.left.get(rule.codes[candidate as usize] as usize).is_none_or(|left| *left > 0))
    }

    fn take(&mut self, candidate: u32) {
        for rule in &mut self.rules {
            if let Some(left) = rule.left.get_mut(rule.codes[candidate as usize] as usize) {
                *left -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
