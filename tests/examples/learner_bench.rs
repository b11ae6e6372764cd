//! NDCG@10 of LambdaMART's objectives on LightGBM's ranking example: five folds over all 251 queries.
//!
//! Query `q` is judged by the model that did not train on queries `q mod 5`. Prints one line a judged query,
//! which `trainer/bench/lightgbm_peer.py` puts into a table beside LightGBM's and XGBoost's own:
//!
//! ```text
//! HEARTH_DATA=FOLDER cargo run -p hearth-tests --example learner_bench > ours.tsv
//! python trainer/bench/lightgbm_peer.py FOLDER/lightgbm-rank ours.tsv
//! ```

use std::collections::BTreeMap;
use std::time::Instant;

use hearth_tests::lightgbm_rank::{FEATURES, Queries};
use trainer::experiment::evaluation::{JudgedRequest, primary_of};
use trainer::experiment::learners::Learner;
use trainer::experiment::learners::lambdamart::{RankObjective, Settings};
use wasm_model::onnx::Model;

const FOLDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(queries) = Queries::read() else { return Ok(()) };
    let shipped = Settings::default();
    // LightGBM's example.
    let lightgbm = Settings { min_rows: 50, min_hessian: 5.0, ..Settings::default() };
    let with_xgboost = |settings: &Settings| Settings { objective: RankObjective::Xgboost, ..settings.clone() };
    // What XGBoost limits by default; its gradients are of another size than LightGBM's.
    let usual = Settings { min_rows: 1, min_hessian: 1.0, l2: 1.0, ..with_xgboost(&shipped) };
    for (name, settings) in [
        ("ours lightgbm", lightgbm.clone()),
        ("ours xgboost", with_xgboost(&lightgbm)),
        ("ours xgboost usual", usual),
        ("ours shipped default", shipped.clone()),
        ("ours shipped default, xgboost", with_xgboost(&shipped)),
    ] {
        let started = Instant::now();
        for fold in 0..FOLDS {
            let fitted =
                Learner::Lambdamart(settings.clone()).fit(&queries.pick(|q| q % FOLDS != fold), 0, &|_, _| {})?;
            let model = Model::load(&fitted.onnx, FEATURES)?;
            for query in (fold..queries.count()).step_by(FOLDS) {
                println!("{name}\t{query}\t{}", ndcg(&model, &queries, query));
            }
        }
        eprintln!("{name}: {:.1} s for {FOLDS} folds", started.elapsed().as_secs_f64());
    }
    Ok(())
}

fn ndcg(model: &Model, queries: &Queries, query: usize) -> f64 {
    let rows = queries.pick(|q| q == query);
    let mut scores = Vec::new();
    model.score(rows.x(), &mut scores);
    let request = JudgedRequest {
        user: String::new(),
        labels: rows.labels().iter().map(|&grade| grade as u32).collect(),
        model: scores,
        baselines: BTreeMap::new(),
        references: BTreeMap::new(),
    };
    // No value where no row is relevant.
    primary_of(&[request], |r| r.model.as_slice()).first().copied().unwrap_or(f64::NAN)
}
