//! The comparators that need no threshold from anyone: what changed, and by which name it goes.
//!
//! Numbers are compared by [`quantile_distance`], strings by the shares of each, both by the share of missing values.
//! A change is an anomaly where it is more than chance explains and more than the tolerance: the schema's, or what
//! past days say of this feature.
//! Where numbers differ it is asked whether another unit explains it, or, of hours of the day, another time zone;
//! of strings, whether another case does.

use std::collections::BTreeMap;

use crate::data::schema::{Comparators, Tolerance};
use crate::data::statistics::{FeatureStatistics, KEPT_VALUES, Ranks, StringStatistics};

use super::Control;
use super::anomaly::{Finding, Kind, six_digits};
use super::chance;
use super::comparators::Measured;
use super::distance::{quantile_distance, quantile_distance_within};

/// How far a scale must be from 1 to be another unit: as far as miles and kilometres, or nearly.
const SCALE: f64 = 1.5;
/// Scales between units: of length, weight, speed, time and bytes.
const UNITS: [f64; 11] =
    [1.609_344, 2.54, 3.280_84, 2.204_623, 3.6, 24.0, 60.0, 3_600.0, 86_400.0, 1_024.0, 1_048_576.0];
/// By how much a number is off that was scaled and rounded to 32 bits.
const ROUNDING: f64 = 1e-6;

/// How far a feature is from a control, and how far chance alone may put it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Distances {
    pub(super) quantile: Option<Distance>,
    pub(super) category: Option<Distance>,
    pub(super) missing: Option<Distance>,
    pub(super) not_finite: Option<Distance>,
}

/// A distance, and what chance and sketches explain of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distance {
    pub(super) value: f64,
    pub(super) chance: f64,
}

/// What is measured of every feature.
pub(super) fn distances(now: &FeatureStatistics, then: &FeatureStatistics) -> Distances {
    let mut distances = Distances::default();
    if let (Some(now), Some(then)) = (now.numbers(), then.numbers()) {
        distances.quantile = quantile_distance(&now.ranks, &then.ranks)
            .map(|(value, _)| Distance { value, chance: chance_of_ranks(&now.ranks, &then.ranks) });
        let of = |n: &crate::data::statistics::NumberStatistics| {
            let off = n.nan + n.positive_infinities + n.negative_infinities;
            (off, n.finite + off)
        };
        distances.not_finite = share_distance(of(now), of(then));
    }
    if let (Some(now), Some(then)) = (now.strings(), then.strings()) {
        distances.category = category_distance(&shares(now), &shares(then)).map(|(distance, _)| distance);
    }
    let rows = |of: &FeatureStatistics| (of.missing, of.missing + of.present);
    distances.missing = share_distance(rows(now), rows(then));
    distances
}

/// Compares a feature with a control of it.
pub(super) fn check(
    tolerance: Tolerance,
    comparators: Option<&Comparators>,
    control: Control,
    (now, then): (&FeatureStatistics, &FeatureStatistics),
    findings: &mut Vec<Finding>,
    measurements: &mut Vec<Measured>,
) {
    let distances = distances(now, then);
    let said = comparators.copied().unwrap_or_default();
    let mut over = |measure, distance: Option<Distance>, tolerance: f64| {
        let Distance { value, chance } = distance?;
        let threshold = if chance > tolerance { chance } else { tolerance };
        measurements.push(Measured { measure, value, threshold });
        (libm::fabs(value) > threshold).then_some((value, threshold))
    };
    let (treatment, name) = control.names();
    let missing = over("MISSING_SHARE", distances.missing, said.missing.unwrap_or(tolerance.missing));
    if let Some((value, threshold)) = missing {
        let (kind, verb) = if value > 0.0 { (Kind::MissingRose, "rose") } else { (Kind::MissingFell, "fell") };
        let description = format!(
            "Of {treatment} {}% of the rows have no value, of {name} {}%.",
            percent(now.missing_share()),
            percent(then.missing_share())
        );
        let short = format!("The share of missing values {verb}");
        findings.push(Finding::new(kind, short, description).measured(libm::fabs(value), threshold));
    }
    let not_finite = over("NOT_FINITE_SHARE", distances.not_finite, said.missing.unwrap_or(tolerance.missing));
    if let Some((value, threshold)) = not_finite.filter(|(value, _)| *value > 0.0) {
        let description =
            format!("Of {treatment} {}% more of the numbers are NaN or infinite than of {name}.", percent(value));
        let short = "The share of numbers that are not finite rose";
        findings.push(Finding::new(Kind::NotFiniteRose, short, description).measured(value, threshold));
    }
    if let Some((value, threshold)) = over("QUANTILE", distances.quantile, said.quantile.unwrap_or(tolerance.quantile))
        && let (Some(now), Some(then)) = (now.numbers(), then.numbers())
    {
        findings.push(name_numbers(&now.ranks, &then.ranks, control, threshold).measured(value, threshold));
    }
    if let Some((value, threshold)) = over("CATEGORY", distances.category, said.category.unwrap_or(tolerance.category))
        && let (Some(now), Some(then)) = (now.strings(), then.strings())
    {
        findings.push(name_strings(now, then, control, threshold).measured(value, threshold));
    }
}

