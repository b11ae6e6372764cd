//! The population and the catalogue, and what is true of them without anybody seeing it.

use super::constants::*;
use super::rng::{Draws, softmax_weights};
use super::{DAY_MS, EPOCH_MS, HOUR_MS, World};

/// An item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    /// Of playlists.
    pub(super) mood: Option<usize>,
    pub(super) genre: usize,
    pub(super) second: usize,
    pub(super) language: usize,
    pub(super) publisher: usize,
    /// The country a playlist is made for.
    pub(super) country: Option<usize>,
    pub(super) duration_min: f64,
    pub(super) released_ms: i64,
    /// From when on it is in the catalogue; the start of the simulation for those that were there before.
    pub(super) published_ms: i64,
    /// First episode on or after `published_ms`, and the time between two; shows only.
    pub(super) episodes: Option<(i64, i64)>,
    /// Hidden: standard normal.
    pub(super) quality: f64,
    /// Hidden: standard normal.
    pub(super) popularity: f64,
    /// Hidden: standard normal.
    pub(super) style: [f64; 2],
}

/// A user.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) country: usize,
    pub(super) age: usize,
    pub(super) channel: usize,
    pub(super) language: usize,
    /// Day of the first visit; 0 for those who were there before.
    pub(super) first_day: u32,
    /// Whether the user signs up during the simulation.
    pub(super) new: bool,
    /// Hidden: by genre.
    pub(super) taste: [f64; 10],
    /// Hidden: the habitual genre by weekend and daypart.
    pub(super) habits: [[usize; 4]; 2],
    /// Hidden: standard normal.
    pub(super) style: [f64; 2],
    /// Hidden: probability of a visit on a day.
    pub(super) activity: f64,
}

impl Item {
    pub(super) fn is_show(&self) -> bool {
        self.mood.is_none()
    }

    /// When the newest episode appeared, at most `ts`.
    pub(super) fn newest_episode_ms(&self, ts: i64) -> Option<i64> {
        let (first, every) = self.episodes?;
        let newest = if ts < first { first - every } else { ts - (ts - first).rem_euclid(every) };
        // A show that was new when it appeared had no episode before.
        Some(if newest < self.released_ms { self.released_ms } else { newest })
    }
}

/// The catalogue; playlists come after shows.
pub(super) fn items(world: &World) -> Vec<Item> {
    let playlists = libm::round(f64::from(world.items) * CONSTANTS.playlists) as u32;
    (0..world.items).map(|index| item(world, index, index + playlists >= world.items)).collect()
}

fn item(world: &World, index: u32, playlist: bool) -> Item {
    let draws = &mut Draws::new(world.seed, "item", &[u64::from(index)]);
    let genre = draws.below(GENRES.len());
    // Never the first one again.
    let second = (genre + 1 + draws.below(GENRES.len() - 1)) % GENRES.len();
    let language = draws.weighted(&[0.55, 0.2, 0.15, 0.1]);
    let span = i64::from(world.days) * DAY_MS;
    let new = draws.chance(CONSTANTS.new_items);
    let published_ms = if new { EPOCH_MS + (draws.uniform() * span as f64) as i64 } else { EPOCH_MS - DAY_MS };
    let released_ms = if new { published_ms } else { EPOCH_MS - (draws.between(5.0, 900.0) * DAY_MS as f64) as i64 };
    let every = [1, 7, 14][draws.weighted(&[0.12, 0.63, 0.25])] * DAY_MS;
    let first = if new { published_ms } else { EPOCH_MS + (draws.uniform() * every as f64) as i64 };
    let minutes = libm::round(libm::exp(3.3 + 0.55 * draws.normal()));
    let focus = draws.chance(0.3).then(|| draws.below(COUNTRIES.len()));
    let mood = draws.below(MOODS.len());
    Item {
        id: if playlist { format!("playlist-{index:04}") } else { format!("show-{index:04}") },
        mood: playlist.then_some(mood),
        genre,
        second,
        language: focus.filter(|_| playlist).map_or(language, |country| COUNTRY_LANGUAGE[country]),
        publisher: draws.below(24),
        country: focus.filter(|_| playlist),
        duration_min: if minutes < 4.0 { 4.0 } else { minutes },
        released_ms,
        published_ms,
        episodes: (!playlist).then_some((first, every)),
        quality: draws.normal(),
        popularity: draws.normal(),
        style: [draws.normal(), draws.normal()],
    }
}

/// The population, in order of index.
pub(super) fn users(world: &World) -> Vec<User> {
    (0..world.users).map(|index| user(world, index)).collect()
}

fn user(world: &World, index: u32) -> User {
    let draws = &mut Draws::new(world.seed, "user", &[u64::from(index)]);
    let country = draws.weighted(&COUNTRY_SHARE);
    let age = draws.weighted(&[0.25, 0.3, 0.27, 0.18]);
    let channel = draws.below(CHANNELS.len());
    let weights: Vec<f64> = (0..ARCHETYPES.len())
        .map(|k| libm::exp(CONSTANTS.archetype * (AGE_ARCHETYPE[age][k] + CHANNEL_ARCHETYPE[channel][k])))
        .collect();
    let archetype = ARCHETYPES[draws.weighted(&weights)];
    let taste = std::array::from_fn(|genre| archetype[genre] + CONSTANTS.own_taste * draws.normal());
    let habits = std::array::from_fn(|weekend| {
        std::array::from_fn(|daypart| {
            // Weekends are for the evening's genres, in the morning too.
            let prior = |genre: usize| DAYPART_GENRE[if weekend == 1 && daypart < 2 { 2 } else { daypart }][genre];
            let scores: [f64; 10] = std::array::from_fn(|genre| 0.8 * taste[genre] + prior(genre));
            draws.weighted(&softmax_weights(&scores, 0.6))
        })
    });
    let new = !draws.chance(CONSTANTS.established);
    User {
        id: format!("user-{index:05}"),
        country,
        age,
        channel,
        language: if draws.chance(0.88) { COUNTRY_LANGUAGE[country] } else { 0 },
        first_day: if new { draws.below(world.days.max(1) as usize) as u32 } else { 0 },
        new,
        taste,
        habits,
        style: [draws.normal(), draws.normal()],
        activity: draws.between(0.3, 0.95),
    }
}

/// The part of the local day that an hour belongs to.
pub(super) fn daypart(hour: u32) -> usize {
    // The night goes on until the morning.
    DAYPART_FROM.iter().rposition(|&from| hour >= from).unwrap_or(3)
}

/// Now, as a user sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) ts: i64,
    pub(super) offset_min: i16,
    pub(super) device: usize,
}

impl Moment {
    /// The local hour with its fraction, 0 to 24.
    pub(super) fn hour(&self, ts: i64) -> f64 {
        let local = (ts + i64::from(self.offset_min) * 60_000).rem_euclid(DAY_MS);
        local as f64 / HOUR_MS as f64
    }

    pub(super) fn daypart(&self) -> usize {
        daypart(shared_features::numeric::local_hour(self.ts, self.offset_min))
    }

    /// 1 on Saturday and Sunday.
    pub(super) fn weekend(&self) -> usize {
        usize::from(shared_features::numeric::local_weekday(self.ts, self.offset_min) >= 5)
    }
}
