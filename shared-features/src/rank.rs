//! One request, from candidates to a slate and its log rows.
//!
//! The engine runs this with the model's scores; the host runs it natively with the fallback's when a model fails.

use serde::{Deserialize, Serialize};

use crate::encoder::{Encoder, Values};
use crate::event::MAX_CANDIDATES;
use crate::history::HistoryView;
use crate::policy::{CandidateSource, Policy};
use crate::request::Request;
use crate::scene::{Candidates, Scene};
use crate::slate::{by_score, slate};
use crate::tables::Tables;
use crate::{numeric, order};

/// Rank of a logged row that is not in the slate.
pub const UNRANKED: u32 = u32::MAX;

/// Scores of all candidates of a scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// A score a row.
    pub scores: Vec<f32>,
    /// The vectors that were scored, `f32[rows, width]`; empty where none were.
    pub vectors: Vec<f32>,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The log rows: the slate in order, then the unshown ones.
    pub rows: LogRows,
    /// How many candidates there were.
    pub candidates: u32,
    /// How many scores were NaN.
    pub nan_scores: u32,
}

/// The logged candidates of one request, columnar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogRows {
    /// The items.
    pub items: Vec<String>,
    /// Index of the policy's candidate source each came from.
    pub sources: Vec<u8>,
    /// Place in the slate, from 0; [`UNRANKED`] outside it.
    pub ranks: Vec<u32>,
    /// Scores; NaN is a model fault.
    #[serde(with = "crate::floats")]
    pub scores: Vec<f32>,
    /// Probability at its place given those above; missing without exploration and outside the slate.
    #[serde(with = "crate::floats")]
    pub propensity: Vec<f32>,
    /// Probability with which an unshown candidate was logged; 1 in the slate.
    #[serde(with = "crate::floats")]
    pub sampling: Vec<f32>,
    /// Interactions of the history that features saw.
    pub history_entries: u32,
    /// Values, a row each.
    pub values: Values,
    /// Vectors, `f32[rows, width]`.
    #[serde(with = "crate::floats")]
    pub vectors: Vec<f32>,
}

/// All parts that determine an answer beside the model.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The encoder.
    pub encoder: &'a Encoder,
    /// The policy.
    pub policy: &'a Policy,
    /// The snapshot.
    pub tables: &'a Tables,
}

impl<'a> Parts<'a> {
    /// The scene of a checked request, and the candidate source of each row.
    pub fn scene(&self, history: &'a HistoryView, request: &'a Request) -> (Scene<'a>, Vec<u8>) {
        let (candidates, sources) = self.candidates(history, request);
        let scene = Scene::new(
            &self.encoder.schema,
            &self.encoder.statistics,
            self.tables,
            history,
            self.encoder.history_length,
            request,
            candidates,
        );
        (scene, sources)
    }

    /// Ranks a checked request with the scores that `score` gives for its values.
    pub fn rank(
        &self,
        history: &HistoryView,
        request: &Request,
        salt: &str,
        score: impl FnOnce(&Values) -> Scored,
    ) -> Ranked {
        let (scene, sources) = self.scene(history, request);
        let values = self.encoder.extract(&scene);
        let Scored { mut scores, vectors } = score(&values);
        scores.resize(scene.rows(), numeric::MISSING);
        let slate = slate(self.policy, &scene, &scores, salt);
        let logged: Vec<u32> = slate.order.iter().chain(&slate.unshown).copied().collect();
        let shown = slate.order.len();
        let place = |k: usize| if k < shown { k as u32 } else { UNRANKED };
        let width = if scene.rows() == 0 { 0 } else { vectors.len() / scene.rows() };
        let indices: Vec<Option<u32>> = logged.iter().map(|&i| Some(i)).collect();
        let rows = LogRows {
            items: logged.iter().map(|&i| scene.candidates[i as usize].to_owned()).collect(),
            sources: logged.iter().map(|&i| sources[i as usize]).collect(),
            ranks: (0..logged.len()).map(place).collect(),
            scores: logged.iter().map(|&i| numeric::store_f32(scores[i as usize])).collect(),
            propensity: (0..logged.len())
                .map(|k| slate.propensity.get(k).copied().unwrap_or(numeric::MISSING))
                .collect(),
            sampling: (0..logged.len()).map(|k| if k < shown { 1.0 } else { slate.unshown_probability }).collect(),
            history_entries: scene.window.len() as u32,
            values: Values {
                rows: logged.len() as u32,
                columns: values.columns.iter().map(|column| column.take(&indices)).collect(),
            },
            vectors: logged
                .iter()
                .flat_map(|&i| vectors[i as usize * width..(i as usize + 1) * width].iter().copied())
                .collect(),
        };
        Ranked {
            candidates: scene.rows() as u32,
            nan_scores: scores.iter().filter(|s| s.is_nan()).count() as u32,
            rows,
        }
    }

