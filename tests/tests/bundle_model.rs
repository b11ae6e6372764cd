//! Models that were trained elsewhere, through the trainer's real commands: vectors out, model in, judged, published and served.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use edge_runtime::host::{Guest, Host, Limits};
use edge_runtime::spool;
use hearth_tests::binary::{trainer_fails, trainer_ok};
use hearth_tests::edge::Edge;
use hearth_tests::foreign::{Model, constant, node, node_with};
use hearth_tests::world::{TARGET, copy, simulate, spec};
use serde_json::{Value, json};
use shared_features::event::Event;
use shared_features::feature_log::Record;
use tract_onnx::pb::AttributeProto;
use trainer::data::store::Data;
use trainer::data::validation::training::Checks;
use trainer::data::vectors;
use trainer::experiment::onnx_export::{self, TreeNode};
use trainer::experiment::train::{Settings, train};
use trainer::release::bundle::Bundle;

/// Largest difference to another library's scores, as a share of the sum of absolute weights.
const TOLERANCE: f64 = 1e-6;

/// A world, its log and the vectors of the log, with which every test begins.
fn world() -> &'static Path {
    static WORLD: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        simulate(folder.path(), 300, 80, 16, 1, "data");
        trainer_ok(folder.path(), &["replay", "--data", "data", "--spec", &spec("podcasts"), "--out", "log"]);
        write_vectors(folder.path(), "vectors.parquet");
        trainer_ok(folder.path(), &["keys", "init", "--out", "keys"]);
        folder
    });
    made.path()
}

/// The same world in a folder of its own.
fn own_world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(world(), folder.path());
    folder
}

fn write_vectors(folder: &Path, out: &str) -> Value {
    parsed(&trainer_ok(folder, &["vectors", "--log", "log", "--spec", &spec("podcasts"), "--out", out, "--json"]))
}

fn width() -> usize {
    vectors::origin(&world().join("vectors.parquet")).unwrap().encoder.width.unwrap() as usize
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not one JSON value ({e}): {text}"))
}

/// Bundles a model of this folder into `run`.
fn bundle(folder: &Path, model: &str, more: &[&str]) -> Value {
    let spec = spec("podcasts");
    let command = ["bundle", "--model", model, "--log", "log", "--spec", &spec, "--out", "run", "--json"];
    parsed(&trainer_ok(folder, &[&command[..], more].concat()))
}

/// Two trees of one split each, on the hour and on the last number, with a leaf's sign by the direction of what is missing.
fn two_trees() -> Vec<Vec<TreeNode>> {
    let stump = |feature, threshold, missing_left, low, high| {
        vec![TreeNode::branch(feature, threshold, missing_left, (1, 2)), TreeNode::leaf(low), TreeNode::leaf(high)]
    };
    vec![stump(0, 12.0, true, 0.25, -1.5), stump(width() as u32 - 1, 3.0, false, 2.0, 0.125)]
}

/// What [`two_trees`] answer.
fn two_trees_score(vector: &[f32]) -> f64 {
    let (hour, last) = (vector[0], vector[vector.len() - 1]);
    let first = if hour.is_nan() || hour < 12.0 { 0.25 } else { -1.5 };
    let second = if last < 3.0 { 2.0 } else { 0.125 };
    first + second + 0.5
}

fn dressed_trees() -> Model {
    Model::dressed(&onnx_export::trees(width(), &two_trees(), 0.5))
}

/// Softmax over three classes of a dense layer, after missing numbers became 0: the compact engine has no `IsNaN`.
fn dense(weights: &[f32], outputs: &[(&str, &[i64])]) -> Model {
    let width = width() as i64;
    let nodes = vec![
        node("IsNaN", &["X"], "missing"),
        node("Where", &["missing", "zero", "X"], "known"),
        node("Gemm", &["known", "weights", "bias"], "logits"),
        node_with("Softmax", &["logits"], "probabilities", "axis", 1),
    ];
    let constants = vec![
        constant("zero", &[1], &[0.0]),
        constant("weights", &[width, 3], weights),
        constant("bias", &[3], &[0.1, -0.2, 0.3]),
    ];
    Model::new(width, nodes, constants, outputs)
}

