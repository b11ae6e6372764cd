//! The diversity rule: what a candidate's score loses for being like one that stands above it.
//!
//! Choosing the best score after that loss, place by place, is maximal marginal relevance
//! (Carbonell and Goldstein, SIGIR 1998): `lambda * score - (1 - lambda) * similarity` orders as
//! `score - weight * similarity` does with `weight = (1 - lambda) / lambda`.
//! The loss depends only on what stands above, so the probability of a drawn place is as true with the rule as without.

use crate::column::{Column, NO_CODE};
use crate::policy::Policy;
use crate::scene::Scene;
use crate::source::overlap;

/// The rule of one slate while it is filled; a policy without the rule takes nothing from any score.
pub(super) struct Diversity {
    weight: f64,
    /// Places that the rule still chooses.
    places: u32,
    values: Column,
    /// For each candidate, its similarity to the most similar one above, 0 to 1.
    similarity: Vec<f64>,
}

impl Diversity {
    pub(super) fn new(policy: &Policy, scene: &Scene) -> Diversity {
        let similarity = vec![0.0; scene.rows()];
        match &policy.rules.diversity {
            Some(rule) => {
                Diversity { weight: rule.weight, places: rule.top, values: scene.field(&rule.field), similarity }
            }
            None => Diversity { weight: 0.0, places: 0, values: Column::Number(Vec::new()), similarity },
        }
    }

    /// Whether no score loses anything any more.
    pub(super) fn is_over(&self) -> bool {
        self.places == 0
    }

    /// What a candidate's score loses at the next place.
    pub(super) fn loss(&self, candidate: u32) -> f64 {
        if self.places == 0 { 0.0 } else { self.weight * self.similarity[candidate as usize] }
    }

    /// A candidate takes the next place.
    pub(super) fn take(&mut self, chosen: u32) {
        self.places = self.places.saturating_sub(1);
        if self.places == 0 {
            return;
        }
        for (row, similarity) in self.similarity.iter_mut().enumerate() {
            let to_chosen = alike(&self.values, row, chosen as usize);
            if to_chosen > *similarity {
                *similarity = to_chosen;
            }
        }
    }
}

/// 1 for one category, the overlap of tags; 0 where either has no value.
fn alike(values: &Column, a: usize, b: usize) -> f64 {
    match values {
        Column::Category(c) if c.codes[a] == c.codes[b] && c.codes[a] != NO_CODE => 1.0,
        Column::Tags(t) => overlap::share(t.codes_of(a), t.codes_of(b)).unwrap_or(0.0),
        _ => 0.0,
    }
}