/// The name of a change of numbers that is known to be one.
fn name_numbers(now: &Ranks, then: &Ranks, control: Control, threshold: f64) -> Finding {
    let (treatment, name) = control.names();
    if let Some(hours) = hours_shifted(now, then, threshold) {
        let description = format!(
            "The hours of {treatment} are those of {name} shifted by {hours:+}: after shifting them back, both agree."
        );
        return Finding::new(Kind::HoursShifted, "Hours of another time zone", description)
            .worst(format!("{hours:+} h"));
    }
    if let Some(scale) = unit_changed(now, then, threshold) {
        let scale = six_digits(scale);
        let description = format!(
            "The numbers of {treatment} are {scale} times those of {name}: after dividing by that, both agree."
        );
        return Finding::new(Kind::UnitChanged, "Numbers in another unit", description).worst(format!("x {scale}"));
    }
    let at = quantile_distance(now, then).map_or(0.0, |(_, at)| at);
    let description = format!(
        "Of {treatment} {}% of the numbers are at most {}, of {name} {}%.",
        percent(now.share_at_most(at)),
        six_digits(at),
        percent(then.share_at_most(at))
    );
    let short = format!("Numbers of {treatment} and {name} are distributed differently");
    Finding::new(Kind::QuantileDistance, short, description).worst(six_digits(at))
}

/// The scale that makes the quantiles agree, where there is one and it is far from 1.
fn unit_changed(now: &Ranks, then: &Ranks, threshold: f64) -> Option<f64> {
    let mut scales: Vec<f64> = (1..20)
        .filter_map(|twentieth| {
            let q = f64::from(twentieth) / 20.0;
            Some((now.quantile(q)?, then.quantile(q)?))
        })
        .filter(|(now, then)| now * then > 0.0)
        .map(|(now, then)| now / then)
        .collect();
    scales.sort_by(f64::total_cmp);
    let scale = *scales.get(scales.len() / 2)?;
    if scale < SCALE && scale > 1.0 / SCALE {
        return None;
    }
    let scaled = |scale: f64| {
        let points = now.points.iter().map(|&(x, at_most)| (x / scale, at_most)).collect();
        Ranks { count: now.count, worst_error: now.worst_error, points }
    };
    // The median has the noise of the quantiles: a unit that is known, or a scale with few digits, is what it means.
    let known = UNITS.iter().flat_map(|&unit| [unit, 1.0 / unit]).filter(|unit| libm::fabs(scale / unit - 1.0) < 0.03);
    let few_digits = format!("{scale:.1e}").parse();
    known.chain(few_digits).chain([scale]).find(|&scale| {
        quantile_distance_within(&scaled(scale), then, ROUNDING).is_some_and(|(distance, _)| distance <= threshold)
    })
}

/// By how many hours, from -11 to 12, whole hours of the day are shifted, where that explains the difference.
fn hours_shifted(now: &Ranks, then: &Ranks, threshold: f64) -> Option<i32> {
    let by_hour = |ranks: &Ranks| -> Option<[u64; 24]> {
        let (mut hours, mut below) = ([0; 24], 0);
        for &(x, at_most) in &ranks.points {
            if !(0.0..24.0).contains(&x) || libm::trunc(x) != x {
                return None;
            }
            hours[x as usize] = at_most - below;
            below = at_most;
        }
        Some(hours)
    };
    let (now, then) = (by_hour(now)?, by_hour(then)?);
    // Less than half of the hours is another thing than hours.
    if then.iter().filter(|&&n| n > 0).count() < 12 {
        return None;
    }
    let back = |shift: usize| -> Vec<(f64, u64)> {
        (0..24).map(|hour| (hour as f64, now[(hour + shift) % 24])).filter(|&(_, n)| n > 0).collect()
    };
    let all = then.iter().enumerate().filter(|(_, n)| **n > 0).map(|(hour, &n)| (hour as f64, n));
    let then = Ranks::of(&all.collect::<Vec<_>>(), 24);
    let (distance, shift) = (1..24)
        .filter_map(|shift| Some((quantile_distance(&Ranks::of(&back(shift), 24), &then)?.0, shift)))
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let shift = shift as i32;
    (distance <= threshold).then_some(if shift > 12 { shift - 24 } else { shift })
}