/// Small weights that no two columns share.
fn weights() -> Vec<f32> {
    (0..width() * 3).map(|k| ((k * 7 % 13) as f32 - 6.0) / 640.0).collect()
}

/// The classes' probabilities by [`dense`].
fn probabilities(weights: &[f32], vector: &[f32]) -> [f64; 3] {
    let mut exp = [0.1f64, -0.2, 0.3];
    for (x, row) in vector.iter().zip(weights.chunks(3)).filter(|(x, _)| !x.is_nan()) {
        exp.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*x) * f64::from(*w));
    }
    let exp = exp.map(f64::exp);
    exp.map(|e| e / exp.iter().sum::<f64>())
}

/// Publishes `run`, serves it, and asks for the podcasts of several users; what the edge answered and what it logged.
async fn served(folder: &Path) -> Vec<(Value, Record)> {
    tokio::task::block_in_place(|| {
        trainer_ok(folder, &[&["publish", "--run", "run", "--override", "a test"], &TARGET[..]].concat());
    });
    let data = Data::open(&folder.join("data")).unwrap();
    let edge = Edge::start(folder, &[]);
    edge.wait_for("podcasts", |status| status["sequence"] == 1).await;
    let history: Vec<_> =
        data.events.iter().filter_map(|e| if let Event::Interaction(i) = e { Some(i) } else { None }).collect();
    for chunk in history.chunks(500) {
        assert_eq!(edge.post("/v1/interactions", &json!(chunk)).await.unwrap().0, 202);
    }
    let asked = data.events.iter().rev().filter_map(|event| match event {
        Event::Request(request) if request.surface == "podcasts" => Some(request),
        _ => None,
    });
    let mut answers = Vec::new();
    for request in asked.take(20) {
        let body = json!({
            "id": request.id, "user": request.user, "ts": request.ts, "offset_min": request.offset_min,
            "attributes": request.attributes, "context": request.context, "candidates": request.candidates,
        });
        let (status, answer) = edge.post("/v1/podcasts/rank", &body).await.unwrap();
        assert_eq!((status, &answer["fallback"]), (200, &json!(false)), "{answer}");
        answers.push(answer);
    }
    edge.kill();
    let records = spool::read(&folder.join("state/spool")).unwrap().records;
    let logged = |answer: &Value| records.iter().find(|r| answer["request"] == r.request.as_str()).unwrap().clone();
    answers.into_iter().map(|answer| (answer.clone(), logged(&answer))).collect()
}

/// Compares what an edge answered with what a model gives for the vectors that it logged; how many scores were compared.
fn compare(served: &[(Value, Record)], weight: f64, expected: impl Fn(&[f32]) -> f64) -> usize {
    let mut compared = 0;
    for (answer, record) in served {
        let width = record.rows.vectors.len() / record.rows.items.len();
        for item in answer["items"].as_array().unwrap() {
            let row = record.rows.items.iter().position(|i| item["item"] == i.as_str()).unwrap();
            let expected = expected(&record.rows.vectors[row * width..(row + 1) * width]);
            let score = item["score"].as_f64().unwrap();
            assert!((score - expected).abs() <= TOLERANCE * weight, "{}: {score}, expected {expected}", item["item"]);
            compared += 1;
        }
    }
    compared
}

