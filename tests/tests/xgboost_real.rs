//! LambdaMART's `xgboost` objective against XGBoost on real queries; a small generated set is held in the trainer.

use hearth_tests::lightgbm_rank::Queries;
use shared_features::digest::Digest;
use trainer::experiment::learners::Learner;
use trainer::experiment::learners::lambdamart::{RankObjective, Settings};

/// `trainer/fixtures/xgboost-rank/make.py FOLDER` prints it.
const XGBOOST: &str = include_str!("../../trainer/fixtures/xgboost-rank/lightgbm-rank.sha256");

#[test]
fn raw_predictions_on_real_queries_equal_those_of_xgboost_to_the_bit() {
    let Some(queries) = Queries::read() else { return };
    let data = queries.pick(|query| query < 201);
    let settings = Settings {
        objective: RankObjective::Xgboost,
        trees: 100,
        leaves: 31,
        min_rows: 1,
        min_hessian: 5.0,
        l2: 1.0,
        bins: 255,
        ..Settings::default()
    };
    let fitted = Learner::Lambdamart(settings).fit(&data, 1, &|_, _| {}).unwrap();
    let bits: Vec<u8> = fitted.training_scores.iter().flat_map(|score| score.to_bits().to_le_bytes()).collect();
    assert_eq!(Digest::of(&bits).to_string(), XGBOOST.trim(), "{} rows", data.rows());
}
