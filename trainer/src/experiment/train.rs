//! Training: from a LOG folder to a RUN folder with a bundle and a report on it.
//!
//! The encoder is fitted on training rows only, every vector is made and every score given by the engine
//! in the edge's own host, and the report names the digest of the bundle that was judged.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use edge_runtime::host::{Guest, Host, Limits};
use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::tables::Tables;
use shared_features::transform::Training;
use shared_features::wire::Load;

use crate::data::edge_log;
use crate::data::labelled::{Labelled, Parts};
use crate::data::replay;
use crate::experiment::dataset::TrainingSet;
use crate::experiment::evaluation::Evaluation;
use crate::experiment::judge::{Scorer, judge};
use crate::release::bundle::Bundle;
use crate::spec::TrainerSpec;

/// Rows that one guest call encodes.
const ROWS_PER_CALL: usize = 16_384;

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

/// Trains, judges and writes a RUN folder.
///
/// # Errors
/// An unusable log or spec, a learner that fails, or a folder that cannot be written.
pub fn train(
    log: &Path,
    spec_path: &Path,
    settings: &Settings,
    out: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report> {
    let spec = TrainerSpec::read(spec_path)?;
    let mut clock = Clock::start();
    let labelled = Labelled::read(log, &spec.features)?;
    let folds = spec.split.user_folds.unwrap_or(1);
    if settings.fold >= folds {
        bail!(
            "--fold {} is not below the number of folds, {folds}; see `user_folds` in the spec's [split]",
            settings.fold
        );
    }
    let parts = labelled.split(&spec.split, spec.features.label.window.ms, settings.fold);
    if parts.train.is_empty() || parts.test.is_empty() {
        bail!(
            "the split leaves {} requests to train and {} to judge; widen [split], or replay more data",
            parts.train.len(),
            parts.test.len()
        );
    }
    clock.lap("read");

    let encoder = fit_encoder(&labelled, &spec, &parts)?;
    let newest = if edge_log::is_state(log) {
        edge_log::newest_tables(log, spec.features.surface())?
    } else {
        replay::newest_tables(log).with_context(|| format!("cannot read {}/tables", log.display()))?
    };
    let tables = match newest {
        Some(bytes) => bytes,
        None => Tables::empty(&encoder.schema, &encoder.statistics).to_bytes(),
    };
    clock.lap("fit encoder");

    let load = Load { encoder: encoder.to_bytes(), policy: spec.features.policy.to_bytes(), tables, model: Vec::new() };
    let guest = Guest::new(Host::shared()?, crate::ENGINE, &load, Limits::batch())?;
    let vectors = encode(&labelled, &encoder, &guest, &parts)?;
    clock.lap("encode");

    let set = training_set(&labelled, &parts, &vectors, &encoder)?;
    let fitted = spec.learner.fit(&set, settings.seed, &|done, total| progress(done, total))?;
    clock.lap("fit model");

    let bundle = Bundle::make(&spec, load, fitted.onnx, labelled.digest)?;
    let scorer = Scorer::new(&bundle.parts, &labelled)?;
    let evaluation = judge(&scorer, &labelled, &spec, &parts.test)?;
    let training_evaluation = judge(&scorer, &labelled, &spec, &parts.train)?;
    clock.lap("judge");

    let records = &labelled.log.records;
    let report = Report {
        surface: spec.features.surface().to_owned(),
        bundle: bundle.digest(),
        model: scorer.description()?.model,
        settings: *settings,
        parts: PartCounts {
            train: parts.train.len() as u64,
            test: parts.test.len() as u64,
            open_windows: parts.open_windows,
            left_out: parts.left_out,
        },
        data_range: [records.first().map_or(0, |r| r.ts), records.last().map_or(0, |r| r.ts)],
        training_data: labelled.digest,
        evaluation,
        training_evaluation,
        seconds: clock.seconds,
    };
    bundle.write_run(out, spec_path, &report)?;
    Ok(report)
}

fn fit_encoder(labelled: &Labelled, spec: &TrainerSpec, parts: &Parts) -> Result<Encoder> {
    let unfitted = &spec.features.unfitted;
    let aligned = labelled.log.align(unfitted)?;
    let values = labelled.log.values(&parts.train, &aligned);
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    let mut users = Vec::with_capacity(values.rows as usize);
    for &index in &parts.train {
        let record = &labelled.log.records[index];
        let next = numbers.len() as u32;
        let user = *numbers.entry(&record.user).or_insert(next);
        users.extend(std::iter::repeat_n(user, record.rows.items.len()));
    }
    let training = Training { users: &users, min_users: spec.features.tables.min_users };
    Ok(unfitted.fit(&spec.features.features, &values, &training)?)
}

/// The vectors of the training records, by record, made by the engine.
fn encode(labelled: &Labelled, encoder: &Encoder, guest: &Guest, parts: &Parts) -> Result<BTreeMap<usize, Vec<f32>>> {
    let aligned = labelled.log.align(encoder)?;
    let width = encoder.width.unwrap_or(0) as usize;
    let mut vectors = BTreeMap::new();
    for chunk in chunks(labelled, &parts.train) {
        let encoded = guest.encode(&labelled.log.values(chunk, &aligned))?;
        let mut at = 0;
        for &index in chunk {
            let len = labelled.log.records[index].rows.items.len() * width;
            vectors.insert(index, encoded[at..at + len].to_vec());
            at += len;
        }
    }
    Ok(vectors)
}

/// Neighbouring records together, up to the size of a guest call.
pub(crate) fn chunks<'a>(labelled: &Labelled, indices: &'a [usize]) -> Vec<&'a [usize]> {
    let rows = |i: usize| labelled.log.records[i].rows.items.len();
    let mut chunks = Vec::new();
    let (mut from, mut size) = (0, 0);
    for (at, &index) in indices.iter().enumerate() {
        if at > from && size + rows(index) > ROWS_PER_CALL {
            chunks.push(&indices[from..at]);
            (from, size) = (at, 0);
        }
        size += rows(index);
    }
    if from < indices.len() {
        chunks.push(&indices[from..]);
    }
    chunks
}

/// Shown rows of training requests that have a positive label: the others teach a ranking nothing.
fn training_set(
    labelled: &Labelled,
    parts: &Parts,
    vectors: &BTreeMap<usize, Vec<f32>>,
    encoder: &Encoder,
) -> Result<TrainingSet> {
    let width = encoder.width.unwrap_or(0) as usize;
    let (mut x, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for &index in &parts.train {
        let grades = &labelled.grades[index];
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

struct Clock {
    last: Instant,
    seconds: BTreeMap<String, f64>,
}

impl Clock {
    fn start() -> Clock {
        Clock { last: Instant::now(), seconds: BTreeMap::new() }
    }

    fn lap(&mut self, phase: &str) {
        self.seconds.insert(phase.to_owned(), self.last.elapsed().as_secs_f64());
        self.last = Instant::now();
    }
}
