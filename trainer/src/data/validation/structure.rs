//! Whether a feature is there as often, and with as many values, as the schema says.
//!
//! # Source
//! TFDV 1.16, `anomalies/feature_util.cc` and `schema.cc`, `UpdateFeatureInternal`.

use crate::data::schema::{Feature, Schema};
use crate::data::statistics::{FeatureStatistics, SliceStatistics, Type};

use super::anomaly::{Finding, Kind, six_digits};

/// Values a row, presence and type; the feature has a value in some row.
pub(super) fn check(feature: &Feature, of: &FeatureStatistics, findings: &mut Vec<Finding>) {
    value_count(feature, of, findings);
    findings.extend(shape(feature, of));
    presence(feature, of, findings);
    if of.of != feature.of {
        let name = |of: Type| match of {
            Type::Int => "INT",
            Type::Float => "FLOAT",
            Type::Bytes => "BYTES",
        };
        // In statistics TFDV calls bytes strings.
        let got = if of.of == Type::Bytes { "STRING" } else { name(of.of) };
        let description = format!("Expected data of type: {} but got {got}", name(feature.of));
        findings.push(Finding::new(Kind::UnexpectedType, "Unexpected data type", description));
    }
}

/// How many different values there are.
pub(super) fn unique(feature: &Feature, of: &FeatureStatistics, findings: &mut Vec<Finding>) {
    let (Some(unique), got) = (&feature.unique, of.distinct) else { return };
    if let Some(min) = unique.min.filter(|&min| got < min) {
        let description = format!("Expected at least {min} unique values but found only {got}.");
        let finding = Finding::new(Kind::LowUnique, "Low number of unique values", description);
        findings.push(finding.measured(got as f64, min as f64));
    }
    if let Some(max) = unique.max.filter(|&max| got > max) {
        let description = format!("Expected no more than {max} unique values but found {got}.");
        let finding = Finding::new(Kind::HighUnique, "High number of unique values", description);
        findings.push(finding.measured(got as f64, max as f64));
    }
}

/// How many rows the data set has, in itself and against the day before and another version.
pub(super) fn rows(
    schema: &Schema,
    now: &SliceStatistics,
    previous: Option<&SliceStatistics>,
    version: Option<&SliceStatistics>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (dataset, rows) = (&schema.dataset, now.rows);
    if let Some(min) = dataset.min_examples.filter(|&min| rows < min) {
        let description = format!("The dataset has {rows} examples, which is fewer than expected.");
        let finding = Finding::new(Kind::DatasetLow, "Low num examples in dataset.", description);
        findings.push(finding.measured(rows as f64, min as f64));
    }
    if let Some(max) = dataset.max_examples.filter(|&max| rows > max) {
        let description = format!("The dataset has {rows} examples, which is more than expected.");
        let finding = Finding::new(Kind::DatasetHigh, "High num examples in dataset.", description);
        findings.push(finding.measured(rows as f64, max as f64));
    }
    let controls = [(dataset.drift, previous, "previous span"), (dataset.version, version, "previous version")];
    for (range, control, name) in controls {
        let (Some(range), Some(control)) = (range, control) else { continue };
        if control.rows == 0 {
            if range.max.is_some() && rows > 0 {
                let short = format!("High num examples in current dataset versus the {name}, which has 0.");
                let description = format!(
                    "The {name} has 0 examples, so there is a high number of examples in the current dataset \
                     versus the {name}."
                );
                findings.push(Finding::new(Kind::MoreExamples, short, description));
            }
            continue;
        }
        let ratio = rows as f64 / control.rows as f64;
        let mut off = |kind, what: &str, side: &str, threshold: f64| {
            let short = format!("{what} num examples in current dataset versus the {name}.");
            let description = format!(
                "The ratio of num examples in the current dataset versus the {name} is {} (up to six significant \
                 digits), which is {side} the threshold {}.",
                six_digits(ratio),
                six_digits(threshold)
            );
            findings.push(Finding::new(kind, short, description).measured(ratio, threshold));
        };
        if let Some(max) = range.max.filter(|&max| ratio > max) {
            off(Kind::MoreExamples, "High", "above", max);
        }
        if let Some(min) = range.min.filter(|&min| ratio < min) {
            off(Kind::FewerExamples, "Low", "below", min);
        }
    }
    findings
}

fn value_count(feature: &Feature, of: &FeatureStatistics, findings: &mut Vec<Finding>) {
    let Some(count) = &feature.value_count else { return };
    if let Some(min) = count.min.filter(|&min| of.valency.min < min) {
        let description = "Some examples have fewer values than expected.";
        let finding = Finding::new(Kind::LowNumberValues, "Missing values", description);
        findings.push(finding.measured(of.valency.min as f64, min as f64));
    }
    if let Some(max) = count.max.filter(|&max| of.valency.max > max) {
        let description = "Some examples have more values than expected.";
        let finding = Finding::new(Kind::HighNumberValues, "Superfluous values", description);
        findings.push(finding.measured(of.valency.max as f64, max as f64));
    }
}

fn shape(feature: &Feature, of: &FeatureStatistics) -> Option<Finding> {
    let expected = feature.shape.as_ref()?.iter().fold(1u64, |size, &dim| size.saturating_mul(dim));
    let (min, max) = (of.valency.min, of.valency.max);
    let finding = |description: String| Some(Finding::new(Kind::InvalidShape, "Feature shape dropped", description));
    if min != max || min == 0 || of.missing > 0 {
        finding(
            "The feature has a shape, but it's not always present (if the feature is nested, then it should always \
             be present at each nested level) or its value lengths vary."
                .to_owned(),
        )
    } else if min != expected {
        finding(format!("The feature has fixed value length {min} but it's not compatible with the specified shape."))
    } else {
        None
    }
}

fn presence(feature: &Feature, of: &FeatureStatistics, findings: &mut Vec<Finding>) {
    let Some(presence) = &feature.presence else { return };
    let short = "Column dropped";
    let expected = "The feature was present in fewer examples than expected:";
    if let Some(min) = presence.min_count.filter(|&min| of.present < min) {
        let description = format!("{expected} minimum count = {min}, actual = {}", of.present);
        let finding = Finding::new(Kind::LowNumberPresent, short, description);
        findings.push(finding.measured(of.present as f64, min as f64));
    }
    let fraction = 1.0 - of.missing_share();
    if let Some(min) = presence.min_fraction {
        if fraction < min {
            let description = format!("{expected} minimum fraction = {min:.6}, actual = {fraction:.6}");
            let finding = Finding::new(Kind::LowFractionPresent, short, description);
            findings.push(finding.measured(fraction, min));
        } else if min == 1.0 && of.missing > 0 {
            let missing = of.missing;
            let description = format!("The feature was expected everywhere, but was missing in {missing} examples.");
            findings.push(Finding::new(Kind::LowFractionPresent, short, description).measured(fraction, min));
        }
    }
}
