//! The reference results on real data; `make real DATA=FOLDER` runs them.
//!
//! `HEARTH_DATA` names a folder with `ranklens`, `foursquare-nyc` and `ml-100k`; without it these tests are skipped by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trainer::data::import::{self, Format};
use trainer::data::labelled::Labelled;
use trainer::data::replay::{Subject, replay};
use trainer::data::shard::Shard;
use trainer::data::store::Data;
use trainer::data::validation::training::Checks;
use trainer::experiment::bootstrap::{self, Estimate};
use trainer::experiment::evaluation::{JudgedRequest, evaluate, primary_of};
use trainer::experiment::judge::{Scorer, judged};
use trainer::experiment::train::{Settings, train};
use trainer::release::bundle::Bundle;
use trainer::spec::TrainerSpec;

/// NDCG@10 that the point-in-time click rate must reach on RankLens, which shows that snapshots are fresh.
const RANKLENS_BASELINE: f64 = 0.605;
/// Mean gain over it that models of five seeds must reach.
const RANKLENS_GAIN: f64 = 0.010;
/// Pooled gain over `(same_hour + 1) * decay_30d` that check-ins must reach.
const CHECKINS_GAIN: f64 = 0.035;

fn data_folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HEARTH_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {test}: HEARTH_DATA is not set; run `make real DATA=FOLDER`");
    }
    folder
}

struct Prepared {
    folder: tempfile::TempDir,
    spec_path: PathBuf,
    spec: TrainerSpec,
    labelled: Labelled,
}

fn prepare(example: &str, format: Format, files: &[PathBuf]) -> Prepared {
    let folder = tempfile::tempdir().unwrap();
    let spec_path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/examples/{example}.toml"));
    let spec = TrainerSpec::read(&spec_path).unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    import::run(format, files, &spec, &data, 0, &|_, _| {}).unwrap();
    replay(
        &Data::open(&data).unwrap(),
        &spec.features,
        &Subject::of_spec(&spec.features),
        Shard::WHOLE,
        &log,
        &|_, _| {},
    )
    .unwrap();
    let labelled = Labelled::read(&log, &spec.features).unwrap();
    Prepared { folder, spec_path, spec, labelled }
}

impl Prepared {
    /// Trains, and gives the judging requests with all scores.
    fn judged(&self, settings: Settings) -> Vec<JudgedRequest> {
        let run = self.folder.path().join(format!("run-{}-{}", settings.seed, settings.fold));
        train(&self.folder.path().join("log"), &self.spec_path, &settings, &Checks::default(), &run, &|_, _| {})
            .unwrap();
        let bundle = Bundle::open(&run.display().to_string()).unwrap();
        let parts = self.labelled.split(&self.spec.split, self.spec.features.label.window.ms, settings.fold);
        judged(&Scorer::new(&bundle.parts, &self.labelled).unwrap(), &self.labelled, &parts.test).unwrap()
    }
}

/// The users of the requests that count, in the order of [`primary_of`].
fn users(requests: &[JudgedRequest]) -> Vec<&str> {
    requests.iter().filter(|r| r.labels.iter().any(|&g| g > 0)).map(|r| r.user.as_str()).collect()
}

fn difference(users: &[&str], a: &[f64], b: &[f64]) -> Estimate {
    bootstrap::mean(users.iter().zip(a.iter().zip(b)).map(|(user, (a, b))| (*user, a - b)))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn ranklens() {
    let Some(data) = data_folder("ranklens") else { return };
    let prepared = prepare("ranklens", Format::Metarank, &[data.join("ranklens/events_dev.jsonl.gz")]);
    let mut sums: Vec<f64> = Vec::new();
    let (mut names, mut baseline) = (Vec::new(), Vec::new());
    for seed in 1..=5 {
        let requests = prepared.judged(Settings { seed, fold: 0 });
        let model = primary_of(&requests, |r| &r.model);
        baseline = primary_of(&requests, |r| &r.baselines["click_rate"]);
        names = users(&requests).into_iter().map(str::to_owned).collect();
        sums.resize(model.len(), 0.0);
        sums.iter_mut().zip(&model).for_each(|(sum, m)| *sum += m / 5.0);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        println!(
            "ranklens seed {seed}: model {:.4}, gain over click_rate {}",
            mean(&model),
            difference(&names, &model, &baseline)
        );
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gain = difference(&names, &sums, &baseline);
    println!(
        "ranklens: click_rate {:.4}, mean of five seeds {:.4}, gain {gain}, {} requests",
        mean(&baseline),
        mean(&sums),
        sums.len()
    );
    assert!(mean(&baseline) >= RANKLENS_BASELINE);
    assert!(gain.value >= RANKLENS_GAIN && gain.low > 0.0);
}

#[test]
fn checkins() {
    let Some(data) = data_folder("checkins") else { return };
    let file = |name: &str| data.join("foursquare-nyc").join(name);
    let prepared = prepare("checkins", Format::Csv, &[file("checkins_dev.csv"), file("poi.csv")]);
    let mut pooled: Vec<JudgedRequest> = Vec::new();
    let table = |name: &str, requests: &[JudgedRequest]| {
        let model = mean(&primary_of(requests, |r| &r.model));
        let of = |baseline: &str| mean(&primary_of(requests, |r| &r.baselines[baseline]));
        println!(
            "checkins {name}: model {model:.4}, habit {:.4}, decay {:.4}, most frequent {:.4}, most recent {:.4}, {} requests",
            of("habit"),
            of("decay_30d"),
            of("most_frequent"),
            of("most_recent"),
            requests.len()
        );
    };
    for fold in 0..5 {
        let requests = prepared.judged(Settings { seed: 1, fold });
        table(&format!("fold {fold}"), &requests);
        pooled.extend(requests);
    }
    table("pooled", &pooled);
    let per_user: BTreeMap<&str, u32> = pooled.iter().fold(BTreeMap::new(), |mut users, r| {
        *users.entry(r.user.as_str()).or_default() += 1;
        users
    });
    println!("checkins: {} users are tested, every one in one fold", per_user.len());
    let gain = difference(
        &users(&pooled),
        &primary_of(&pooled, |r| &r.model),
        &primary_of(&pooled, |r| &r.baselines["habit"]),
    );
    println!("checkins: pooled gain over habit {gain}");
    assert!(gain.value >= CHECKINS_GAIN && gain.low > 0.0);
}

#[test]
fn new_users() {
    let Some(data) = data_folder("new_users") else { return };
    let file = |name: &str| data.join("ml-100k").join(name);
    let files = [file("ml-100k.inter"), file("ml-100k.item"), file("ml-100k.user")];
    let prepared = prepare("newusers", Format::Csv, &files);
    let folds = prepared.spec.split.user_folds.unwrap_or(1);
    let pooled: Vec<JudgedRequest> = (0..folds).flat_map(|fold| prepared.judged(Settings { seed: 1, fold })).collect();
    let evaluation = evaluate("newusers", &pooled);
    println!("new_users: model {}, {} requests", evaluation.model.primary(), pooled.len());
    for (name, metrics) in &evaluation.baselines {
        println!("new_users: {name} {}, model's gain {}", metrics.primary(), evaluation.difference[name]);
    }
}
