//! A log made ready: split, with a fitted encoder, for fitting a model on it and for judging one.
//!
//! The encoder is fitted on training rows only, every vector is made and every score given by the engine
//! in the edge's own host, and the report names the digest of the bundle that was judged.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use edge_runtime::host::{Guest, Host, Limits};
use edge_runtime::profile::Profile;
use shared_features::encoder::{Encoder, Values};
use shared_features::tables::Tables;
use shared_features::transform::Training;
use shared_features::wire::Load;

use crate::data::labelled::{Labelled, Parts};
use crate::data::{collected, edge_log, replay};
use crate::experiment::foreign::Source;
use crate::experiment::judge::{Scorer, judge};
use crate::experiment::train::{PartCounts, Report, Settings};
use crate::release::bundle::Bundle;
use crate::release::profile;
use crate::spec::TrainerSpec;

/// Rows that one guest call encodes.
const ROWS_PER_CALL: usize = 16_384;

/// A log, split and with an encoder.
pub struct Prepared {
    /// The surface's spec.
    pub spec: TrainerSpec,
    /// All requests, with grades.
    pub labelled: Labelled,
    /// Which of them train and which judge.
    pub parts: Parts,
    /// Fitted on those that train.
    pub encoder: Encoder,
    settings: Settings,
    tables: Vec<u8>,
    clock: Clock,
}

impl Prepared {
    /// Reads a log, splits it as the spec says and fits the encoder; the same log, spec and fold give the same bits.
    ///
    /// # Errors
    /// An unusable log or spec, or a split that leaves nothing to train on or to judge with.
    pub fn read(log: &Path, spec_path: &Path, settings: &Settings) -> Result<Prepared> {
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
        } else if let Some(store) = collected::store_at(log) {
            collected::newest_tables_of(&store, spec.features.surface())?
        } else {
            replay::newest_tables(log).with_context(|| format!("cannot read {}/tables", log.display()))?
        };
        let tables = match newest {
            Some(bytes) => bytes,
            None => Tables::empty(&encoder.schema, &encoder.statistics).to_bytes(),
        };
        clock.lap("fit encoder");
        Ok(Prepared { spec, labelled, parts, encoder, settings: *settings, tables, clock })
    }

    /// The vectors of the training records, by record, made by the engine.
    ///
    /// # Errors
    /// The engine fails.
    pub fn encode(&mut self) -> Result<BTreeMap<usize, Vec<f32>>> {
        let guest = Guest::new(Host::shared()?, crate::ENGINE, &self.load(), Limits::batch())?;
        let aligned = self.labelled.log.align(&self.encoder)?;
        let width = self.width();
        let mut vectors = BTreeMap::new();
        for chunk in chunks(&self.labelled, &self.parts.train) {
            let encoded = guest.encode(&self.labelled.log.values(chunk, &aligned))?;
            let mut at = 0;
            for &index in chunk {
                let len = self.labelled.log.records[index].rows.items.len() * width;
                vectors.insert(index, encoded[at..at + len].to_vec());
                at += len;
            }
        }
        self.clock.lap("encode");
        Ok(vectors)
    }

    /// Numbers in a vector.
    pub fn width(&self) -> usize {
        self.encoder.width.unwrap_or(0) as usize
    }

    /// Ends a phase of the run, which the report then times.
    pub fn lap(&mut self, phase: &str) {
        self.clock.lap(phase);
    }

    /// Bundles a model, judges the bundle, and writes a RUN folder; `source` says where a model came from that was not fitted here.
    ///
    /// # Errors
    /// A model that no engine runs or that fails on golden requests, or a folder that cannot be written.
    pub fn finish(mut self, model: Vec<u8>, source: Option<Source>, out: &Path) -> Result<Report> {
        let profile = Rows::of(&self.labelled, &self.encoder, &self.parts)?.profile(&self.spec);
        let bundle = Bundle::make(&self.spec, self.load(), model, &profile, self.labelled.digest)?;
        let scorer = Scorer::new(&bundle.parts, &self.labelled)?;
        let evaluation = judge(&scorer, &self.labelled, &self.spec, &self.parts.test)?;
        let training_evaluation = judge(&scorer, &self.labelled, &self.spec, &self.parts.train)?;
        self.clock.lap("judge");
        let records = &self.labelled.log.records;
        let description = scorer.description()?;
        let report = Report {
            surface: self.spec.features.surface().to_owned(),
            bundle: bundle.digest(),
            model: description.model,
            engine: description.kind,
            source,
            settings: self.settings,
            parts: PartCounts {
                train: self.parts.train.len() as u64,
                test: self.parts.test.len() as u64,
                open_windows: self.parts.open_windows,
                left_out: self.parts.left_out,
            },
            data_range: [records.first().map_or(0, |r| r.ts), records.last().map_or(0, |r| r.ts)],
            training_data: self.labelled.digest,
            evaluation,
            training_evaluation,
            seconds: self.clock.seconds,
        };
        bundle.write_run(out, &self.spec.text, &report)?;
        Ok(report)
    }

    /// The parts of the bundle but for the model.
    fn load(&self) -> Load {
        Load {
            encoder: self.encoder.to_bytes(),
            policy: self.spec.features.policy.to_bytes(),
            tables: self.tables.clone(),
            model: Vec::new(),
        }
    }
}

fn fit_encoder(labelled: &Labelled, spec: &TrainerSpec, parts: &Parts) -> Result<Encoder> {
    let unfitted = &spec.features.unfitted;
    let rows = Rows::of(labelled, unfitted, parts)?;
    Ok(unfitted.fit(&spec.features.features, &rows.values, &rows.training(spec))?)
}

/// The rows that train.
struct Rows {
    /// Of an encoder's features.
    values: Values,
    /// The user of each, as a dense number.
    users: Vec<u32>,
}

impl Rows {
    fn of(labelled: &Labelled, encoder: &Encoder, parts: &Parts) -> Result<Rows> {
        let values = labelled.log.values(&parts.train, &labelled.log.align(encoder)?);
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut users = Vec::with_capacity(values.rows as usize);
        for &index in &parts.train {
            let record = &labelled.log.records[index];
            let next = numbers.len() as u32;
            let user = *numbers.entry(&record.user).or_insert(next);
            users.extend(std::iter::repeat_n(user, record.rows.items.len()));
        }
        Ok(Rows { values, users })
    }

    fn training(&self, spec: &TrainerSpec) -> Training<'_> {
        Training { users: &self.users, min_users: spec.features.tables.min_users }
    }

    fn profile(&self, spec: &TrainerSpec) -> Profile {
        profile::of(&self.values, &self.training(spec))
    }
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