#[test]
fn the_same_log_and_spec_give_the_same_vectors_and_encoder() {
    let folder = own_world();
    std::fs::write(folder.path().join("again.partial"), "a file of somebody").unwrap();
    let written = write_vectors(folder.path(), "again.parquet");
    assert_eq!(std::fs::read(folder.path().join("again.partial")).unwrap(), b"a file of somebody");
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("vectors.parquet"), read("again.parquet"), "byte for byte");
    assert_eq!(written["width"], width());
    std::fs::write(folder.path().join("m.onnx"), dressed_trees().to_bytes()).unwrap();
    let fitted = bundle(folder.path(), "m.onnx", &[]);
    let given = bundle(folder.path(), "m.onnx", &["--vectors", "vectors.parquet"]);
    assert_eq!(fitted["bundle"], given["bundle"], "the encoder that is fitted again is the one in the vectors");
    let manifest = Bundle::open(folder.path().join("run").to_str().unwrap()).unwrap();
    assert_eq!(written["encoder"], manifest.parts.manifest().encoder.to_string());
    let trained = parsed(&trainer_ok(
        folder.path(),
        &["train", "--log", "log", "--spec", &spec("podcasts"), "--out", "own", "--json"],
    ));
    assert_eq!(trained["source"], Value::Null);
    let own = Bundle::open(folder.path().join("own").to_str().unwrap()).unwrap();
    assert_eq!(own.parts.manifest().encoder, manifest.parts.manifest().encoder, "and the one that `train` fits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_another_exporter_is_judged_published_and_served() {
    let folder = tokio::task::block_in_place(own_world);
    let folder = folder.path();
    let bytes = dressed_trees().to_bytes();
    std::fs::write(folder.join("m.onnx"), &bytes).unwrap();
    let report = tokio::task::block_in_place(|| bundle(folder, "m.onnx", &["--vectors", "vectors.parquet"]));
    assert_eq!((&report["engine"], &report["model"]), (&json!("compact"), &json!("2 trees, 4 leaves, depth 1")));
    assert_eq!(report["source"]["sha256"], shared_features::digest::Digest::of(&bytes).to_string());
    let changes = ["renamed input `X` to `features`", "renamed output `variable` to `score`"];
    assert_eq!(report["source"]["changes"], json!(changes));
    assert!(report["evaluation"]["baselines"]["click_rate"]["ndcg@10"]["value"].is_number());
    let evaluate = ["evaluate", "--run", "run", "--log", "log", "--json"];
    let evaluation = tokio::task::block_in_place(|| parsed(&trainer_ok(folder, &evaluate)));
    assert_eq!(evaluation, report["evaluation"], "a run like any other");
    let compared = compare(&served(folder).await, 0.25 + 1.5 + 2.0 + 0.125 + 0.5, two_trees_score);
    assert!(compared >= 100, "{compared} scores");
}

