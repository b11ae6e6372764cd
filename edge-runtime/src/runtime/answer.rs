//! The answer to a request: the model's, or the fallback's where the model fails.

use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::history::HistoryView;
use shared_features::rank::{Parts, Ranked, Scored, UNRANKED};
use shared_features::request::Request;
use shared_features::wire::Call;

use super::serving::{Arm, Snapshot};
use crate::host::HostError;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The request; name it in impressions and interactions.
    pub request: String,
    /// The surface.
    pub surface: String,
    /// The bundle that answered.
    pub bundle: Digest,
    /// The snapshot it used.
    pub tables: Digest,
    /// The channel's arm.
    pub arm: String,
    /// Whether the fallback baseline ranked because the model failed.
    pub fallback: bool,
    /// The slate, best first.
    pub items: Vec<RankedItem>,
}

/// One item of a slate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedItem {
    /// The item.
    pub item: String,
    /// Its place, from 0.
    pub position: u32,
    /// Its score; `null` where the model gave none.
    pub score: Option<f32>,
    /// Probability of this item at this place given those above; absent without exploration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f32>,
}

impl Arm {
    /// The model's answer.
    pub(super) fn ask(
        &self,
        snapshot: &Snapshot,
        history: &HistoryView,
        request: &Request,
        salt: &str,
    ) -> Result<Ranked, HostError> {
        let call =
            Call { histories: vec![history.clone()], requests: vec![(0, request.clone())], salt: salt.to_owned() };
        let ranked = snapshot.guest.rank(&call)?.pop().ok_or(HostError::Reply { reason: "no answer".into() })?;
        if ranked.nan_scores > 0 {
            metrics::counter!("hearth_nan_scores_total").increment(ranked.nan_scores.into());
        }
        Ok(ranked)
    }

    /// The answer of the fallback baseline, computed natively.
    pub(super) fn fall_back(
        &self,
        snapshot: &Snapshot,
        history: &HistoryView,
        request: &Request,
        salt: &str,
    ) -> Ranked {
        let parts = Parts { encoder: &self.encoder, policy: &self.policy, tables: &snapshot.tables };
        let baseline = self.encoder.baselines.iter().find(|b| b.name == self.policy.fallback);
        parts.rank(history, request, salt, |values| Scored {
            scores: baseline.map(|b| self.encoder.baseline(b, values)).unwrap_or_default(),
            vectors: self.encoder.encode(values).unwrap_or_default(),
        })
    }
}

/// A ranked request's slate, best first.
pub(super) fn slate(ranked: &Ranked) -> Vec<RankedItem> {
    let rows = &ranked.rows;
    let known = |x: f32| (!x.is_nan()).then_some(x);
    let slate = rows.items.iter().enumerate().filter(|(i, _)| rows.ranks[*i] != UNRANKED);
    slate
        .map(|(i, item)| RankedItem {
            item: item.clone(),
            position: rows.ranks[i],
            score: known(rows.scores[i]),
            propensity: known(rows.propensity[i]),
        })
        .collect()
}