    fn candidates(&self, history: &'a HistoryView, request: &'a Request) -> (Candidates<'a>, Vec<u8>) {
        let (mut items, mut sources) = (Vec::new(), Vec::new());
        for (source, kind) in self.policy.candidates.iter().enumerate() {
            let found: Vec<(&'a str, Option<u32>)> = match kind {
                CandidateSource::Request => {
                    request.candidates.iter().enumerate().map(|(row, item)| (item.as_str(), Some(row as u32))).collect()
                }
                CandidateSource::History { actions, length } => {
                    self.of_history(history, request, actions.as_deref(), *length)
                }
                CandidateSource::Table { rank_by, length } => self.of_table(request, rank_by.expression(), *length),
            };
            items.extend(found);
            sources.resize(items.len(), source as u8);
        }
        // Of each item the first one stays.
        let mut by_item = order::sorted(items.len(), &|a, b| items[a].0.cmp(items[b].0));
        by_item.dedup_by(|later, first| items[*later as usize].0 == items[*first as usize].0);
        let mut stays = vec![false; items.len()];
        by_item.iter().for_each(|&i| stays[i as usize] = true);
        let firsts: Vec<usize> = (0..items.len()).filter(|&i| stays[i]).take(MAX_CANDIDATES).collect();
        let mut places = vec![None; items.len()];
        firsts.iter().enumerate().for_each(|(place, &i)| places[i] = Some(place as u32));
        let candidates = Candidates {
            items: firsts.iter().map(|&i| items[i].0).collect(),
            field_rows: firsts.iter().map(|&i| items[i].1).collect(),
            by_item: by_item.into_iter().filter_map(|i| places[i as usize]).collect(),
        };
        (candidates, firsts.iter().map(|&i| sources[i]).collect())
    }

    fn of_history(
        &self,
        history: &'a HistoryView,
        request: &Request,
        actions: Option<&[String]>,
        length: u32,
    ) -> Vec<(&'a str, Option<u32>)> {
        let wanted: Vec<bool> =
            history.actions.iter().map(|a| actions.is_none_or(|actions| actions.contains(a))).collect();
        let mut seen = vec![false; history.items.len()];
        let mut found = Vec::new();
        for i in history.window(request.ts, self.encoder.history_length).rev() {
            let item = history.item[i] as usize;
            if wanted[history.action[i] as usize] && !seen[item] && found.len() < length as usize {
                seen[item] = true;
                found.push((history.items[item].as_str(), None));
            }
        }
        found
    }

    fn of_table(
        &self,
        request: &'a Request,
        rank_by: &crate::expression::Expression,
        length: u32,
    ) -> Vec<(&'a str, Option<u32>)> {
        let empty = HistoryView::default();
        let scene = Scene::new(
            &self.encoder.schema,
            &self.encoder.statistics,
            self.tables,
            &empty,
            1,
            request,
            Candidates {
                items: self.tables.items.iter().map(String::as_str).collect(),
                field_rows: vec![None; self.tables.items.len()],
                by_item: (0..self.tables.items.len() as u32).collect(),
            },
        );
        let columns: Vec<Vec<f32>> = rank_by.names().iter().map(|name| scene.statistic(name)).collect();
        let scores: Vec<f32> =
            (0..scene.rows()).map(|row| numeric::store(rank_by.evaluate(|k| f64::from(columns[k][row])))).collect();
        by_score(&scores)
            .into_iter()
            .take_while(|&i| !scores[i as usize].is_nan())
            .take(length as usize)
            .map(|i| (self.tables.items[i as usize].as_str(), None))
            .collect()
    }
}
