//! `trainer evaluate`: a bundle on a log that may be of users or a time it never saw.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::terminal::say;
use super::{Run, terminal};
use crate::data::labelled::Labelled;
use crate::experiment::evaluation::{Evaluation, Metrics};
use crate::experiment::judge::{Scorer, judge};
use crate::release::bundle::Bundle;

/// Judge a run's bundle, or a published one, on a log.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trainer evaluate --run run --log log
  trainer evaluate --bundle registry/bundles/3f9a.. --log last-week --from 1767571200000 --json

NDCG: gain 2^label - 1, discount 1/log2(rank + 1), ties by the earlier candidate.
Requests without a positive label are skipped and counted. Intervals: 95 % bootstrap over requests, clustered by user.")]
pub(super) struct Evaluate {
    /// The RUN folder; its judging requests are used where the log is the one it trained on
    #[arg(long, required_unless_present = "bundle", conflicts_with = "bundle")]
    run: Option<String>,
    /// The bundle, `REGISTRY/bundles/DIGEST`
    #[arg(long)]
    bundle: Option<String>,
    /// The LOG folder: what `trainer replay` wrote, an edge's --state folder, or a collector's --store
    #[arg(long)]
    log: PathBuf,
    /// Only requests from this time on, milliseconds since the epoch
    #[arg(long, allow_negative_numbers = true)]
    from: Option<i64>,
    /// Only requests before this time, milliseconds since the epoch
    #[arg(long, allow_negative_numbers = true)]
    to: Option<i64>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Run for Evaluate {
    fn run(self) -> Result<()> {
        let reference = self.run.as_deref().or(self.bundle.as_deref()).unwrap_or_default();
        let bundle = Bundle::open(reference)?;
        let spec = bundle.spec()?;
        let bar = terminal::progress("judging");
        let moves = terminal::moves(&bar);
        moves(0, 2);
        let labelled = Labelled::read(&self.log, &spec.features)?;
        moves(1, 2);
        let same_log = bundle.parts.manifest().training_data == labelled.digest;
        let window = spec.features.label.window.ms;
        let indices: Vec<usize> = match (bundle.report(), same_log && self.from.is_none() && self.to.is_none()) {
            // On the log it was trained on, only the requests that judged it are fair.
            (Some(report), true) => labelled.split(&spec.split, window, report.settings.fold).test,
            _ => (0..labelled.log.records.len())
                .filter(|&i| {
                    let ts = labelled.log.records[i].ts;
                    self.from.is_none_or(|from| ts >= from) && self.to.is_none_or(|to| ts < to)
                })
                .collect(),
        };
        if indices.is_empty() {
            bail!("no request of {} is within --from and --to", self.log.display());
        }
        let evaluation = judge(&Scorer::new(&bundle.parts, &labelled)?, &labelled, &spec, &indices)?;
        bar.finish_and_clear();
        if evaluation.requests == evaluation.requests_without_positive {
            let log = self.log.display();
            bail!(
                "none of the {} requests of {log} has a positive label, so nothing can be judged; \
                 look at [label] in the spec, and whether the log has impressions and interactions",
                evaluation.requests
            );
        }
        if self.json {
            return terminal::print_json(&evaluation);
        }
        print_evaluation(&evaluation);
        Ok(())
    }
}

/// The evaluation as a table.
pub(super) fn print_evaluation(evaluation: &Evaluation) {
    let row = |name: &str, metrics: &Metrics, difference: Option<String>| {
        vec![
            name.to_owned(),
            metrics.primary().to_string(),
            format!("{:.4}", metrics.get("ndcg@5").value),
            format!("{:.4}", metrics.get("mrr").value),
            format!("{:.4}", metrics.get("hit@1").value),
            format!("{:.4}", metrics.get("auc").value),
            difference.unwrap_or_default(),
        ]
    };
    let mut rows = vec![row("model", &evaluation.model, None)];
    rows.extend(evaluation.baselines.iter().map(|(name, metrics)| {
        row(
            name,
            metrics,
            evaluation.difference.get(name).map(|d| format!("{:+.4} [{:+.4}, {:+.4}]", d.value, d.low, d.high)),
        )
    }));
    rows.extend(evaluation.references.iter().map(|(name, metrics)| row(&format!("({name})"), metrics, None)));
    say!(
        "{}: {} requests, {} without a positive label",
        evaluation.surface,
        evaluation.requests,
        evaluation.requests_without_positive
    );
    say!(
        "{}",
        terminal::table(&["", "NDCG@10 [95 %]", "NDCG@5", "MRR", "hit@1", "AUC", "model's gain in NDCG@10"], rows)
    );
}