/// Trains on the vectors with another library, exports, bundles, serves, and asks onnxruntime for the same rows.
///
/// `train` makes `model` of `x`, `y` and the rows of each request in `groups`; `weight` is its sum of absolute weights.
async fn trained_by(name: &str, train: &str) {
    let python = std::env::var_os("HEARTH_HOSTS").map(|hosts| Path::new(&hosts).join("peers/bin/python"));
    let Some(python) = python.filter(|python| python.is_file()) else {
        return println!("skipped: {name}: HEARTH_HOSTS names no Python with its peers; run: make peers");
    };
    let folder = tokio::task::block_in_place(own_world);
    let folder = folder.path();
    let run = |script: String| {
        let done = Command::new(&python).args(["-W", "ignore", "-c", &script]).current_dir(folder).output().unwrap();
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        if error.contains("ModuleNotFoundError") || error.contains("ImportError") {
            println!("skipped: {name}: {}; run: make peers", error.lines().last().unwrap_or_default());
            return None;
        }
        assert!(done.status.success(), "{name}: {error}");
        Some(String::from_utf8(done.stdout).unwrap())
    };
    let read = "import numpy, pandas, onnx, onnxruntime, pyarrow\n\
        rows = pandas.read_parquet('vectors.parquet')\n\
        x = rows.filter(regex=r'^x\\.').to_numpy('float32')\n\
        y, groups = rows['label'].to_numpy(), rows.groupby('request', sort=False).size().to_numpy()\n\
        import onnxmltools\n\
        from onnxmltools.convert.common.data_types import FloatTensorType\n\
        types = [('X', FloatTensorType([None, x.shape[1]]))]\n";
    let write = "onnx.save(model, 'm.onnx')\n\
        leaves = [a.floats for n in model.graph.node for a in n.attribute if a.name in ('target_weights', 'class_weights')]\n\
        print(sum(abs(w) for floats in leaves for w in floats))\n";
    let Some(weight) = tokio::task::block_in_place(|| run(format!("{read}{train}\n{write}"))) else { return };
    tokio::task::block_in_place(|| bundle(folder, "m.onnx", &["--vectors", "vectors.parquet"]));
    let served = served(folder).await;
    let vectors: Vec<f32> = served.iter().flat_map(|(_, record)| record.rows.vectors.iter().copied()).collect();
    let bytes: Vec<u8> = vectors.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.join("rows.f32"), bytes).unwrap();
    let score = format!(
        "import numpy, onnxruntime\n\
        x = numpy.fromfile('rows.f32', '<f4').reshape(-1, {})\n\
        scores = onnxruntime.InferenceSession('m.onnx').run(None, {{'X': x}})[-1]\n\
        print(*scores.reshape(len(x), -1)[:, -1].astype('f8'))\n",
        width()
    );
    let scores = tokio::task::block_in_place(|| run(score)).expect("onnxruntime was there a moment ago");
    let scores: Vec<f64> = scores.split_whitespace().map(|score| score.parse().unwrap()).collect();
    let bits = |vector: &[f32]| vector.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let known: BTreeMap<Vec<u32>, f64> = vectors.chunks(width()).map(bits).zip(scores).collect();
    let compared = compare(&served, weight.trim().parse().unwrap(), |vector| known[&bits(vector)]);
    assert!(compared >= 100, "{name}: {compared} scores");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lightgbm_trained_is_served_as_onnxruntime_scores_it() {
    let train = "import lightgbm\n\
        ranker = lightgbm.LGBMRanker(n_estimators=40, num_leaves=15, min_child_samples=5, verbose=-1)\n\
        model = onnxmltools.convert_lightgbm(ranker.fit(x, y, group=groups), initial_types=types)";
    trained_by("lightgbm", train).await;
}

