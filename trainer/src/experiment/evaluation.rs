//! An evaluation: the model beside every baseline on the same requests, with intervals and paired differences.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shared_features::slate::by_score;

use super::bootstrap::{self, Estimate};
use super::metrics::{METRICS, PRIMARY};

/// A request with grades and the scores of everything that is compared, a number a shown row.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedRequest {
    /// The user; requests of one user are one cluster.
    pub user: String,
    /// Grades, in candidate order.
    pub labels: Vec<u32>,
    /// The model's scores.
    pub model: Vec<f32>,
    /// Each baseline's scores.
    pub baselines: BTreeMap<String, Vec<f32>>,
    /// Scores that nobody could serve, such as a simulator's truth.
    pub references: BTreeMap<String, Vec<f32>>,
}

/// The result; its JSON is what `trainer evaluate --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The surface.
    pub surface: String,
    /// All requests.
    pub requests: u64,
    /// Requests that no metric counts.
    pub requests_without_positive: u64,
    /// The model.
    pub model: Metrics,
    /// Each baseline.
    pub baselines: BTreeMap<String, Metrics>,
    /// Model minus baseline in NDCG@10, paired by request.
    pub difference: BTreeMap<String, Estimate>,
    /// Scores that nobody could serve.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, Metrics>,
}

/// The metrics of one scorer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics(BTreeMap<String, Estimate>);

/// A scorer's values by metric, a value a request; `None` where the metric is not defined.
type PerRequest = Vec<Vec<Option<f64>>>;

/// Compares everything on the requests that have a positive label.
pub fn evaluate(surface: &str, requests: &[JudgedRequest]) -> Evaluation {
    let counted: Vec<&JudgedRequest> = requests.iter().filter(|r| r.labels.iter().any(|&g| g > 0)).collect();
    let users: Vec<&str> = counted.iter().map(|r| r.user.as_str()).collect();
    let names = |of: fn(&JudgedRequest) -> &BTreeMap<String, Vec<f32>>| -> Vec<&String> {
        counted.first().map(|r| of(r).keys().collect()).unwrap_or_default()
    };
    let (baseline_names, reference_names) = (names(|r| &r.baselines), names(|r| &r.references));
    let model = per_request(&counted, |r| Some(&r.model));
    let mut baselines = BTreeMap::new();
    let mut difference = BTreeMap::new();
    for name in baseline_names {
        let baseline = per_request(&counted, |r| r.baselines.get(name));
        difference.insert(name.clone(), paired(&users, &model, &baseline));
        baselines.insert(name.clone(), summarise(&users, &baseline));
    }
    let references = reference_names
        .into_iter()
        .map(|name| (name.clone(), summarise(&users, &per_request(&counted, |r| r.references.get(name)))))
        .collect();
    Evaluation {
        surface: surface.to_owned(),
        requests: requests.len() as u64,
        requests_without_positive: (requests.len() - counted.len()) as u64,
        model: summarise(&users, &model),
        baselines,
        difference,
        references,
    }
}

/// NDCG@10 of each request that has a positive label, for pooling over runs.
pub fn primary_of<'a>(
    requests: &'a [JudgedRequest],
    scores: impl Fn(&'a JudgedRequest) -> &'a [f32] + Sync,
) -> Vec<f64> {
    let counted: Vec<&JudgedRequest> = requests.iter().filter(|r| r.labels.iter().any(|&g| g > 0)).collect();
    counted.iter().map(|r| of_request(&r.labels, scores(r))[primary_index()].unwrap_or(0.0)).collect()
}

impl Evaluation {
    /// The baseline with the highest NDCG@10, and the model's difference to it.
    pub fn best_baseline(&self) -> Option<(&str, Estimate)> {
        let best = self.baselines.iter().max_by(|a, b| {
            let value = |m: &Metrics| m.get(PRIMARY).value;
            // Of equal ones the first by name.
            value(a.1).total_cmp(&value(b.1)).then(b.0.cmp(a.0))
        })?;
        Some((best.0, *self.difference.get(best.0)?))
    }
}

impl Metrics {
    /// A metric by name; zeros where it was not defined on any request.
    pub fn get(&self, name: &str) -> Estimate {
        self.0.get(name).copied().unwrap_or(Estimate { value: 0.0, low: 0.0, high: 0.0 })
    }

    /// NDCG@10.
    pub fn primary(&self) -> Estimate {
        self.get(PRIMARY)
    }
}

fn primary_index() -> usize {
    METRICS.iter().position(|m| m.name == PRIMARY).expect("the primary metric is one of the metrics")
}

fn per_request<'a>(
    requests: &[&'a JudgedRequest],
    scores: impl Fn(&'a JudgedRequest) -> Option<&'a Vec<f32>> + Sync,
) -> PerRequest {
    let missing = Vec::new();
    requests.par_iter().map(|r| of_request(&r.labels, scores(r).unwrap_or(&missing))).collect()
}

fn of_request(labels: &[u32], scores: &[f32]) -> Vec<Option<f64>> {
    let order = by_score(scores);
    let grades: Vec<u32> = order.iter().filter_map(|&i| labels.get(i as usize).copied()).collect();
    let scores: Vec<f32> = order.iter().map(|&i| scores[i as usize]).collect();
    METRICS.iter().map(|metric| (metric.of_request)(&grades, &scores)).collect()
}

fn summarise(users: &[&str], values: &PerRequest) -> Metrics {
    let estimate =
        |k: usize| bootstrap::mean(users.iter().zip(values).filter_map(|(user, values)| values[k].map(|v| (*user, v))));
    Metrics(METRICS.iter().enumerate().map(|(k, metric)| (metric.name.to_owned(), estimate(k))).collect())
}

fn paired(users: &[&str], model: &PerRequest, baseline: &PerRequest) -> Estimate {
    let k = primary_index();
    bootstrap::mean(
        users.iter().zip(model.iter().zip(baseline)).filter_map(|(user, (m, b))| Some((*user, m[k]? - b[k]?))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_without_a_positive_are_counted_apart_and_ties_go_to_the_earlier_candidate() {
        let request = |user: &str, labels: &[u32], model: &[f32]| JudgedRequest {
            user: user.into(),
            labels: labels.to_vec(),
            model: model.to_vec(),
            baselines: BTreeMap::from([("order".into(), vec![0.0; labels.len()])]),
            references: BTreeMap::new(),
        };
        let requests = [
            request("a", &[0, 1], &[0.0, 1.0]),
            request("b", &[1, 0], &[f32::NAN, 0.0]),
            request("a", &[0, 0], &[0.0, 0.0]),
        ];
        let evaluation = evaluate("test", &requests);
        assert_eq!((evaluation.requests, evaluation.requests_without_positive), (3, 1));
        assert_eq!(evaluation.model.get("hit@1").value, 0.5, "a NaN score ranks last");
        assert_eq!(evaluation.baselines["order"].get("hit@1").value, 0.5, "ties keep candidate order");
        assert_eq!(evaluation.difference["order"].value, 0.0);
        let json = serde_json::to_value(&evaluation).unwrap();
        for path in
            ["/model/ndcg@10/value", "/baselines/order/auc/low", "/difference/order/high", "/requests_without_positive"]
        {
            assert!(json.pointer(path).is_some(), "{path}");
        }
    }
}
