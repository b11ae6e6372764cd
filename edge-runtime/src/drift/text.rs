//! Drift in `/metrics`, in Prometheus' text format.
//!
//! Written at every scrape from what is served now, so that a feature of a bundle that is gone leaves no series.

use std::fmt::Write;

use super::Drift;

/// The series of the arms of surfaces: (surface, arm, what was counted).
pub(crate) fn render(arms: &[(&str, &str, &Drift)]) -> String {
    let mut text = String::new();
    let mut family = |name: &str, help: &str, lines: Vec<(String, f64)>| {
        if !lines.is_empty() {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, value) in lines {
                let _ = writeln!(text, "{name}{{{labels}}} {value}");
            }
        }
    };
    let labels = |surface: &str, arm: &str| format!("surface=\"{}\",arm=\"{}\"", escaped(surface), escaped(arm));
    let mut drifts = Vec::new();
    let (mut requests, mut rows) = (Vec::new(), Vec::new());
    for (surface, arm, drift) in arms {
        let of = labels(surface, arm);
        for feature in drift.measure() {
            for (measure, value) in [("missing", feature.missing), ("distribution", feature.distribution)] {
                let name = escaped(feature.feature);
                drifts.extend(value.map(|value| (format!("{of},feature=\"{name}\",measure=\"{measure}\""), value)));
            }
        }
        let counted = drift.counted();
        requests.push((of.clone(), counted.0 as f64));
        rows.push((of, counted.1 as f64));
    }
    family("hearth_feature_drift", "Distance of logged values from training, 0 to 1.", drifts);
    family("hearth_feature_drift_requests", "Requests behind hearth_feature_drift.", requests);
    family("hearth_feature_drift_rows", "Logged rows behind hearth_feature_drift.", rows);
    text
}

/// A label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
