//! Drift: how far what an edge logs is from what its bundle was trained on, feature by feature.
//!
//! The values of every logged row are counted into the buckets of the bundle's [`Profile`], over the last requests:
//! counts fill up to [`HALF`] requests, take the place of the ones before, and both together are compared.
//! So memory does not grow, no clock is read, and what changed is seen whole after twice as many requests at most.

use std::sync::{Mutex, MutexGuard, PoisonError};

use shared_features::column::{Column, NO_TIME};
use shared_features::encoder::{Encoder, Values};

use crate::profile::{FeatureProfile, Profile, Spread};

mod text;

pub(crate) use text::render;

/// After how many requests counts take the place of the ones before.
pub const HALF: u64 = 5_000;
/// Nothing is said of fewer requests: rows of one request share its user and its context, so only requests count.
pub const MIN_REQUESTS: u64 = 500;

/// What was logged under a bundle, counted.
#[derive(Debug)]
pub struct Drift {
    names: Vec<String>,
    profile: Profile,
    window: Mutex<Window>,
}

/// How far a feature is from training.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDrift<'a> {
    /// Its name.
    pub feature: &'a str,
    /// Difference of the shares of rows without a value, 0 to 1; `None` for a profile of no rows.
    pub missing: Option<f64>,
    /// Distance of the values that are there, 0 to 1: of numbers the greatest difference of the shares that are at most
    /// a cut point (Kolmogorov-Smirnov), of strings the greatest difference of a share (L-infinity).
    /// `None` where too few requests had a value, and where the profile knows none.
    pub distribution: Option<f64>,
}

#[derive(Debug, Default)]
struct Window {
    before: Counts,
    filling: Counts,
}

/// Counts of some requests.
#[derive(Clone, Debug, Default)]
struct Counts {
    requests: u64,
    rows: u64,
    /// A feature each; empty before the first request.
    features: Vec<Seen>,
}

/// What was seen of a feature.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    /// Rows without a value.
    missing: u64,
    /// Requests with a value in some row.
    requests: u64,
    /// Values by the profile's buckets; empty where it has none.
    buckets: Vec<u64>,
}

impl Drift {
    /// Counts against the profile of an encoder's features, from nothing.
    pub fn new(encoder: &Encoder, profile: Profile) -> Drift {
        let names = encoder.features.iter().map(|f| f.name.clone()).collect();
        Drift { names, profile, window: Mutex::default() }
    }

    /// Counts the logged rows of one request; values of other features are left out.
    pub fn count(&self, values: &Values) {
        if values.rows == 0 || values.columns.len() != self.profile.features.len() {
            return;
        }
        let features = values.columns.iter().zip(&self.profile.features);
        let features = features.map(|(column, profile)| Seen::of(column, profile)).collect();
        let one = Counts { requests: 1, rows: values.rows.into(), features };
        let mut window = self.lock();
        window.filling.add(&one);
        if window.filling.requests >= HALF {
            window.before = std::mem::take(&mut window.filling);
        }
    }

    /// How many requests and rows are behind [`Drift::measure`].
    pub fn counted(&self) -> (u64, u64) {
        let window = self.lock();
        (window.before.requests + window.filling.requests, window.before.rows + window.filling.rows)
    }

    /// How far each feature is, in the encoder's order; nothing before [`MIN_REQUESTS`].
    pub fn measure(&self) -> Vec<FeatureDrift<'_>> {
        let counts = {
            let window = self.lock();
            let mut counts = window.before.clone();
            counts.add(&window.filling);
            counts
        };
        if counts.requests < MIN_REQUESTS {
            return Vec::new();
        }
        let features = self.names.iter().zip(&self.profile.features).zip(&counts.features);
        features
            .map(|((name, profile), seen)| FeatureDrift {
                feature: name,
                missing: (self.profile.rows > 0)
                    .then(|| (share(seen.missing, counts.rows) - share(profile.missing, self.profile.rows)).abs()),
                distribution: if seen.requests < MIN_REQUESTS { None } else { seen.distance(&profile.spread) },
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.requests += other.requests;
        self.rows += other.rows;
        if self.features.is_empty() {
            self.features.clone_from(&other.features);
            return;
        }
        for (seen, other) in self.features.iter_mut().zip(&other.features) {
            seen.missing += other.missing;
            seen.requests += other.requests;
            seen.buckets.iter_mut().zip(&other.buckets).for_each(|(count, other)| *count += other);
        }
    }
}

impl Seen {
    /// The values of one request.
    fn of(column: &Column, profile: &FeatureProfile) -> Seen {
        let mut buckets = match &profile.spread {
            Spread::Unknown => Vec::new(),
            Spread::Numbers { counts, .. } | Spread::Strings { counts, .. } => vec![0; counts.len()],
        };
        let mut count = |bucket: usize| {
            if let Some(count) = buckets.get_mut(bucket) {
                *count += 1;
            }
        };
        let missing = match (column, &profile.spread) {
            (Column::Number(numbers), spread) => {
                let cuts = if let Spread::Numbers { cuts, .. } = spread { &cuts[..] } else { &[] };
                let known = numbers.iter().filter(|x| !x.is_nan());
                known.for_each(|x| count(cuts.partition_point(|cut| cut < x)));
                numbers.iter().filter(|x| x.is_nan()).count()
            }
            (Column::Category(categories), spread) => {
                let places = places(&categories.names, spread);
                let known = categories.codes.iter().filter_map(|&code| places.get(code as usize));
                known.map(|&place| count(place)).fold(categories.codes.len(), |missing, ()| missing - 1)
            }
            (Column::Tags(tags), spread) => {
                let places = places(&tags.names, spread);
                tags.codes.iter().filter_map(|&code| places.get(code as usize)).for_each(|&place| count(place));
                tags.offsets.windows(2).filter(|row| row[0] == row[1]).count()
            }
            (Column::Vector(vectors), _) => {
                let rows = vectors.data.chunks(vectors.width.max(1) as usize);
                rows.filter(|row| row.iter().all(|x| x.is_nan())).count()
            }
            (Column::Timestamp(times), _) => times.iter().filter(|&&time| time == NO_TIME).count(),
        };
        Seen { missing: missing as u64, requests: u64::from(missing < column.rows()), buckets }
    }

    /// How far the counted values are from how they were spread in training.
    fn distance(&self, spread: &Spread) -> Option<f64> {
        let (counts, cumulative) = match spread {
            Spread::Unknown => return None,
            Spread::Numbers { counts, .. } => (counts, true),
            Spread::Strings { counts, .. } => (counts, false),
        };
        let (all, all_here) = (counts.iter().sum(), self.buckets.iter().sum());
        if all == 0 || all_here == 0 {
            return None;
        }
        let (mut there, mut here, mut farthest) = (0, 0, 0.0f64);
        for (&trained, &seen) in counts.iter().zip(&self.buckets) {
            (there, here) = if cumulative { (there + trained, here + seen) } else { (trained, seen) };
            let distance = (share(there, all) - share(here, all_here)).abs();
            if distance > farthest {
                farthest = distance;
            }
        }
        Some(farthest)
    }
}

/// The bucket of each name of a dictionary.
fn places(dictionary: &[String], spread: &Spread) -> Vec<usize> {
    let names = if let Spread::Strings { names, .. } = spread { &names[..] } else { &[] };
    dictionary.iter().map(|name| names.binary_search(name).unwrap_or(names.len())).collect()
}

fn share(part: u64, all: u64) -> f64 {
    part as f64 / all as f64
}

#[cfg(test)]
mod tests;
