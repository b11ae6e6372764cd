//! Whether a data set is as it should be: against a schema, the day before, serving, and what past days say.
//!
//! [`validate`] checks what the schema says by TFDV's rules, and beside that compares with the day before and with
//! serving what the schema says nothing about, by comparators that know what chance explains.

mod anomaly;
mod chance;
mod change;
mod comparators;
pub mod distance;
mod domain;
mod noise_floor;
mod structure;
#[cfg(test)]
mod tests;
pub mod training;

use serde::{Deserialize, Serialize};

pub use anomaly::{Anomaly, Kind, Severity};
pub use noise_floor::NoiseFloor;

use self::anomaly::Finding;
use self::comparators::Measured;
use super::schema::{Feature, Schema};
use super::statistics::{FeatureStatistics, Slice, SliceStatistics, Statistics};

/// What a data set is checked against beside its schema.
#[derive(Debug, Clone, Copy, Default)]
pub struct Against<'a> {
    /// Which features must exist; all where there is none.
    pub environment: Option<&'a str>,
    /// The day before, for drift.
    pub previous: Option<&'a Statistics>,
    /// What serving saw, for skew.
    pub serving: Option<&'a Statistics>,
    /// Another version of the same data, for the number of its rows.
    pub version: Option<&'a Statistics>,
    /// What past days say, in place of the schema's tolerance.
    pub noise_floor: Option<&'a NoiseFloor>,
    /// Whether only what the schema says is compared, as TFDV does.
    pub schema_only: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of the data set, then by feature; of all rows, then by slice.
    pub anomalies: Vec<Anomaly>,
    /// Each distance that was measured, whether an anomaly or not.
    pub measurements: Vec<Measurement>,
}

/// A distance between a feature and a control of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// In which rows; `None` for all.
    pub slice: Option<Slice>,
    /// Of which feature.
    pub feature: String,
    /// From what.
    pub control: Control,
    /// By which measure.
    pub measure: String,
    /// How far.
    pub value: f64,
    /// How far it may be.
    pub threshold: f64,
}

/// What a data set is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// The day before.
    Drift,
    /// What serving saw.
    Skew,
}

/// How small a slice may be in the control before its absence means nothing.
const SLICE_SHARE: f64 = 0.01;

impl Report {
    /// Whether anything is wrong that forbids training.
    pub fn has_errors(&self) -> bool {
        self.anomalies.iter().any(|a| a.severity == Severity::Error)
    }

    /// The first error in a line, and how many more there are.
    fn first_error(&self) -> String {
        let mut errors = self.anomalies.iter().filter(|a| a.severity == Severity::Error);
        let Some(first) = errors.next() else { return String::new() };
        let feature = first.feature.as_ref().map_or_else(String::new, |feature| format!("`{feature}`: "));
        match errors.count() {
            0 => format!("{feature}{}", first.description),
            more => format!("{feature}{} ({more} more)", first.description),
        }
    }
}

impl Control {
    /// What the data set and the control are called.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Control::Drift => ("current", "previous"),
            Control::Skew => ("training", "serving"),
        }
    }
}

/// Checks a data set.
///
/// A slice is checked like a data set of its own, against the same slice of the controls; what is wrong with all rows
/// is said once, with the slices in which it is also seen.
pub fn validate(schema: &Schema, statistics: &Statistics, against: &Against) -> Report {
    let mut report = Report { anomalies: Vec::new(), measurements: Vec::new() };
    for slice in &statistics.slices {
        let of = |control| same_slice(control, slice);
        let (previous, serving, version) = (of(against.previous), of(against.serving), of(against.version));
        let checked = Checked { schema, against, now: slice, previous, serving };
        if slice.slice.is_none() {
            let findings = structure::rows(schema, slice, previous, version);
            checked.report(None, findings, &mut report);
            checked.missing_slices(statistics, &mut report);
        }
        checked.features(&mut report);
    }
    report
}

fn same_slice<'a>(control: Option<&'a Statistics>, slice: &SliceStatistics) -> Option<&'a SliceStatistics> {
    control?.slice(slice.slice.as_ref())
}

/// A slice that is being checked.
struct Checked<'a> {
    schema: &'a Schema,
    against: &'a Against<'a>,
    now: &'a SliceStatistics,
    previous: Option<&'a SliceStatistics>,
    serving: Option<&'a SliceStatistics>,
}

