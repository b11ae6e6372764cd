//! The logging policy: which candidates a Home asks for, and what it shows of them, with recorded propensities.
//!
//! It knows popularity and a user's past genres, not tastes. In a null world it knows nothing:
//! were its order to follow popularity, position bias alone would make popular items clicked.

use super::World;
use super::behaviour::History;
use super::constants::*;
use super::rng::{Draws, softmax_weights};
use super::world::{Item, Moment, User};

/// What is shown: the item's index and its probability at this position given those above, in order of position.
pub(super) type Slate = Vec<(usize, f64)>;

/// Which items may be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eligible<'a> {
    /// Playlists, or else shows.
    pub(super) playlists: bool,
    /// Items that the user saw a moment ago.
    pub(super) without: &'a [usize],
}

/// Candidates among what is published: half recalled by the policy's score, half at random, in random order.
pub(super) fn recall(
    world: &World,
    user: &User,
    items: &[Item],
    history: &History,
    now: &Moment,
    eligible: Eligible,
    draws: &mut Draws,
) -> Vec<usize> {
    let Eligible { playlists, without } = eligible;
    let count = if playlists { CONSTANTS.playlists_candidates } else { CONSTANTS.podcasts_candidates };
    let speaks = |item: &Item| item.language == user.language || item.language == 0 || world.null;
    let published = |&index: &usize| {
        let item = &items[index];
        item.is_show() != playlists && item.published_ms <= now.ts && !without.contains(&index)
    };
    let all: Vec<usize> = (0..items.len()).filter(published).collect();
    let spoken: Vec<usize> = all.iter().copied().filter(|&index| speaks(&items[index])).collect();
    let scores = scores(world, items, history, &spoken);
    let mut chosen: Vec<usize> =
        plackett_luce(&spoken, &scores, count / 2, draws).into_iter().map(|(index, _)| index).collect();
    let mut rest: Vec<usize> = all.into_iter().filter(|index| !chosen.contains(index)).collect();
    draws.shuffle(&mut rest);
    chosen.extend(rest.into_iter().take(count - chosen.len()));
    draws.shuffle(&mut chosen);
    chosen
}

/// Draws what is shown of the candidates.
pub(super) fn show(
    world: &World,
    items: &[Item],
    history: &History,
    candidates: &[usize],
    places: usize,
    draws: &mut Draws,
) -> Slate {
    plackett_luce(candidates, &scores(world, items, history, candidates), places, draws)
}

/// What the policy thinks of items: popularity, and how much of the history has their genre.
fn scores(world: &World, items: &[Item], history: &History, candidates: &[usize]) -> Vec<f64> {
    if world.null {
        return vec![0.0; candidates.len()];
    }
    let mut plays = [0.0; GENRES.len()];
    for (&index, past) in history {
        plays[items[index].genre] += past.plays.len() as f64;
    }
    let all: f64 = plays.iter().sum::<f64>() + 5.0;
    let score = |&index: &usize| {
        let item = &items[index];
        CONSTANTS.policy_popularity * item.popularity + CONSTANTS.policy_affinity * 3.0 * plays[item.genre] / all
    };
    candidates.iter().map(score).collect()
}

/// Draws `places` candidates without replacement, each with probability proportional to `exp(score / temperature)`.
fn plackett_luce(candidates: &[usize], scores: &[f64], places: usize, draws: &mut Draws) -> Slate {
    let mut left: Vec<usize> = candidates.to_vec();
    let mut weights = softmax_weights(scores, CONSTANTS.temperature);
    let mut slate = Slate::new();
    while slate.len() < places && !left.is_empty() {
        let place = draws.weighted(&weights);
        let all: f64 = weights.iter().sum();
        slate.push((left.remove(place), weights.remove(place) / all));
    }
    slate
}
