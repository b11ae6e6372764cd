//! How far one day is from another when nothing is wrong, learned from days that were fine.

use std::collections::BTreeMap;

use crate::data::schema::Tolerance;
use crate::data::statistics::{Slice, Statistics};

use super::change::{Distance, distances};

/// A day may be this much farther from another than any of the days were.
const MARGIN: f64 = 1.5;

/// The greatest distances between days, by slice and feature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NoiseFloor {
    features: BTreeMap<(Option<Slice>, String), Tolerance>,
}

impl NoiseFloor {
    /// Compares each day with each other one; of less than two days there is nothing to learn.
    pub fn learn(days: &[Statistics]) -> NoiseFloor {
        let mut features: BTreeMap<(Option<Slice>, String), Tolerance> = BTreeMap::new();
        for (i, day) in days.iter().enumerate() {
            for (slice, other) in days[..i].iter().flat_map(|other| {
                day.slices.iter().filter_map(|slice| Some((slice, other.slice(slice.slice.as_ref())?)))
            }) {
                for (now, then) in slice.features.iter().filter_map(|f| Some((f, other.feature(&f.name)?))) {
                    let found = distances(now, then);
                    let most = features.entry((slice.slice.clone(), now.name.clone())).or_insert(Tolerance {
                        quantile: 0.0,
                        category: 0.0,
                        missing: 0.0,
                    });
                    raise(&mut most.quantile, found.quantile);
                    raise(&mut most.category, found.category);
                    raise(&mut most.missing, found.missing);
                    raise(&mut most.missing, found.not_finite);
                }
            }
        }
        NoiseFloor { features }
    }

    /// What a feature's distances may be; `None` where no two days have it.
    pub fn tolerance(&self, slice: Option<&Slice>, feature: &str) -> Option<Tolerance> {
        self.features.get(&(slice.cloned(), feature.to_owned())).copied()
    }
}

fn raise(most: &mut f64, distance: Option<Distance>) {
    let distance = distance.map_or(0.0, |d| MARGIN * libm::fabs(d.value));
    if distance > *most {
        *most = distance;
    }
}