/// Its label is dropped, and the probability of the second class taken.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_classifier_of_lightgbm_says_is_served_as_onnxruntime_scores_it() {
    let train = "import lightgbm\n\
        classifier = lightgbm.LGBMClassifier(n_estimators=40, num_leaves=15, min_child_samples=5, verbose=-1)\n\
        model = onnxmltools.convert_lightgbm(classifier.fit(x, (y > 0).astype(int)), initial_types=types, zipmap=False)";
    trained_by("lightgbm, classifier", train).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_xgboost_trained_is_served_as_onnxruntime_scores_it() {
    let train = "import xgboost\n\
        regressor = xgboost.XGBRegressor(n_estimators=20, max_depth=5).fit(x, y)\n\
        model = onnxmltools.convert_xgboost(regressor, initial_types=types)";
    trained_by("xgboost", train).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_scikit_learn_trained_is_served_as_onnxruntime_scores_it() {
    let train = "from sklearn.ensemble import GradientBoostingRegressor\n\
        from skl2onnx import to_onnx\n\
        known = numpy.nan_to_num(x)\n\
        model = to_onnx(GradientBoostingRegressor(n_estimators=20).fit(known, y), known[:1])";
    trained_by("scikit-learn", train).await;
}

#[test]
fn a_canonical_file_goes_into_the_bundle_byte_for_byte() {
    let folder = own_world();
    let model = onnx_export::trees(width(), &two_trees(), 0.5);
    std::fs::write(folder.path().join("m.onnx"), &model).unwrap();
    assert_eq!(bundle(folder.path(), "m.onnx", &[])["source"]["changes"], json!([]));
    let bundle = Bundle::open(folder.path().join("run").to_str().unwrap()).unwrap();
    assert_eq!(bundle.parts.load().model, model);
}

#[test]
fn the_smallest_engine_is_taken_and_columns_are_what_was_asked_for() {
    let folder = own_world();
    let folder = folder.path();
    let weights = weights();
    std::fs::write(folder.join("trees.onnx"), dressed_trees().to_bytes()).unwrap();
    let probs = ("probabilities", &[0, 3][..]);
    std::fs::write(folder.join("classes.onnx"), dense(&weights, &[probs]).to_bytes()).unwrap();
    std::fs::write(folder.join("logits.onnx"), dense(&weights, &[("logits", &[0, 3]), probs]).to_bytes()).unwrap();
    let mut list = dense(&weights, &[("list", &[0])]);
    let mut largest = node_with("ReduceMax", &["probabilities"], "list", "keepdims", 0);
    // AttributeProto.INTS
    largest.attribute.push(AttributeProto { name: "axes".into(), r#type: 7, ints: vec![1], ..Default::default() });
    list.graph().node.push(largest);
    std::fs::write(folder.join("list.onnx"), list.to_bytes()).unwrap();
    let mut rows: Vec<f32> = (0..5 * width()).map(|k| (k % 11) as f32 - 5.0).collect();
    rows[1] = f32::NAN;
    let kind = |model: &str, more: &[&str]| {
        bundle(folder, model, more);
        let bundle = Bundle::open(folder.join("run").to_str().unwrap()).unwrap();
        let guest = Guest::new(Host::shared().unwrap(), bundle.parts.engine(), &bundle.parts.load(), Limits::batch());
        (bundle.parts.manifest().engine.kind.clone(), guest.unwrap().score(&rows).unwrap())
    };
    let (engine, scores) = kind("trees.onnx", &[]);
    assert_eq!(engine, "compact");
    let expected: Vec<f32> = rows.chunks(width()).map(|row| two_trees_score(row) as f32).collect();
    assert_eq!(scores, expected);
    type Pick = fn([f64; 3]) -> f64;
    let cases: [(&str, &[&str], Pick); 3] = [
        ("classes.onnx", &["--class-weights", "-1,0.5,2"], |p| 0.5 * p[1] + 2.0 * p[2] - p[0]),
        ("logits.onnx", &["--output", "probabilities", "--class", "1"], |p| p[1]),
        ("list.onnx", &[], |p| p[0].max(p[1]).max(p[2])),
    ];
    for (model, more, pick) in cases {
        let (engine, scores) = kind(model, more);
        assert_eq!(engine, "onnx", "{model}");
        for (row, score) in rows.chunks(width()).zip(scores) {
            let expected = pick(probabilities(&weights, row));
            assert!((f64::from(score) - expected).abs() < 1e-5, "{model} {more:?}: {score}, expected {expected}");
        }
    }
}

#[test]
fn a_refusal_names_the_place_and_what_to_do() {
    let folder = own_world();
    let folder = folder.path();
    let width = width();
    let leaf = |weight: f32| vec![TreeNode::leaf(weight)];
    let probs = ("probabilities", &[0, 3][..]);
    let weights = weights();
    let mut unknown = dense(&weights, &[("y", &[0, 1])]);
    unknown.graph().node.push(node("Frobnicate", &["probabilities"], "y"));
    let mut future = dressed_trees();
    future.0.opset_import[0].version = 99;
    let mut future_trees = dressed_trees();
    future_trees.0.opset_import[1].version = 6;
    let mut external = dense(&weights, &[probs]);
    external.graph().initializer[1].float_data.clear();
    external.graph().initializer[1].data_location = Some(1);
    let narrow = Model::dressed(&onnx_export::trees(width - 1, &[leaf(1.0)], 0.0)).to_bytes();
    let too_wide = vec![TreeNode::branch(width as u32, 1.0, true, (1, 2)), TreeNode::leaf(1.0), TreeNode::leaf(2.0)];
    type Case<'a> = (&'a str, Vec<u8>, &'a [&'a str], &'a [&'a str]);
    let cases: [Case; 11] = [
        (
            "a wrong width",
            narrow,
            &[],
            &[&format!("`X` takes {} numbers", width - 1), &format!("have {width}"), "trainer vectors"],
        ),
        (
            "a feature beyond",
            onnx_export::trees(width, &[too_wide], 0.0),
            &[],
            &["TreeEnsembleRegressor", &format!("feature {width} of")],
        ),
        ("an operator", unknown.to_bytes(), &[], &["operator Frobnicate is not run", "export"]),
        (
            "an operator set",
            future.to_bytes(),
            &[],
            &["operator set 99 of domain `ai.onnx` is newer than 24", "target_opset"],
        ),
        (
            "another operator set",
            future_trees.to_bytes(),
            &[],
            &["operator set 6 of domain `ai.onnx.ml` is newer than 5"],
        ),
        ("no model", b"PK\x03\x04, a zip archive".to_vec(), &[], &["not an ONNX file"]),
        (
            "two outputs",
            dense(&weights, &[("logits", &[0, 3]), probs]).to_bytes(),
            &[],
            &["`logits` (f32[n, 3]), `probabilities` (f32[n, 3])", "--output"],
        ),
        ("a class", dense(&weights, &[probs]).to_bytes(), &["--class", "3"], &["columns 0 to 2", "--class 3"]),
        ("external data", external.to_bytes(), &[], &["tensor `weights`", "one file"]),
        (
            "NaN",
            onnx_export::linear(&vec![0.5; width], 0.0),
            &[],
            &["`golden-0`", "candidate `", "is NaN", "is missing: add `impute`"],
        ),
        (
            "infinite",
            onnx_export::trees(width, &[leaf(f32::MAX), leaf(f32::MAX)], 0.0),
            &[],
            &["`golden-0`", "candidate `", "is infinite"],
        ),
    ];
    for (name, model, more, says) in cases {
        std::fs::write(folder.join("m.onnx"), model).unwrap();
        let spec = spec("podcasts");
        let command = ["bundle", "--model", "m.onnx", "--log", "log", "--spec", &spec, "--out", "refused"];
        let error = trainer_fails(folder, &[&command[..], more].concat());
        for part in ["m.onnx: "].iter().chain(says) {
            assert!(error.contains(part), "{name}: `{part}` is not in: {error}");
        }
        // What the onnx engine says of trees is no help.
        assert_eq!(error.contains("the compact engine:"), name == "an operator", "{name}: {error}");
        assert!(!folder.join("refused").exists(), "{name}: nothing is written");
    }
}

