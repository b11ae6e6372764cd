//! The whole spec of a surface: the feature spec and the sections that only the trainer reads.

use std::path::Path;

use edge_runtime::sampling::{Sampling, WHOLE};
use serde::Deserialize;
use shared_features::column::Kind;
use shared_features::duration::Duration;
use shared_features::source::Declared;
use shared_features::spec::{FeatureSpec, Section, SpecError};
use shared_features::transform::Fit;

use crate::data::import;
use crate::experiment::learners::Learner;

/// A spec file, parsed and checked.
#[derive(Clone, Debug)]
pub struct TrainerSpec {
    /// The text that was parsed: a run keeps it, whatever becomes of the file meanwhile.
    pub text: String,
    /// What the edges share.
    pub features: FeatureSpec,
    /// What is fitted.
    pub learner: Learner,
    /// Which requests train and which judge.
    pub split: Split,
    /// When a candidate may be published; `None` refuses.
    pub gate: Option<Gate>,
    /// Which requests edges log.
    pub sampling: Sampling,
    /// How foreign files become events.
    pub import: Option<import::Settings>,
}

/// Which requests train and which judge.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The last part of the requests, by time, judges; the earlier ones train.
    #[serde(default)]
    pub test_share: Option<f64>,
    /// Like `test_share`, as a length of time before the last request.
    #[serde(default)]
    pub test_last: Option<Duration>,
    /// Users in this many folds by a hash of their id; one fold judges, the others train.
    #[serde(default)]
    pub user_folds: Option<u32>,
    /// With folds: only the last part of each judging user's requests judges.
    #[serde(default)]
    pub last_share_of_user: Option<f64>,
    /// With folds: training users' requests before this share of their requests do not train (too little history).
    #[serde(default)]
    pub skip_share_of_user: Option<f64>,
    /// Only requests of users without history, for surfaces for new users.
    #[serde(default)]
    pub without_history: bool,
}

/// Which requests edges log: shares of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    /// Requests whose rows are logged.
    #[serde(default = "all")]
    rows_share: f64,
    /// Requests that are logged as they came too, so that features of later specs can be replayed.
    #[serde(default)]
    requests_share: f64,
}

/// When a candidate may be published; every threshold that is set must hold on the judging requests.
#[derive(Clone, Debug, PartialEq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Lowest NDCG@10.
    pub min_ndcg: f64,
    /// The gain in NDCG@10 over the best baseline must be above this at the lower end of its 95 % interval.
    pub min_gain: f64,
    /// Fewest judging requests with a positive label.
    #[serde(default = "hundred")]
    pub min_requests: u64,
}

/// Why a spec file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecFileError {
    /// The file cannot be read.
    #[error("cannot read the spec {path}: {source}; pass a TOML file, see docs/spec.md")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The text is refused.
    #[error("{path}: {source}")]
    Spec {
        /// The file.
        path: String,
        /// Where and why.
        source: SpecError,
    },
}

impl TrainerSpec {
    /// Reads a spec file.
    ///
    /// # Errors
    /// An unreadable file, or what is impossible with its line.
    pub fn read(path: &Path) -> Result<TrainerSpec, SpecFileError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| SpecFileError::Read { path: name(), source })?;
        TrainerSpec::parse(&text).map_err(|source| SpecFileError::Spec { path: name(), source })
    }

    /// Parses a spec.
    ///
    /// # Errors
    /// What is impossible, with its line.
    pub fn parse(text: &str) -> Result<TrainerSpec, SpecError> {
        let mut root = Section::parse(text)?;
        let features = FeatureSpec::read(&mut root)?;
        let learner: Learner = root.require("learner")?;
        learner.check().map_err(|e| root.error_at_key("learner", e.to_string()))?;
        let split: Split = root.require("split")?;
        split.check().map_err(|reason| root.error_at_key("split", reason))?;
        let gate = root.take("gate")?;
        let log: Option<Log> = root.take("log")?;
        let sampling = log.map_or(Ok(Sampling::default()), |log| log.sampling());
        let sampling = sampling.map_err(|reason| root.error_at_key("log", reason))?;
        let import = root.take("import")?;
        root.finish()?;
        if !learner.handles_missing() {
            refuse_missing(&features).map_err(|reason| root.error_at_key("learner", reason))?;
        }
        Ok(TrainerSpec { text: text.to_owned(), features, learner, split, gate, sampling, import })
    }
}

