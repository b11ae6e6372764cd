//! Judging: what is judged is what ships. A bundle's own bytes score logged rows in the edge's host.

use std::collections::BTreeMap;

use anyhow::Result;
use edge_runtime::bundle::Bundle;
use edge_runtime::host::{Guest, Host, Limits};
use rayon::prelude::*;
use shared_features::encoder::Encoder;
use shared_features::random::Random;
use shared_features::wire::Description;

use crate::data::labelled::Labelled;
use crate::experiment::evaluation::{self, Evaluation, JudgedRequest};
use crate::experiment::prepared::chunks;
use crate::spec::TrainerSpec;

/// A loaded bundle that scores logged rows.
pub struct Scorer {
    guest: Guest,
    encoder: Encoder,
    aligned: Vec<usize>,
}

impl Scorer {
    /// Loads a bundle; the log must have its features.
    ///
    /// # Errors
    /// A bundle that the host refuses, or a log of other features.
    pub fn new(bundle: &Bundle, labelled: &Labelled) -> Result<Scorer> {
        let load = bundle.load();
        let encoder = Encoder::from_bytes(&load.encoder)?;
        let aligned = labelled.log.align(&encoder)?;
        Ok(Scorer { guest: Guest::new(Host::shared()?, bundle.engine(), &load, Limits::batch())?, encoder, aligned })
    }

    /// What the engine says it holds.
    ///
    /// # Errors
    /// The engine fails.
    pub fn description(&self) -> Result<Description> {
        Ok(self.guest.describe()?)
    }

    /// A score for every logged row of these records.
    ///
    /// # Errors
    /// The engine fails.
    pub fn score(&self, labelled: &Labelled, indices: &[usize]) -> Result<Vec<Vec<f32>>> {
        let scored = chunks(labelled, indices).into_par_iter().map(|chunk| -> Result<Vec<Vec<f32>>> {
            let vectors = self.guest.encode(&labelled.log.values(chunk, &self.aligned))?;
            let scores = self.guest.score(&vectors)?;
            let mut rest = scores.as_slice();
            Ok(chunk
                .iter()
                .map(|&index| {
                    let (own, others) = rest.split_at(labelled.log.records[index].rows.items.len());
                    rest = others;
                    own.to_vec()
                })
                .collect())
        });
        Ok(scored.collect::<Result<Vec<_>>>()?.concat())
    }
}

/// The model beside every baseline, and in simulated worlds beside the oracle and chance, on these records' shown rows.
///
/// # Errors
/// The engine fails.
pub fn judge(scorer: &Scorer, labelled: &Labelled, spec: &TrainerSpec, indices: &[usize]) -> Result<Evaluation> {
    let requests = judged(scorer, labelled, indices)?;
    Ok(evaluation::evaluate(spec.features.surface(), &requests))
}

/// Labels and scores of these records' shown rows.
///
/// # Errors
/// The engine fails.
pub fn judged(scorer: &Scorer, labelled: &Labelled, indices: &[usize]) -> Result<Vec<JudgedRequest>> {
    let scores = scorer.score(labelled, indices)?;
    let requests = indices.iter().zip(&scores).map(|(&index, model)| {
        let record = &labelled.log.records[index];
        let grades = &labelled.grades[index];
        let shown: Vec<usize> = (0..grades.len()).filter(|&row| grades[row].is_some()).collect();
        let pick = |scores: &[f32]| -> Vec<f32> { shown.iter().map(|&row| scores[row]).collect() };
        let values = labelled.log.values(&[index], &scorer.aligned);
        let baselines: BTreeMap<String, Vec<f32>> = scorer
            .encoder
            .baselines
            .iter()
            .map(|b| (b.name.clone(), pick(&scorer.encoder.baseline(b, &values))))
            .collect();
        let mut references = BTreeMap::new();
        if let Some(relevance) = labelled.relevance.get(&record.request) {
            let truth = |&row: &usize| relevance.get(&record.rows.items[row]).map_or(f32::NAN, |&r| r as f32);
            references.insert("oracle".to_owned(), shown.iter().map(truth).collect());
            let mut random = Random::keyed("reference", &record.request);
            references.insert("random".to_owned(), shown.iter().map(|_| random.next_f64() as f32).collect());
        }
        JudgedRequest {
            user: record.user.clone(),
            labels: shown.iter().map(|&row| grades[row].unwrap_or(0)).collect(),
            model: pick(model),
            baselines,
            references,
        }
    });
    Ok(requests.collect())
}