impl Checked<'_> {
    fn features(&self, report: &mut Report) {
        if self.now.rows == 0 {
            return;
        }
        for (name, feature) in self.schema.features.iter().filter(|(_, feature)| !feature.deprecated) {
            let mut findings = Vec::new();
            let required = feature.is_required() && self.schema.is_in(feature, self.against.environment);
            match self.now.feature(name) {
                None if required => {
                    let description = "Column is completely missing";
                    findings.push(Finding::new(Kind::MissingColumn, "Column dropped", description));
                }
                None => {}
                Some(of) if of.present == 0 && required => {
                    let description = "The feature was not present in any examples.";
                    findings.push(Finding::new(Kind::NotPresent, "Column dropped", description));
                }
                Some(of) if of.present == 0 => {}
                Some(of) => self.feature(name, feature, of, &mut findings, report),
            }
            self.report(Some(name), findings, report);
        }
        for of in self.now.features.iter().filter(|of| self.schema.feature(&of.name).is_none()) {
            let description = "New column (column in data but not in schema)";
            let finding = Finding::new(Kind::NewColumn, "New column", description);
            self.report(Some(&of.name), vec![finding], report);
        }
    }

    fn feature(
        &self,
        name: &str,
        feature: &Feature,
        of: &FeatureStatistics,
        findings: &mut Vec<Finding>,
        report: &mut Report,
    ) {
        if !self.schema.is_in(feature, self.against.environment) {
            let environment = self.against.environment.unwrap_or_default();
            let description =
                format!("New column {name} found in data but not in the environment {environment} in the schema.");
            findings.push(Finding::new(Kind::NewColumn, "Column missing in environment", description));
        }
        structure::check(feature, of, findings);
        domain::check(self.schema, feature, of, findings);
        structure::unique(feature, of, findings);
        let controls = [(Control::Drift, self.previous, &feature.drift), (Control::Skew, self.serving, &feature.skew)];
        for (control, then, said) in controls {
            let Some(then) = then else { continue };
            let then = then.feature(name);
            let mut measured = Vec::new();
            if let Some(said) = said {
                let in_slice = self.now.slice.is_some();
                comparators::check(said, control, in_slice, of, then, findings, &mut measured);
            }
            if let Some(then) = then.filter(|then| !self.against.schema_only && then.of == of.of) {
                let learned = self.against.noise_floor.and_then(|n| n.tolerance(self.now.slice.as_ref(), name));
                let tolerance = learned.unwrap_or(self.schema.tolerance);
                change::check(tolerance, said.as_ref(), control, (of, then), findings, &mut measured);
            }
            report.measurements.extend(measured.into_iter().map(|Measured { measure, value, threshold }| {
                Measurement {
                    slice: self.now.slice.clone(),
                    feature: name.to_owned(),
                    control,
                    measure: measure.to_owned(),
                    value,
                    threshold,
                }
            }));
        }
    }

    /// Slices of the day before that are not there, of columns that the data is sliced by.
    fn missing_slices(&self, statistics: &Statistics, report: &mut Report) {
        let Some(previous) = self.against.previous.filter(|_| !self.against.schema_only) else { return };
        let rows = previous.whole().map_or(0, |whole| whole.rows) as f64;
        for then in &previous.slices {
            let Some(slice) = &then.slice else { continue };
            let sliced = statistics.slices.iter().filter_map(|s| s.slice.as_ref()).any(|s| s.column == slice.column);
            if sliced && statistics.slice(Some(slice)).is_none() && then.rows as f64 >= SLICE_SHARE * rows {
                let description = format!("Previous has {} rows of {slice}, current none.", then.rows);
                let mut anomaly = self.anomaly(None, Finding::new(Kind::SliceMissing, "Slice missing", description));
                anomaly.slice = Some(slice.clone());
                report.anomalies.push(anomaly);
            }
        }
    }

    fn report(&self, feature: Option<&str>, findings: Vec<Finding>, report: &mut Report) {
        for finding in findings {
            let anomaly = self.anomaly(feature, finding);
            let same = |a: &&mut Anomaly| {
                a.slice.is_none() && a.feature == anomaly.feature && a.kind == anomaly.kind && a.short == anomaly.short
            };
            match (&anomaly.slice, report.anomalies.iter_mut().find(same)) {
                (Some(slice), Some(whole)) => whole.also_in.push(slice.clone()),
                _ => report.anomalies.push(anomaly),
            }
        }
    }

    fn anomaly(&self, feature: Option<&str>, finding: Finding) -> Anomaly {
        let Finding { kind, short, description, worst, measured, threshold } = finding;
        let finite = |x: Option<f64>| x.filter(|x| x.is_finite());
        Anomaly {
            slice: self.now.slice.clone(),
            feature: feature.map(Into::into),
            kind,
            severity: self.schema.severity.get(&kind).copied().unwrap_or(kind.severity()),
            short,
            description,
            advice: kind.advice().to_owned(),
            worst,
            measured: finite(measured),
            threshold: finite(threshold),
            also_in: Vec::new(),
        }
    }
}