impl Log {
    /// The shares in parts per million.
    fn sampling(self) -> Result<Sampling, String> {
        let ppm = |name: &str, share: f64| match share {
            0.0 | 1e-6..=1.0 => Ok((share * f64::from(WHOLE)).round() as u32),
            _ => Err(format!("`{name}` is {share}; write 0, or a number from 0.000001 to 1")),
        };
        let (rows_ppm, requests_ppm) =
            (ppm("rows_share", self.rows_share)?, ppm("requests_share", self.requests_share)?);
        if requests_ppm > rows_ppm {
            let Log { rows_share, requests_share } = self;
            return Err(format!(
                "`requests_share` is {requests_share}; at most `rows_share`, {rows_share}, is possible"
            ));
        }
        Ok(Sampling { rows_ppm, requests_ppm })
    }
}

impl Split {
    fn check(&self) -> Result<(), String> {
        let share = |name: &str, x: Option<f64>| match x {
            Some(x) if !(x > 0.0 && x < 1.0) => Err(format!("`{name}` is {x}; write a number between 0 and 1")),
            _ => Ok(()),
        };
        share("test_share", self.test_share)?;
        share("last_share_of_user", self.last_share_of_user)?;
        share("skip_share_of_user", self.skip_share_of_user)?;
        let ways = [self.test_share.is_some(), self.test_last.is_some(), self.user_folds.is_some()];
        if ways.iter().filter(|set| **set).count() != 1 {
            return Err("[split] needs one of `test_share`, `test_last` and `user_folds`".into());
        }
        if self.user_folds.is_some_and(|k| !(2..=100).contains(&k)) {
            return Err("`user_folds` must be within 2 to 100".into());
        }
        if self.user_folds.is_none() && (self.last_share_of_user.is_some() || self.skip_share_of_user.is_some()) {
            return Err("`last_share_of_user` and `skip_share_of_user` go with `user_folds`".into());
        }
        Ok(())
    }
}

/// Linear and dense models have no meaning for a missing number.
fn refuse_missing(spec: &FeatureSpec) -> Result<(), String> {
    let declared = Declared { schema: &spec.unfitted.schema, statistics: &spec.unfitted.statistics };
    for feature in spec.features.iter().filter(|f| f.encode) {
        let output = feature.output(&declared).map_err(|e| e.to_string())?;
        let imputes = feature.transforms.iter().any(Fit::imputes);
        if !imputes && matches!(output, Kind::Number | Kind::Vector(_)) {
            let name = &feature.name;
            return Err(format!(
                "feature `{name}` may be missing, which this learner cannot use; add `impute` to its transforms"
            ));
        }
    }
    Ok(())
}

fn all() -> f64 {
    1.0
}

fn hundred() -> u64 {
    100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(log: &str) -> Result<Sampling, String> {
        let spec = format!("{}\n{log}", include_str!("../specs/podcasts.toml"));
        TrainerSpec::parse(&spec).map(|spec| spec.sampling).map_err(|e| e.to_string())
    }

    #[test]
    fn shares_become_parts_per_million() {
        assert_eq!(sampling(""), Ok(Sampling { rows_ppm: 1_000_000, requests_ppm: 0 }));
        let log = "[log]\nrows_share = 0.5\nrequests_share = 0.000001";
        assert_eq!(sampling(log), Ok(Sampling { rows_ppm: 500_000, requests_ppm: 1 }));
        assert_eq!(
            sampling("[log]\nrequests_share = 1"),
            Ok(Sampling { rows_ppm: 1_000_000, requests_ppm: 1_000_000 })
        );
    }

    #[test]
    fn impossible_shares_are_refused_with_their_line() {
        for (log, expected) in [
            ("[log]\nrows_share = 1.5", "`rows_share` is 1.5"),
            ("[log]\nrequests_share = nan", "`requests_share` is NaN"),
            ("[log]\nrequests_share = 0.0000001", "from 0.000001"),
            ("[log]\nrows_share = 0.1\nrequests_share = 0.2", "at most `rows_share`, 0.1"),
            ("[log]\nshare = 0.1", "share"),
        ] {
            let refused = sampling(log).unwrap_err();
            assert!(refused.contains(expected) && refused.contains("line"), "{refused}");
        }
    }
}
