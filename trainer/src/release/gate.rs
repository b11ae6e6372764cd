//! The gate: decides whether a candidate may be published. No thresholds means refuse.

use serde::{Deserialize, Serialize};

use crate::experiment::evaluation::Evaluation;
use crate::spec::Gate;

/// What the gate found; part of the release record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// Whether every check passed.
    pub passed: bool,
    /// Each check.
    pub checks: Vec<Check>,
}

/// One check of the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked, in words.
    pub name: String,
    /// What was measured.
    pub got: f64,
    /// What it must be above (or at least).
    pub threshold: f64,
    /// Whether it is.
    pub passed: bool,
}

/// Judges an evaluation by a spec's thresholds.
pub fn decide(gate: Option<&Gate>, evaluation: &Evaluation) -> GateReport {
    let Some(gate) = gate else {
        let check = Check { name: "the spec has a [gate]".into(), got: 0.0, threshold: 1.0, passed: false };
        return GateReport { passed: false, checks: vec![check] };
    };
    let judged = evaluation.requests - evaluation.requests_without_positive;
    let mut checks = vec![
        at_least("judging requests with a positive label", judged as f64, gate.min_requests as f64),
        at_least("NDCG@10", evaluation.model.primary().value, gate.min_ndcg),
    ];
    match evaluation.best_baseline() {
        Some((name, difference)) => checks.push(Check {
            name: format!("gain in NDCG@10 over the best baseline ({name}), lower end of its 95 % interval"),
            got: difference.low,
            threshold: gate.min_gain,
            passed: difference.low > gate.min_gain,
        }),
        None => {
            checks.push(Check { name: "there is a baseline to beat".into(), got: 0.0, threshold: 1.0, passed: false });
        }
    }
    GateReport { passed: checks.iter().all(|c| c.passed), checks }
}

fn at_least(name: &str, got: f64, threshold: f64) -> Check {
    // A number that is NaN passes nothing.
    Check { name: name.into(), got, threshold, passed: got >= threshold }
}

impl std::fmt::Display for GateReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for check in &self.checks {
            let mark = if check.passed { "pass" } else { "FAIL" };
            writeln!(f, "  {mark}  {}: {:.4} against {:.4}", check.name, check.got, check.threshold)?;
        }
        write!(f, "  gate {}", if self.passed { "passed" } else { "failed" })
    }
}
