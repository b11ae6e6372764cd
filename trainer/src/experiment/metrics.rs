//! Ranking metrics of one request: functions of its grades in ranked order, best first.
//!
//! The convention: gain `2^grade - 1`, discount `1 / log2(rank + 1)` with ranks from 1, ties in score broken by the
//! earlier candidate, NaN scores last, requests without a positive label skipped and counted apart.
//! To add one, write its file in `metrics/` and register it in [`METRICS`].

mod auc;
mod hit;
mod mean_average_precision;
mod mrr;
mod ndcg;
mod recall;

/// A metric: its name, and its value for one request; `None` where it is not defined there.
pub struct Metric {
    /// As it is reported.
    pub name: &'static str,
    /// From grades in ranked order and, for metrics that look at ties, their scores.
    pub of_request: fn(&[u32], &[f32]) -> Option<f64>,
}

/// All metrics, in the order of reports.
pub const METRICS: &[Metric] = &[
    Metric { name: "ndcg@5", of_request: |grades, _| Some(ndcg::ndcg(grades, 5)) },
    Metric { name: "ndcg@10", of_request: |grades, _| Some(ndcg::ndcg(grades, 10)) },
    Metric { name: "map", of_request: |grades, _| Some(mean_average_precision::average_precision(grades)) },
    Metric { name: "mrr", of_request: |grades, _| Some(mrr::reciprocal_rank(grades)) },
    Metric { name: "hit@1", of_request: |grades, _| Some(hit::hit(grades, 1)) },
    Metric { name: "hit@10", of_request: |grades, _| Some(hit::hit(grades, 10)) },
    Metric { name: "recall@10", of_request: |grades, _| Some(recall::recall(grades, 10)) },
    Metric { name: "auc", of_request: auc::auc },
];

/// The metric that gates and comparisons use.
pub const PRIMARY: &str = "ndcg@10";

#[cfg(test)]
mod tests;
