//! The answer to a request: the model's, or the fallback's where the model fails.

use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::event::RequestEvent;
use shared_features::feature_log::Record;
use shared_features::history::{History, HistoryView};
use shared_features::rank::{Parts, Ranked, Scored, UNRANKED};
use shared_features::request::Request;
use shared_features::schema::SchemaError;
use shared_features::wire::Call;

use crate::entry::Entry;
use crate::host::HostError;
use crate::serving::{Arm, Serving, Snapshot};

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

/// An answer with what there is to log of it.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) log: Log,
    /// Why the model gave none.
    pub(crate) fault: Option<HostError>,
    /// How many scores were NaN.
    pub(crate) nan_scores: u32,
}

/// What there is to log of a request, and what of it the bundle's shares have.
pub(crate) struct Log {
    pub(crate) record: Record,
    rows: bool,
    request: Option<RequestEvent>,
}

impl Log {
    /// What goes into the spool.
    pub(crate) fn entries(self) -> Vec<Entry> {
        let rows = self.rows.then(|| Entry::Rows(Box::new(self.record)));
        rows.into_iter().chain(self.request.as_ref().map(Entry::from)).collect()
    }
}

impl Serving {
    /// Answers a checked request of a user with this history.
    ///
    /// # Errors
    /// A field that does not fit the schema. A failing model is no error: the fallback answers.
    pub(crate) fn answer(&self, event: RequestEvent, history: &History, arrived: i64) -> Result<Answered, SchemaError> {
        let arm = self.arm_for(&event.user);
        let snapshot = arm.snapshot_for(event.ts);
        let request = Request::new(&event, None, &arm.encoder.schema)?;
        let view = history.view(event.ts, arm.encoder.history_length);
        let salt = &self.pointer.salt;
        let sampled = arm.sampling.of(salt, &event.id);
        let raw = sampled.request.then(|| event.clone());
        let (ranked, fault) = match arm.ask(snapshot, &view, &request, salt) {
            Ok(ranked) => (ranked, None),
            Err(fault) => (arm.fall_back(snapshot, &view, &request, salt), Some(fault)),
        };
        let answer = Answer {
            request: event.id.clone(),
            surface: event.surface.clone(),
            bundle: arm.arm.bundle,
            tables: snapshot.digest,
            arm: arm.arm.name.clone(),
            fallback: fault.is_some(),
            items: slate(&ranked),
        };
        let record = Record {
            request: event.id,
            user: event.user,
            surface: event.surface,
            ts: event.ts,
            offset_min: event.offset_min,
            arrived,
            bundle: Some(arm.arm.bundle),
            encoder: arm.encoder_hash,
            tables: snapshot.digest,
            arm: arm.arm.name.clone(),
            weight: arm.arm.weight,
            history_length: arm.encoder.history_length,
            fallback: fault.is_some(),
            rows: ranked.rows,
        };
        let log = Log { record, rows: sampled.rows, request: raw };
        Ok(Answered { answer, log, fault, nan_scores: ranked.nan_scores })
    }
}

impl Arm {
    /// The model's answer.
    fn ask(
        &self,
        snapshot: &Snapshot,
        history: &HistoryView,
        request: &Request,
        salt: &str,
    ) -> Result<Ranked, HostError> {
        let call =
            Call { histories: vec![history.clone()], requests: vec![(0, request.clone())], salt: salt.to_owned() };
        snapshot.guest.rank(&call)?.pop().ok_or(HostError::Reply { reason: "no answer".into() })
    }

    /// The answer of the fallback baseline, computed natively.
    fn fall_back(&self, snapshot: &Snapshot, history: &HistoryView, request: &Request, salt: &str) -> Ranked {
        let parts = Parts { encoder: &self.encoder, policy: &self.policy, tables: &snapshot.tables };
        let baseline = self.encoder.baselines.iter().find(|b| b.name == self.policy.fallback);
        parts.rank(history, request, salt, |values| Scored {
            scores: baseline.map(|b| self.encoder.baseline(b, values)).unwrap_or_default(),
            vectors: self.encoder.encode(values).unwrap_or_default(),
        })
    }
}

/// A ranked request's slate, best first.
fn slate(ranked: &Ranked) -> Vec<RankedItem> {
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
