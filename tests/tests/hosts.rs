//! The host examples of docs/engine.md: each replays a bundle's golden requests byte for byte and ranks one request,
//! with the very scores that the edge's own host gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edge_runtime::bundle::{Bundle, Role};
use edge_runtime::golden::Golden;
use edge_runtime::host::{Guest, Host, Limits};
use edge_runtime::profile::Profile;
use edge_runtime::registry::Registry;
use edge_runtime::sampling::Sampling;
use hearth_tests::cases::{self, Case};
use hearth_tests::world::workspace;
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::event::{Attributes, Candidate, InteractionEvent, RequestEvent};
use shared_features::history::{Entry, History};
use shared_features::rank::UNRANKED;
use shared_features::request::Request;
use shared_features::wire::Call;

/// Golden requests of the bundle.
const GOLDEN: u64 = 8;

/// A bundle of the spec that uses everything, in a registry.
fn publish(registry: &Path) -> Bundle {
    let spec = cases::spec();
    let tables = cases::tables(&spec);
    let encoder = cases::fitted(&spec, &tables);
    let width = encoder.width.unwrap();
    let thresholds: Vec<f32> = (0..width * 7).map(|k| (k % 7) as f32).collect();
    let mut blobs = BTreeMap::from([
        (Role::Engine, trainer::ENGINE.to_vec()),
        (Role::Encoder, encoder.to_bytes()),
        (Role::Policy, spec.policy.to_bytes()),
        (Role::Model, cases::tree_model(width, 20, 16, &thresholds)),
        (Role::Tables, tables.to_bytes()),
        (Role::Golden, Vec::new()),
        (Role::Profile, Profile::unknown(&encoder).to_bytes()),
    ]);
    let load =
        Bundle::make("everything", "compact", Digest::of(&[]), Sampling::default(), blobs.clone()).unwrap().load();
    let guest = Guest::new(Host::shared().unwrap(), trainer::ENGINE, &load, Limits::batch()).unwrap();
    // The first one has several candidates: the example ranks those.
    let mut cases: Vec<Case> = (0..40).map(|k| Case::generate(k, &encoder.schema)).collect();
    cases.sort_by_key(|case| std::cmp::Reverse(case.request.candidates.len()));
    cases.truncate(GOLDEN as usize);
    let call = Call {
        histories: cases.iter().map(|c| c.view.clone()).collect(),
        requests: (0..).zip(&cases).map(|(k, c)| (k, c.request.clone())).collect(),
        salt: "golden".into(),
    };
    blobs.insert(Role::Golden, Golden::record(&guest, call).unwrap().to_bytes());
    let bundle = Bundle::make("everything", "compact", Digest::of(&[]), Sampling::default(), blobs).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Registry::open(registry.to_str().unwrap()).unwrap().put_bundle(&bundle).await }).unwrap();
    bundle
}

/// What the edge's host answers to the request that the examples make up.
fn expected(bundle: &Bundle) -> Vec<(String, f32)> {
    let load = bundle.load();
    let guest = Guest::new(Host::shared().unwrap(), bundle.engine(), &load, Limits::batch()).unwrap();
    let encoder = Encoder::from_bytes(&load.encoder).unwrap();
    let golden: Golden = shared_features::codec::decode(bundle.blob(Role::Golden), "golden requests").unwrap();
    let first = &golden.call.requests[0].1;
    assert!(first.candidates.len() > 5);
    let event = RequestEvent {
        id: "made-up".into(),
        ts: first.ts,
        offset_min: 0,
        user: String::new(),
        surface: "everything".into(),
        attributes: Attributes::new(),
        context: Attributes::new(),
        candidates: first
            .candidates
            .iter()
            .map(|item| Candidate { item: item.clone(), fields: Attributes::new() })
            .collect(),
        exclude: Vec::new(),
    };
    let play = InteractionEvent {
        id: "1".into(),
        ts: first.ts - 3_600_000,
        offset_min: Some(0),
        user: String::new(),
        item: first.candidates.last().unwrap().clone(),
        action: "play".into(),
        surface: None,
        request: None,
        dwell_ms: None,
        completion: None,
    };
    let view = History::from_entries(vec![Entry::from(&play)]).view(first.ts, encoder.history_length);
    let request = Request::new(&event, None, &encoder.schema).unwrap();
    let call = Call { histories: vec![view], requests: vec![(0, request)], salt: "salt".into() };
    let rows = guest.rank(&call).unwrap().remove(0).rows;
    let shown = rows.ranks.iter().filter(|rank| **rank != UNRANKED).count();
    rows.items.into_iter().zip(rows.scores).take(shown).collect()
}

/// The slate that an example printed.
fn printed(output: &Output) -> Vec<(String, f32)> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines = text.lines();
    let replayed = lines.next().unwrap_or_default();
    assert_eq!(
        replayed,
        format!("golden requests: {GOLDEN}, answers equal byte for byte"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    lines
        .enumerate()
        .map(|(k, line)| {
            let (item, score) = line.strip_prefix(&format!("{} ", k + 1)).unwrap().rsplit_once(' ').unwrap();
            (item.to_owned(), score.parse::<f64>().unwrap() as f32)
        })
        .collect()
}

fn bits(slate: &[(String, f32)]) -> Vec<(&str, u32)> {
    slate.iter().map(|(item, score)| (item.as_str(), score.to_bits())).collect()
}

/// Runs an example on a sound bundle, and on one whose recorded answers were altered.
fn check(program: &Path, example: &str) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = publish(folder.path());
    let run = || {
        Command::new(program)
            .arg(workspace().join("docs/examples").join(example))
            .arg(folder.path())
            .arg(bundle.digest().to_string())
            .env("PYTHONIOENCODING", "utf-8")
            .output()
            .unwrap()
    };
    let output = run();
    let (expected, printed) = (expected(&bundle), printed(&output));
    assert!(output.status.success() && expected.len() > 5);
    assert_eq!(bits(&printed), bits(&expected));

    let golden = bundle.manifest().blob(Role::Golden).sha256;
    let mut altered = bundle.blob(Role::Golden).to_vec();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(folder.path().join(format!("blobs/sha256/{golden}")), altered).unwrap();
    let output = run();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("DIFFER"));
}

fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[test]
fn the_python_host_answers_as_the_edge_does() {
    let python = std::env::var_os("HEARTH_HOSTS").map(|hosts| Path::new(&hosts).join("hosts/bin/python"));
    match python.filter(|python| python.is_file()) {
        Some(python) => check(&python, "host.py"),
        None => println!("skipped: HEARTH_HOSTS names no Python with wasmtime; run: make hosts"),
    }
}

#[test]
fn the_javascript_host_answers_as_the_edge_does() {
    match in_path("node") {
        Some(node) => check(&node, "host.mjs"),
        None => println!("skipped: node is not in the PATH; install it, then run: make hosts"),
    }
}
