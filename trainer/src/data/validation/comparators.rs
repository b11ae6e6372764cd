//! The comparators that TFDV has, where the schema gives a threshold.
//!
//! # Source
//! TFDV 1.16, `anomalies/feature_util.cc`, `UpdateFeatureComparatorDirect`.

use crate::data::schema::Comparators;
use crate::data::statistics::FeatureStatistics;

use super::Control;
use super::anomaly::{Finding, Kind, six_digits};
use super::chance;
use super::distance::{counts, jensen_shannon_of_numbers, jensen_shannon_of_strings};
use super::distance::{l_infinity, normalized_abs_difference};

/// A distance from a control, above its threshold or not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    pub(super) measure: &'static str,
    pub(super) value: f64,
    pub(super) threshold: f64,
}

/// Compares a feature with a control of it by the thresholds of a schema.
///
/// In a slice a threshold is no lower than what chance explains of so few rows.
pub(super) fn check(
    comparators: &Comparators,
    control: Control,
    in_slice: bool,
    now: &FeatureStatistics,
    then: Option<&FeatureStatistics>,
    findings: &mut Vec<Finding>,
    measurements: &mut Vec<Measured>,
) {
    let said =
        [comparators.infinity_norm, comparators.normalized_abs_difference, comparators.jensen_shannon_divergence];
    if said == [None; 3] {
        return;
    }
    let (treatment, name) = control.names();
    let Some(then) = then else {
        let (short, description) = (format!("{name} data missing"), format!("{name} data is missing."));
        findings.push(Finding::new(Kind::ControlMissing, short, description));
        return;
    };
    let between = format!("between {treatment} and {name}");
    let (a, b) = (counts(now), counts(then));
    let chance = if in_slice { chance::of_shares(0.5, now.valency.total, then.valency.total) } else { 0.0 };
    let mut compare = |kind, measure, what: &str, threshold: f64, value: f64, worst: Option<String>| {
        let threshold = if chance > threshold { chance } else { threshold };
        measurements.push(Measured { measure, value, threshold });
        if value <= threshold {
            return;
        }
        let mut description = format!(
            "The {what} {between} is {} (up to six significant digits), above the threshold {}.",
            six_digits(value),
            six_digits(threshold)
        );
        if let Some(worst) = &worst {
            description.push_str(&format!(" The feature value with maximum difference is: {worst}"));
        }
        let finding = Finding::new(kind, format!("High {what} {between}"), description).measured(value, threshold);
        findings.push(match worst {
            Some(worst) => finding.worst(worst),
            None => finding,
        });
    };
    if let Some(threshold) = comparators.infinity_norm {
        let far = l_infinity(&a, &b);
        compare(Kind::LInfinity, "L_INFTY", "Linfty distance", threshold, far.distance, Some(far.value));
    }
    if let Some(threshold) = comparators.normalized_abs_difference {
        let far = normalized_abs_difference(&a, &b);
        let what = "normalized absolute difference";
        let measure = "NORMALIZED_ABSOLUTE_DIFFERENCE";
        compare(Kind::NormalizedDifference, measure, what, threshold, far.distance, Some(far.value));
    }
    if let Some(threshold) = comparators.jensen_shannon_divergence {
        let divergence = match (now.numbers(), then.numbers()) {
            (Some(now), Some(then)) => jensen_shannon_of_numbers(now, then),
            _ => jensen_shannon_of_strings(&a, &b),
        };
        if let Some(divergence) = divergence {
            let what = "approximate Jensen-Shannon divergence";
            compare(Kind::JensenShannon, "JENSEN_SHANNON_DIVERGENCE", what, threshold, divergence, None);
        }
    }
}
