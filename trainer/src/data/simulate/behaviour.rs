//! True relevance: what a user wants now. Nothing in here looks at what was logged.

use std::collections::BTreeMap;

use super::constants::*;
use super::rng::{sigmoid, softmax_weights};
use super::world::{Item, Moment, User};
use super::{DAY_MS, HOUR_MS};

/// What one user did with one item.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// Times of plays, in order.
    pub(super) plays: Vec<i64>,
    /// Whether it was followed or liked.
    pub(super) endorsed: bool,
}

/// What one user did, by index of the item.
pub(super) type History = BTreeMap<usize, Past>;

/// Log-odds of a listen to a show or a playlist that is examined.
pub(super) fn want(user: &User, item: &Item, past: Option<&Past>, now: &Moment) -> f64 {
    let c = &CONSTANTS;
    let (daypart, weekend) = (now.daypart(), now.weekend());
    let mut z = c.quality * item.quality + c.popularity * item.popularity;
    z += c.style * (user.style[0] * item.style[0] + user.style[1] * item.style[1]);
    z += c.segment * (COUNTRY_GENRE[user.country][item.genre] + DEVICE_GENRE[now.device][item.genre]);
    if user.language != item.language {
        // English is understood everywhere, half-way, and a playlist needs less understanding.
        let halves = usize::from(item.language == 0) + usize::from(!item.is_show());
        z += c.language * [1.0, 0.5, 0.25][halves];
    }
    if let Some(mood) = item.mood {
        z += c.playlist_base + c.playlist_taste * taste(user, item);
        z += c.mood * (DAYPART_MOOD[daypart][mood] + AGE_MOOD[user.age][mood]);
        z += item.country.map_or(0.0, |at| if at == user.country { c.country_focus } else { -c.country_focus });
    } else {
        z += c.show_base + c.taste * taste(user, item);
        z += c.habit * habit(user, item, daypart, weekend) + c.daypart * DAYPART_GENRE[daypart][item.genre];
        z += c.length * libm::fabs(libm::log(item.duration_min / DEVICE_MINUTES[now.device]));
        z += c.fresh * freshness(item, now.ts);
    }
    if let Some((past, last)) = past.and_then(|past| Some((past, *past.plays.last()?))) {
        let known = c.known * libm::log1p(decayed(past, now, None));
        z += if known > c.known_limit { c.known_limit } else { known };
        z += c.satiation * libm::exp2(-hours(now.ts - last) / c.satiation_hours);
    }
    z
}

/// Expected gain of showing an item that is examined: a listen gains 1, a follow or like 3 (grades 1 and 2).
pub(super) fn relevance(want: f64) -> f64 {
    sigmoid(want) * (1.0 + 2.0 * endorsement(want))
}

/// Probability that a listen is followed by a follow or a like.
pub(super) fn endorsement(want: f64) -> f64 {
    CONSTANTS.endorse * sigmoid(want)
}

/// Probability of each item of the history to be the next familiar listen, in the history's order.
pub(super) fn familiar(user: &User, items: &[Item], history: &History, now: &Moment) -> Vec<f64> {
    let wants: Vec<f64> = history.iter().map(|(&index, past)| want_again(user, &items[index], past, now)).collect();
    let weights = softmax_weights(&wants, 1.0);
    let all: f64 = weights.iter().sum();
    weights.iter().map(|w| w / all).collect()
}

fn want_again(user: &User, item: &Item, past: &Past, now: &Moment) -> f64 {
    let c = &CONSTANTS;
    let mut z = c.frequency * libm::log(0.2 + decayed(past, now, None));
    z += c.same_hour * libm::log(0.2 + decayed(past, now, Some(c.hour_width)));
    z += c.familiar_taste * taste(user, item);
    z += c.familiar_habit * habit(user, item, now.daypart(), now.weekend());
    z += c.familiar_segment * DEVICE_GENRE[now.device][item.genre];
    if past.endorsed {
        z += 0.5;
    }
    let Some(&last) = past.plays.last() else { return z };
    z += c.familiar_satiation * libm::exp2(-hours(now.ts - last) / c.satiation_hours);
    if item.newest_episode_ms(now.ts).is_some_and(|newest| newest > last) {
        z += c.familiar_fresh * freshness(item, now.ts);
    }
    z
}

fn taste(user: &User, item: &Item) -> f64 {
    let second = CONSTANTS.second_genre;
    (1.0 - second) * user.taste[item.genre] + second * user.taste[item.second]
}

/// 1 for the habitual genre of this part of the week, half for an item that has it as its second one.
fn habit(user: &User, item: &Item, daypart: usize, weekend: usize) -> f64 {
    let genre = user.habits[weekend][daypart];
    if item.genre == genre {
        1.0
    } else if item.second == genre {
        0.5
    } else {
        0.0
    }
}

fn freshness(item: &Item, ts: i64) -> f64 {
    item.newest_episode_ms(ts).map_or(0.0, |newest| libm::exp2(-hours(ts - newest) / CONSTANTS.fresh_hours))
}

/// Plays, halved every `half_life_days`; with a width, those near this hour of the day.
fn decayed(past: &Past, now: &Moment, hour_width: Option<f64>) -> f64 {
    let mut sum = 0.0;
    for &ts in &past.plays {
        let mut weight = libm::exp2(-((now.ts - ts) as f64) / (CONSTANTS.half_life_days * DAY_MS as f64));
        if let Some(width) = hour_width {
            let apart = libm::fabs(now.hour(now.ts) - now.hour(ts));
            let apart = if apart > 12.0 { 24.0 - apart } else { apart } / width;
            weight *= libm::exp(-0.5 * apart * apart);
        }
        sum += weight;
    }
    sum
}

fn hours(ms: i64) -> f64 {
    ms as f64 / HOUR_MS as f64
}
