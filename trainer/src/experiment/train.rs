//! Training: from a LOG folder to a RUN folder with a bundle and a report on it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;

use crate::data::validation::training::{self, Checks};
use crate::experiment::dataset::TrainingSet;
use crate::experiment::evaluation::Evaluation;
use crate::experiment::foreign::Source;
use crate::experiment::prepared::Prepared;
use crate::spec::TrainerSpec;

/// What a training run can be told.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// The same seed gives the same bundle.
    pub seed: u64,
    /// Which fold of users judges.
    pub fold: u32,
}

/// What a training run did; `report.json` in a RUN folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The surface.
    pub surface: String,
    /// The bundle that was judged.
    pub bundle: Digest,
    /// What the model is, in words.
    pub model: String,
    /// The engine that the bundle got: `compact` or `onnx`.
    #[serde(default)]
    pub engine: String,
    /// Where the model came from; absent where it was fitted here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Seed and fold.
    pub settings: Settings,
    /// How many requests did what.
    pub parts: PartCounts,
    /// First and last request, milliseconds since the epoch.
    pub data_range: [i64; 2],
    /// Digest of the events.
    pub training_data: Digest,
    /// On the judging requests.
    pub evaluation: Evaluation,
    /// On the training requests: how much of it is memory.
    pub training_evaluation: Evaluation,
    /// Seconds by phase; never part of a bundle.
    pub seconds: BTreeMap<String, f64>,
}

/// How many requests did what.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PartCounts {
    /// Trained.
    pub train: u64,
    /// Judged.
    pub test: u64,
    /// Left out for an open label window.
    pub open_windows: u64,
    /// Left out by the split's own rules.
    pub left_out: u64,
}

/// Holds the log against its schema, trains, judges and writes a RUN folder.
///
/// # Errors
/// An unusable log or spec, a log that is not as its schema says ([`training::CheckError`]), a learner that fails, or a
/// folder that cannot be written.
pub fn train(
    log: &Path,
    spec_path: &Path,
    settings: &Settings,
    checks: &Checks,
    out: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report> {
    let spec = TrainerSpec::read(spec_path)?;
    training::check(log, spec_path, spec.features.surface(), checks)?;
    let mut prepared = Prepared::read(log, spec_path, settings)?;
    let vectors = prepared.encode()?;
    let set = training_set(&prepared, &vectors)?;
    let fitted = prepared.spec.learner.fit(&set, settings.seed, &|done, total| progress(done, total))?;
    prepared.lap("fit model");
    prepared.finish(fitted.onnx, None, out)
}

/// Shown rows of training requests that have a positive label: the others teach a ranking nothing.
fn training_set(prepared: &Prepared, vectors: &BTreeMap<usize, Vec<f32>>) -> Result<TrainingSet> {
    let width = prepared.width();
    let (mut x, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for &index in &prepared.parts.train {
        let grades = &prepared.labelled.grades[index];
        let shown: Vec<usize> = (0..grades.len()).filter(|&row| grades[row].is_some()).collect();
        if !grades.iter().any(|g| g.is_some_and(|g| g > 0)) {
            continue;
        }
        for &row in &shown {
            x.extend_from_slice(&vectors[&index][row * width..(row + 1) * width]);
            labels.push(grades[row].unwrap_or(0) as f32);
        }
        groups.push(shown.len() as u32);
    }
    if groups.is_empty() {
        bail!(
            "no training request has a positive label; check [label] grades and window, and that interactions name their requests"
        );
    }
    Ok(TrainingSet::new(width as u32, x, labels, groups)?)
}