#[test]
fn a_file_that_is_no_model_by_its_size_is_not_read() {
    let folder = own_world();
    std::fs::File::create(folder.path().join("large.onnx")).unwrap().set_len((64 << 20) + 1).unwrap();
    let spec = spec("podcasts");
    let command = ["bundle", "--model", "large.onnx", "--log", "log", "--spec", &spec, "--out", "refused"];
    let error = trainer_fails(folder.path(), &command);
    assert!(error.contains("large.onnx") && error.contains("more than 67108864 bytes"), "{error}");
}

#[cfg(unix)]
#[test]
fn vectors_take_the_place_of_files_only() {
    let folder = own_world();
    let folder = folder.path();
    std::fs::create_dir(folder.join("there")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    let names = || -> std::collections::BTreeSet<_> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = names();
    for out in ["there", "socket"] {
        // Before anything is read: there is no such log.
        let command = ["vectors", "--log", "nowhere", "--spec", &spec("podcasts"), "--out", out];
        let error = trainer_fails(folder, &command);
        assert!(error.contains(&format!("{out} is no file")), "{error}");
    }
    let rows = [vectors::Row { request: "r", user: "u", ts: 1, item: "i", label: 1 }];
    let encoder = vectors::origin(&folder.join("vectors.parquet")).unwrap().encoder;
    let vector = vec![0.0; width()];
    vectors::write(&folder.join("socket"), &encoder, &rows, &vector).unwrap_err();
    vectors::write(&folder.join("nowhere/v.parquet"), &encoder, &rows, &vector).unwrap_err();
    assert_eq!(names(), before, "nothing is left behind");
    vectors::write(&folder.join("vectors.parquet"), &encoder, &rows, &vector).unwrap();
    assert_eq!(vectors::origin(&folder.join("vectors.parquet")).unwrap().requests.len(), 1, "a file is replaced");
    assert_eq!(names(), before);
}

#[test]
fn a_run_keeps_the_spec_that_it_was_made_with() {
    let folder = own_world();
    let (path, run) = (folder.path().join("own.toml"), folder.path().join("run"));
    let text = std::fs::read_to_string(spec("podcasts")).unwrap();
    std::fs::write(&path, &text).unwrap();
    let edited = |_: u64, _: u64| std::fs::write(&path, "edited meanwhile").unwrap();
    train(&folder.path().join("log"), &path, &Settings::default(), &Checks::default(), &run, &edited).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "edited meanwhile");
    assert_eq!(std::fs::read_to_string(run.join("spec.toml")).unwrap(), text);
}