/// The name of a change of strings that is known to be one.
fn name_strings(now: &StringStatistics, then: &StringStatistics, control: Control, threshold: f64) -> Finding {
    let (treatment, name) = control.names();
    let (now, then) = (shares(now), shares(then));
    let folded = category_distance(&now.folded(), &then.folded());
    let worst = category_distance(&now, &then).map(|(_, value)| value).unwrap_or_default();
    let of = |shares: &Shares| percent(shares.share(&worst));
    let shares = format!("`{worst}` is {}% of {treatment} and {}% of {name}", of(&now), of(&then));
    if folded.is_none_or(|(distance, _)| distance.value <= threshold) {
        let description = format!("{shares}; when upper and lower case are taken for the same, both agree.");
        return Finding::new(Kind::CasingChanged, "Strings in another case", description).worst(worst);
    }
    let short = format!("Shares of strings differ between {treatment} and {name}");
    Finding::new(Kind::CategoryShare, short, format!("{shares}.")).worst(worst)
}

/// Strings with their counts.
struct Shares {
    counts: BTreeMap<String, u64>,
    all: u64,
    /// What the count of a string may be that is not among them.
    unlisted: u64,
}

impl Shares {
    fn share(&self, value: &str) -> f64 {
        self.counts.get(value).copied().unwrap_or(0) as f64 / self.all.max(1) as f64
    }

    fn folded(&self) -> Shares {
        let mut counts = BTreeMap::new();
        for (value, count) in &self.counts {
            *counts.entry(value.to_lowercase()).or_insert(0) += count;
        }
        Shares { counts, ..*self }
    }
}

fn shares(of: &StringStatistics) -> Shares {
    let full = of.values.len() >= KEPT_VALUES;
    Shares {
        counts: of.values.iter().cloned().collect(),
        all: of.values.iter().map(|(_, count)| count).sum(),
        unlisted: if full { of.values.last().map_or(0, |(_, n)| *n) } else { 0 } + of.frequencies_too_low_by,
    }
}

/// The greatest difference of a string's share that chance does not explain, or else that it does; and the string.
fn category_distance(now: &Shares, then: &Shares) -> Option<(Distance, String)> {
    if now.all == 0 || then.all == 0 {
        return None;
    }
    let unlisted = now.unlisted as f64 / now.all as f64 + then.unlisted as f64 / then.all as f64;
    let mut worst: Option<(bool, Distance, &String)> = None;
    for value in now.counts.keys().chain(then.counts.keys()) {
        let count = |of: &Shares| of.counts.get(value).copied().unwrap_or(0);
        let difference = share_distance((count(now), now.all), (count(then), then.all))?;
        let distance = Distance { value: libm::fabs(difference.value), chance: difference.chance + unlisted };
        let surprises = distance.value > distance.chance;
        let is_worse = |(other, most, _): (bool, Distance, &String)| match (surprises, other) {
            (true, false) => true,
            (false, true) => false,
            _ => distance.value > most.value,
        };
        if worst.is_none_or(is_worse) {
            worst = Some((surprises, distance, value));
        }
    }
    worst.map(|(_, distance, value)| (distance, value.clone()))
}

/// The difference of two shares, positive where the first is greater.
fn share_distance((a, n): (u64, u64), (b, m): (u64, u64)) -> Option<Distance> {
    if n == 0 || m == 0 {
        return None;
    }
    let value = a as f64 / n as f64 - b as f64 / m as f64;
    Some(Distance { value, chance: chance::of_shares((a + b) as f64 / (n + m) as f64, n, m) })
}

fn chance_of_ranks(now: &Ranks, then: &Ranks) -> f64 {
    chance::of_quantiles(now.count, then.count) + now.worst_error + then.worst_error
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}
