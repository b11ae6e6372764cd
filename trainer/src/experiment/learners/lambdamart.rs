//! LambdaMART: gradient-boosted trees with a ranking objective, by hessboost.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use hessboost::config::{GrowPolicy, TreeMethod};
use hessboost::objective::LambdaRank;
use hessboost::prelude::{DMatrix, Iterations, Objective, Trainer, TrainingParams};
use serde::Deserialize;

use super::lambda_loss::lambda_loss;
use super::{Fitted, LearnerError, in_range};
use crate::experiment::dataset::TrainingSet;
use crate::experiment::onnx_export::{self, TreeNode};

/// Settings, with LightGBM's defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How pairs of rows push each other.
    pub objective: RankObjective,
    /// Number of trees of one model.
    pub trees: u32,
    /// Models with seeds of their own whose scores are averaged; 1 for none.
    pub bags: u32,
    /// Shrinkage of each tree.
    pub learning_rate: f64,
    /// Most leaves of a tree, grown best first.
    pub leaves: u32,
    /// Deepest leaf; 0 for no limit.
    pub max_depth: u32,
    /// Fewest training rows of a leaf.
    pub min_rows: u32,
    /// Smallest sum of second derivatives of a leaf.
    pub min_hessian: f64,
    /// L2 regularisation of leaf weights.
    pub l2: f64,
    /// Histogram bins of a feature.
    pub bins: u32,
    /// Share of features that each tree may use.
    pub feature_share: f64,
    /// Share of rows that each tree sees.
    pub row_share: f64,
}

/// A ranking objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankObjective {
    /// LightGBM's lambdarank.
    Lightgbm,
    /// XGBoost's `rank:ndcg`.
    Xgboost,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            objective: RankObjective::Lightgbm,
            trees: 100,
            bags: 1,
            learning_rate: 0.1,
            leaves: 31,
            max_depth: 0,
            min_rows: 20,
            min_hessian: 0.001,
            l2: 0.0,
            bins: 255,
            feature_share: 1.0,
            row_share: 1.0,
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), LearnerError> {
        in_range("trees", self.trees.into(), 1.0..=10_000.0, "1 to 10000")?;
        in_range("bags", self.bags.into(), 1.0..=100.0, "1 to 100")?;
        in_range("learning_rate", self.learning_rate, 1e-6..=1.0, "more than 0, at most 1")?;
        in_range("leaves", self.leaves.into(), 2.0..=4096.0, "2 to 4096")?;
        in_range("max_depth", self.max_depth.into(), 0.0..=64.0, "0 to 64")?;
        in_range("min_rows", self.min_rows.into(), 1.0..=1e9, "at least 1")?;
        in_range("min_hessian", self.min_hessian, 0.0..=1e12, "at least 0")?;
        in_range("l2", self.l2, 0.0..=1e12, "at least 0")?;
        in_range("bins", self.bins.into(), 2.0..=65_535.0, "2 to 65535")?;
        in_range("feature_share", self.feature_share, 1e-3..=1.0, "more than 0, at most 1")?;
        in_range("row_share", self.row_share, 1e-3..=1.0, "more than 0, at most 1")
    }

    fn params(&self, data: &TrainingSet, seed: u64) -> Result<TrainingParams, LearnerError> {
        let objective = match self.objective {
            RankObjective::Lightgbm => Objective::custom(lambda_loss(data.groups())),
            RankObjective::Xgboost => Objective::RankNdcg(LambdaRank::default()),
        };
        let builder = TrainingParams::builder()
            .objective(objective)
            .seed(seed)
            .eta(self.learning_rate)
            .tree_method(TreeMethod::Hist)
            .grow_policy(GrowPolicy::LossGuide)
            .max_leaves(self.leaves as usize)
            .min_child_weight(self.min_hessian)
            .min_child_groups(self.min_rows as usize)
            .lambda(self.l2)
            .max_bin(self.bins as usize)
            .colsample_bytree(self.feature_share)
            .subsample(self.row_share);
        let builder = match NonZeroUsize::new(self.max_depth as usize) {
            Some(depth) => builder.max_depth(depth.get()),
            None => builder.unlimited_depth(),
        };
        builder.build().map_err(library)
    }
}

pub(super) fn fit(
    settings: &Settings,
    data: &TrainingSet,
    seed: u64,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Fitted, LearnerError> {
    // Every row is a split group of its own, so that "groups in a leaf" are rows.
    let rows: Vec<u64> = (0..data.rows() as u64).collect();
    let x = within_limit(data.x());
    let matrix = DMatrix::from_dense(&x, data.rows(), data.n_features())
        .and_then(|m| m.with_labels(data.labels()))
        .and_then(|m| m.with_group_sizes(data.groups()))
        .and_then(|m| m.with_split_groups(&rows))
        .map_err(library)?;
    let total = u64::from(settings.trees) * u64::from(settings.bags);
    let scale = 1.0 / settings.bags as f32;
    let mut trees: Vec<Vec<TreeNode>> = Vec::new();
    let mut base = 0.0f64;
    let mut scores = vec![0.0f64; data.rows()];
    for bag in 0..settings.bags {
        let params = settings.params(data, seed.wrapping_mul(1_000).wrapping_add(u64::from(bag)))?;
        let done = u64::from(bag) * u64::from(settings.trees);
        let model = Trainer::new(&params, &matrix, settings.trees as usize)
            .on_round(|round| {
                progress(done + round.iteration() as u64 + 1, total);
                ControlFlow::Continue(())
            })
            .train()
            .map_err(library)?
            .model;
        base += f64::from(model.base_score());
        trees.extend(
            model.trees().iter().map(|tree| tree.nodes().iter().map(|node| TreeNode::of(node, scale)).collect()),
        );
        let own = model.predict(&matrix, Iterations::Best).map_err(library)?;
        for (sum, score) in scores.iter_mut().zip(own.as_slice()) {
            *sum += f64::from(*score);
        }
    }
    let bags = f64::from(settings.bags);
    let largest = |tree: &Vec<TreeNode>| tree.iter().map(TreeNode::weight).fold(0.0f64, |a, w| a.max(w.abs()));
    Ok(Fitted {
        onnx: onnx_export::trees(data.n_features(), &trees, (base / bags) as f32),
        training_scores: scores.iter().map(|s| (s / bags) as f32).collect(),
        weight: trees.iter().map(largest).sum(),
    })
}

/// Numbers with the ends of the `f32` range pulled in to [`onnx_export::LIMIT`].
///
/// The library puts a threshold at twice a feature's largest value where it parts present from missing,
/// and refuses its own tree when that overflows; the encoder does make such values, out of infinities.
fn within_limit(x: &[f32]) -> Cow<'_, [f32]> {
    let limit = onnx_export::LIMIT;
    // A missing value is not beyond the limit, and stays missing.
    if x.iter().any(|v| v.abs() > limit) {
        x.iter().map(|v| v.clamp(-limit, limit)).collect()
    } else {
        Cow::Borrowed(x)
    }
}

fn library(error: hessboost::error::HessboostError) -> LearnerError {
    LearnerError::Library { learner: "lambdamart", reason: error.to_string() }
}
