//! The labelled dataset: a feature log, what was shown, what people did, and which request trains or judges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared_features::digest::Digest;
use shared_features::spec::FeatureSpec;

use crate::data::build::{self, BuildError, Dataset};
use crate::data::collected::{self, CollectedError};
use crate::data::edge_log::{self, EdgeLogError};
use crate::data::feature_log::{FeatureLog, FeatureLogError};
use crate::data::labels::Labels;
use crate::data::store::{Data, DataError};
use crate::spec::Split;

/// A log with labels.
#[derive(Debug)]
pub struct Labelled {
    /// The rows.
    pub log: FeatureLog,
    /// For each record, a grade for each row; `None` where it was not shown.
    pub grades: Vec<Vec<Option<u32>>>,
    /// True relevance by request and item, in simulated worlds.
    pub relevance: BTreeMap<String, BTreeMap<String, f64>>,
    /// The latest event; labels whose window ends later are not complete.
    pub end: i64,
    /// Digest of the events.
    pub digest: Digest,
}

/// Which records train and which judge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Indices of training records.
    pub train: Vec<usize>,
    /// Indices of judging records.
    pub test: Vec<usize>,
    /// Records left out because their label window was open at the split or at the end.
    pub open_windows: u64,
    /// Records left out by the split's own rules.
    pub left_out: u64,
}

/// Why a LOG folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelledError {
    /// The rows.
    #[error(transparent)]
    Log(#[from] FeatureLogError),
    /// The events.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The state folder of an edge.
    #[error(transparent)]
    Edge(#[from] EdgeLogError),
    /// The dataset.
    #[error(transparent)]
    Dataset(#[from] BuildError),
    /// A dataset that was labelled by other rules.
    #[error("{folder} was labelled otherwise than the spec's [label] says; build it again with this spec")]
    OtherLabels {
        /// The DATASET folder.
        folder: PathBuf,
    },
    /// A collected store.
    #[error(transparent)]
    Collected(#[from] CollectedError),
    /// Another surface's log.
    #[error("the log is of surface `{got}`, the spec of `{expected}`; pass the log that was replayed with this spec")]
    Surface {
        /// The log's.
        got: String,
        /// The spec's.
        expected: String,
    },
}

impl Labelled {
    /// Reads a DATASET folder; or a LOG folder, the state folder of an edge or a collected store, and labels its rows.
    ///
    /// # Errors
    /// An unreadable folder, or another surface's log.
    pub fn read(folder: &Path, spec: &FeatureSpec) -> Result<Labelled, LabelledError> {
        if build::is_dataset(folder) {
            return Labelled::of_dataset(folder, spec);
        }
        let (log, events, true_relevance, digest) = if edge_log::is_state(folder) {
            let edge = edge_log::read(folder, spec.surface())?;
            (edge.log, edge.events, Vec::new(), edge.digest)
        } else if let Some(store) = collected::store_at(folder) {
            let collected = collected::read_all(&store, spec.surface())?;
            (collected.log, collected.events, Vec::new(), collected.digest)
        } else {
            let data = Data::open(folder)?;
            (FeatureLog::read(folder)?, data.events, data.relevance, data.digest)
        };
        if let Some(other) = log.records.iter().find(|r| r.surface != spec.surface()) {
            return Err(LabelledError::Surface { got: other.surface.clone(), expected: spec.surface().to_owned() });
        }
        let labels = Labels::new(&spec.label, &events);
        let grades = log.records.iter().map(|r| labels.grades(&r.request, r.ts, &r.rows.items)).collect();
        let mut relevance: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for r in true_relevance {
            relevance.entry(r.request).or_default().insert(r.item, r.relevance);
        }
        let end = events.last().map_or(i64::MIN, shared_features::event::Event::ts);
        Ok(Labelled { log, grades, relevance, end, digest })
    }

    fn of_dataset(folder: &Path, spec: &FeatureSpec) -> Result<Labelled, LabelledError> {
        let Dataset { report, log, grades, digest } = Dataset::read(folder)?;
        if report.surface != spec.surface() {
            return Err(LabelledError::Surface { got: report.surface, expected: spec.surface().to_owned() });
        }
        if report.label != spec.label {
            return Err(LabelledError::OtherLabels { folder: folder.to_owned() });
        }
        Ok(Labelled { log, grades, relevance: BTreeMap::new(), end: report.end, digest })
    }

    /// Splits the records; `fold` says which fold of users judges.
    pub fn split(&self, split: &Split, label_window_ms: i64, fold: u32) -> Parts {
        let records = &self.log.records;
        let mut parts = Parts::default();
        let mut eligible: Vec<usize> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if record.ts.saturating_add(label_window_ms) > self.end && split.user_folds.is_none() {
                parts.open_windows += 1;
            } else if split.without_history && record.rows.history_entries > 0 {
                parts.left_out += 1;
            } else {
                eligible.push(index);
            }
        }
        match split.user_folds {
            Some(folds) => self.split_by_user(split, &eligible, folds, fold, &mut parts),
            None => self.split_by_time(split, &eligible, label_window_ms, &mut parts),
        }
        parts
    }

    fn split_by_time(&self, split: &Split, eligible: &[usize], window_ms: i64, parts: &mut Parts) {
        let records = &self.log.records;
        let Some(last) = eligible.last() else { return };
        let first_test = match (split.test_share, split.test_last) {
            (Some(share), _) => ((1.0 - share) * eligible.len() as f64).round() as usize,
            (None, Some(length)) => {
                let from = records[*last].ts.saturating_sub(length.ms);
                eligible.partition_point(|&i| records[i].ts <= from)
            }
            (None, None) => eligible.len(),
        };
        let split_ts = eligible.get(first_test).map_or(i64::MAX, |&i| records[i].ts);
        for (place, &index) in eligible.iter().enumerate() {
            if place >= first_test {
                parts.test.push(index);
            } else if records[index].ts.saturating_add(window_ms) > split_ts {
                parts.open_windows += 1;
            } else {
                parts.train.push(index);
            }
        }
    }

    fn split_by_user(&self, split: &Split, eligible: &[usize], folds: u32, fold: u32, parts: &mut Parts) {
        let mut by_user: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &index in eligible {
            by_user.entry(&self.log.records[index].user).or_default().push(index);
        }
        let share = |count: usize, share: f64| (count as f64 * share).round() as usize;
        for (user, requests) in by_user {
            let from = if fold_of(user, folds) == fold {
                let from = split.last_share_of_user.map_or(0, |s| requests.len() - share(requests.len(), s));
                parts.test.extend(&requests[from..]);
                from
            } else {
                let from = split.skip_share_of_user.map_or(0, |s| share(requests.len(), s));
                parts.train.extend(&requests[from..]);
                from
            };
            parts.left_out += from as u64;
        }
        parts.train.sort_unstable();
        parts.test.sort_unstable();
    }
}

/// The fold of a user: the first 8 bytes of the SHA-256 of the id, modulo the number of folds.
pub fn fold_of(user: &str, folds: u32) -> u32 {
    let digest = Digest::of(user.as_bytes());
    let first: [u8; 8] = std::array::from_fn(|i| digest.as_bytes()[i]);
    (u64::from_le_bytes(first) % u64::from(folds.max(1))) as u32
}
