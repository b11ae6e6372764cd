//! The simulator: a made-up Home that is worth learning from, and a null one that is not.
//!
//! # The model
//!
//! **Users** have a country, an age band, a sign-up channel and a language, which everybody sees, and hidden: a taste
//! for each of ten genres, a habitual genre for each part of the day on weekdays and weekends, a style, and an activity.
//! An archetype is drawn with probability `~ exp(A[age] + C[channel])`; taste is the archetype's plus own noise.
//! About a third are there before the first day; the others sign up on a uniformly drawn day.
//!
//! **Items** are shows and playlists with two genres, a language, a length, hidden quality and popularity.
//! A fifth appear during the simulation; shows publish episodes every 1, 7 or 14 days (an `item` event each).
//!
//! **Podcasts and playlists**: an item that is examined is played with probability `sigmoid(z)`,
//! ```text
//! z = base + taste (.65 t[genre] + .35 t[second]) + quality + popularity + style . style
//!       + segment (country[genre] + device[genre]) + language
//!   shows:     + habit [genre of this part of the week] + daypart[genre] - length |log(minutes / device's)|
//!              + fresh 2^(-age of the newest episode / 36 h)
//!   playlists: + mood (daypart[mood] + age[mood]) +- made for the user's / another country
//!   known:     + known min(ln(1 + decayed plays)) - satiation 2^(-hours since the last play / 8)
//! ```
//! Position k is examined with probability `1 / (1 + bias k)`, whatever stands there. A play is endorsed (`follow` or
//! `like`) with probability `endorse sigmoid(z)`; an unwanted item is sometimes skipped. Expected gain with grades
//! play 1 and follow or like 2, `sigmoid(z) (1 + 2 endorse sigmoid(z))`, is the true relevance.
//!
//! **Shortcuts**: exactly one item of the history is wanted, item i with probability `~ exp(z_i)`,
//! ```text
//! z = frequency ln(.2 + decayed plays) + same_hour ln(.2 + decayed plays near this hour) + taste + habit
//!       + device[genre] + endorsed - satiation + fresh [an episode since the last play]
//! ```
//! which is its true relevance; it is played where the grid has it and it is seen.
//!
//! **The logging policy** ([`policy`]) recalls half of the candidates by popularity and past genres and half at random,
//! and shows a Plackett-Luce draw of them with recorded propensities.
//!
//! **The null world** has the same users, items and organic listens. Its policy draws uniformly, and a shown item is
//! played with one constant probability after examination (on shortcuts: one shown item, drawn uniformly),
//! so that no feature of user, item or history can tell anything about a click.
//!
//! Same world, same bytes: every draw is a pure function of (seed, stream, indices), and only `libm` is transcendental.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;
use shared_features::event::Event;

pub use super::store::Relevance;
use super::store::{self, DataError, Writer};

mod behaviour;
mod constants;
mod emit;
mod policy;
mod rng;
mod visit;
mod world;

use emit::{CATALOGUE, Made};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Monday, 5 January 2026, 00:00 UTC: the first day. The catalogue that was there before is dated a day earlier.
pub const EPOCH_MS: i64 = 1_767_571_200_000;
/// No event of a local day is earlier than this before it starts in UTC, whatever the country.
const EARLIEST_MS: i64 = 9 * HOUR_MS;

/// A world to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct World {
    /// Users, new ones included.
    pub users: u32,
    /// Items, new ones included; a sixth are playlists.
    pub items: u32,
    /// Days.
    pub days: u32,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// Draw clicks without regard to user or item.
    pub null: bool,
}

impl Default for World {
    fn default() -> World {
        World { users: 1_500, items: 360, days: 35, seed: 1, null: false }
    }
}

/// What was simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events.
    pub events: u64,
    /// Requests by surface.
    pub requests: BTreeMap<String, u64>,
    /// Candidates by surface; those of shortcuts are the user's history.
    pub candidates: BTreeMap<String, u64>,
}

/// Simulates a world: events in time order, and the true relevance of every candidate just before its request.
///
/// `progress` is told how many days are done, of how many.
///
/// # Errors
/// Those of `sink` and `oracle`.
pub fn simulate(
    world: &World,
    progress: &dyn Fn(u64, u64),
    sink: &mut dyn FnMut(Event) -> io::Result<()>,
    oracle: &mut dyn FnMut(Relevance) -> io::Result<()>,
) -> io::Result<Summary> {
    let items = world::items(world);
    let users = world::users(world);
    let mut visitors: Vec<visit::Visitor> =
        users.iter().zip(0..).map(|(user, index)| visit::Visitor::new(world, &items, user, index)).collect();
    let mut waiting: Vec<Made> = Vec::new();
    for (item, index) in items.iter().zip(0..) {
        for ts in emit::item_times(item, world.days) {
            waiting.push(Made { order: (CATALOGUE, index), event: emit::item_event(item, ts), relevance: Vec::new() });
        }
    }
    let mut summary = Summary::default();
    for day in 0..world.days {
        visitors.iter_mut().for_each(|visitor| visitor.day(day, &mut waiting));
        // What the next day makes cannot be earlier than this.
        let until = EPOCH_MS + i64::from(day + 1) * DAY_MS - EARLIEST_MS;
        let last = day + 1 == world.days;
        waiting.sort_by_key(|made| (made.event.ts(), made.order));
        let ready = if last { waiting.len() } else { waiting.partition_point(|made| made.event.ts() < until) };
        for made in waiting.drain(..ready) {
            emit_one(made, &mut summary, sink, oracle)?;
        }
        progress(u64::from(day) + 1, u64::from(world.days));
    }
    Ok(summary)
}

/// Simulates a world into a DATA folder.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(world: &World, folder: &Path, progress: &dyn Fn(u64, u64)) -> Result<store::Summary, DataError> {
    let writer = RefCell::new(Writer::create(folder)?);
    let failed = |e: DataError| io::Error::other(e);
    simulate(world, progress, &mut |event| writer.borrow_mut().push(event).map_err(failed), &mut |relevance| {
        writer.borrow_mut().push_relevance(relevance).map_err(failed)
    })
    .map_err(|source| DataError::Io { path: folder.to_owned(), source })?;
    writer.into_inner().finish(serde_json::json!({ "simulated": world }))
}

fn emit_one(
    made: Made,
    summary: &mut Summary,
    sink: &mut dyn FnMut(Event) -> io::Result<()>,
    oracle: &mut dyn FnMut(Relevance) -> io::Result<()>,
) -> io::Result<()> {
    if let Event::Request(request) = &made.event {
        *summary.requests.entry(request.surface.clone()).or_default() += 1;
        *summary.candidates.entry(request.surface.clone()).or_default() += made.relevance.len() as u64;
        for (item, relevance) in made.relevance {
            oracle(Relevance { request: request.id.clone(), item, relevance })?;
        }
    }
    summary.events += 1;
    sink(made.event)
}

#[cfg(test)]
mod tests;