#[test]
fn vectors_of_another_spec_or_of_judging_requests_are_refused() {
    let folder = own_world();
    let folder = folder.path();
    std::fs::write(folder.join("m.onnx"), dressed_trees().to_bytes()).unwrap();
    let text = std::fs::read_to_string(spec("podcasts")).unwrap();
    let later = text.replace("test_last = \"7d\"", "test_last = \"1d\"");
    let without =
        text.replacen("transforms = [{ one_hot", "transforms = [{ hash = { buckets = 20 } }]\n# [{ one_hot", 1);
    assert!(later != text && without != text);
    std::fs::write(folder.join("later.toml"), later).unwrap();
    std::fs::write(folder.join("without.toml"), without).unwrap();
    trainer_ok(folder, &["vectors", "--log", "log", "--spec", "later.toml", "--out", "later.parquet"]);
    let refused = |spec: &str, vectors: &str| {
        let command = ["bundle", "--model", "m.onnx", "--log", "log", "--spec", spec, "--out", "refused", "--vectors"];
        trainer_fails(folder, &[&command[..], &[vectors]].concat())
    };
    let spec = spec("podcasts");
    let error = refused(&spec, "later.parquet");
    assert!(error.contains("requests that are to judge it") && error.contains("later.parquet"), "{error}");
    let error = refused("without.toml", "vectors.parquet");
    assert!(error.contains("its feature `device` is not as the spec declares"), "{error}");
    let clipped = |name: &str, max: u32| {
        let with = format!("transforms = [{{ clip = {{ max = {max} }} }}, \"log1p\"]");
        let clipped = text.replacen("transforms = [\"log1p\"]", &with, 1);
        assert_ne!(clipped, text);
        std::fs::write(folder.join(name), clipped).unwrap();
    };
    clipped("five.toml", 5);
    clipped("six.toml", 6);
    trainer_ok(folder, &["vectors", "--log", "log", "--spec", "five.toml", "--out", "five.parquet"]);
    let error = refused("six.toml", "five.parquet");
    assert!(error.contains("its feature `") && error.contains("is not as the spec declares"), "{error}");
    for (vectors, says) in [
        ("nowhere.parquet", "trainer vectors"),
        ("m.onnx", "trainer vectors"),
        ("log/rows.parquet", "no fitted encoder"),
    ] {
        let error = refused(&spec, vectors);
        assert!(error.contains(vectors) && error.contains(says), "{error}");
    }
    assert!(!folder.join("refused").exists());
}
