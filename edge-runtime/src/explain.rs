//! Why a request's candidates have the scores that they have, by feature.

use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::encoder::Slot;
use shared_features::event::RequestEvent;
use shared_features::history::History;
use shared_features::numeric::store;
use shared_features::request::Request;
use shared_features::schema::SchemaError;
use shared_features::slate::by_score;
use shared_features::wire::{Call, ExplainMethod, Explained, Explanation};

use crate::host::HostError;
use crate::serving::Serving;

/// An explained request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainAnswer {
    /// The request.
    pub request: String,
    /// The surface.
    pub surface: String,
    /// The bundle that scored.
    pub bundle: Digest,
    /// The snapshot it used.
    pub tables: Digest,
    /// The channel's arm.
    pub arm: String,
    /// How contributions were found.
    pub method: ExplainMethod,
    /// The raw score before any feature is known.
    pub base: Option<f32>,
    /// All candidates, best score first, before rules and exploration.
    pub items: Vec<ExplainedItem>,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedItem {
    /// The item.
    pub item: String,
    /// Its score; `null` where the model gave none.
    pub score: Option<f32>,
    /// Its score before a final logistic function: the base plus all contributions.
    pub raw: Option<f32>,
    /// What features add, largest first; those that add nothing are left out.
    pub features: Vec<FeatureContribution>,
}

/// What a feature adds to a raw score: the sum of its numbers' contributions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureContribution {
    /// The feature.
    pub feature: String,
    /// What it adds; `null` where the model gave no score.
    pub contribution: Option<f32>,
}

/// Why a request is not explained: no fallback explains.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ExplainError {
    /// A field that does not fit the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The engine fails.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Serving {
    /// Explains a checked request of a user with this history.
    ///
    /// # Errors
    /// A field that does not fit the schema, or an engine that fails.
    pub(crate) fn explain(&self, event: RequestEvent, history: &History) -> Result<ExplainAnswer, ExplainError> {
        let arm = self.arm_for(&event.user);
        let snapshot = arm.snapshot_for(event.ts);
        let request = Request::new(&event, None, &arm.encoder.schema)?;
        let view = history.view(event.ts, arm.encoder.history_length);
        let call = Call { histories: vec![view], requests: vec![(0, request)], salt: String::new() };
        let mut explanation = snapshot.guest.explain(&call)?;
        let explained = take_only(&mut explanation)?;
        Ok(ExplainAnswer {
            request: event.id,
            surface: event.surface,
            bundle: arm.arm.bundle,
            tables: snapshot.digest,
            arm: arm.arm.name.clone(),
            method: explanation.method,
            base: known(explanation.base),
            items: items(&explained, &explanation.slots),
        })
    }
}

/// Takes the one answer out, whose lists fit each other.
fn take_only(explanation: &mut Explanation) -> Result<Explained, HostError> {
    let refuse = |reason: String| Err(HostError::Reply { reason });
    let (slots, answers) = (explanation.slots.len(), explanation.requests.len());
    match explanation.requests.pop() {
        Some(e) if answers == 1 => {
            let rows = e.items.len();
            let whole =
                [e.scores.len(), e.raw.len()] == [rows; 2] && Some(e.contributions.len()) == rows.checked_mul(slots);
            if whole { Ok(e) } else { refuse("its lists have different lengths".into()) }
        }
        _ => refuse(format!("{answers} answers to one request")),
    }
}

/// All candidates, best first; the lists fit each other.
fn items(explained: &Explained, slots: &[Slot]) -> Vec<ExplainedItem> {
    let item = |row: u32| {
        let row = row as usize;
        ExplainedItem {
            item: explained.items[row].clone(),
            score: known(explained.scores[row]),
            raw: known(explained.raw[row]),
            features: features(&explained.contributions[row * slots.len()..(row + 1) * slots.len()], slots),
        }
    };
    by_score(&explained.scores).into_iter().map(item).collect()
}

/// Sums neighbouring slots of one feature, in order.
fn features(contributions: &[f32], slots: &[Slot]) -> Vec<FeatureContribution> {
    let both: Vec<(&Slot, f32)> = slots.iter().zip(contributions.iter().copied()).collect();
    let mut features: Vec<(&str, f32)> = both
        .chunk_by(|(a, _), (b, _)| a.feature == b.feature)
        .map(|slots| {
            let sum = slots.iter().map(|(_, x)| f64::from(*x)).sum();
            (slots[0].0.feature.as_str(), store(sum))
        })
        .filter(|(_, x)| *x != 0.0)
        .collect();
    // Stable: equal ones keep the order of the spec.
    features.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    let contribution =
        |(feature, x): (&str, f32)| FeatureContribution { feature: feature.into(), contribution: known(x) };
    features.into_iter().map(contribution).collect()
}

fn known(x: f32) -> Option<f32> {
    (!x.is_nan()).then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_whose_lists_do_not_fit_is_refused() {
        let whole = || Explained {
            items: vec!["a".into(), "b".into()],
            scores: vec![0.0; 2],
            raw: vec![0.0; 2],
            contributions: vec![0.0; 2],
        };
        let explanation = |requests| Explanation {
            slots: vec![Slot { feature: "age".into(), name: "age".into() }],
            method: ExplainMethod::Linear,
            base: 0.0,
            requests,
        };
        let taken = |requests| take_only(&mut explanation(requests)).map_err(|e| e.to_string());
        assert_eq!(taken(vec![whole()]), Ok(whole()));
        for answers in [vec![], vec![whole(), whole()]] {
            let error = taken(answers).unwrap_err();
            assert!(error.contains("answers to one request"), "{error}");
        }
        let breaks: [fn(&mut Explained); 4] = [
            |e| e.scores.truncate(1),
            |e| e.raw.truncate(1),
            |e| e.contributions.truncate(1),
            |e| e.items.push("c".into()),
        ];
        for change in breaks {
            let mut explained = whole();
            change(&mut explained);
            assert!(taken(vec![explained]).unwrap_err().contains("different lengths"));
        }
    }

    #[test]
    fn slots_of_a_feature_are_summed_and_the_largest_comes_first() {
        let slot = |feature: &str, name: &str| Slot { feature: feature.into(), name: name.into() };
        let slots = [slot("age", "age"), slot("genre", "genre=a"), slot("genre", "genre=b"), slot("idle", "idle")];
        let explained = Explained {
            items: vec!["low".into(), "high".into()],
            scores: vec![0.25, 0.75],
            raw: vec![-1.0, f32::NAN],
            contributions: vec![1.0, -3.0, 0.5, 0.0, 2.0, 1.0, -1.0, 0.0],
        };
        let feature = |feature: &str, x| FeatureContribution { feature: feature.into(), contribution: Some(x) };
        let expected = [
            ExplainedItem { item: "high".into(), score: Some(0.75), raw: None, features: vec![feature("age", 2.0)] },
            ExplainedItem {
                item: "low".into(),
                score: Some(0.25),
                raw: Some(-1.0),
                features: vec![feature("genre", -2.5), feature("age", 1.0)],
            },
        ];
        assert_eq!(items(&explained, &slots), expected);
    }
}
