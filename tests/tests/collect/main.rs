//! What an edge acknowledged reaches the store once: with either side killed at any moment, with a store that fails,
//! stalls and writes in part; and what is not as an edge logs it is put aside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use edge_runtime::host::Limits;
use edge_runtime::runtime::{Keep, Runtime, Settings as EdgeSettings};
use edge_runtime::sampling::{Sampling, WHOLE};
use edge_runtime::spool::{self, Entry};
use edge_runtime::upload;
use hearth_tests::binary;
use hearth_tests::client::{Acknowledged, client, now_ms};
use hearth_tests::collector::{Collector as Process, TOKEN, free_address, tokens};
use hearth_tests::edge::Edge;
use hearth_tests::faulty::Faulty;
use hearth_tests::world;
use object_store::local::LocalFileSystem;
use serde_json::{Value, json};
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::event::{Candidate, Event, FieldValue, ImpressionEvent, InteractionEvent, RequestEvent, Shown};
use shared_features::feature_log::Record;
use shared_features::random::Random;
use tokio::sync::Mutex;
use trainer::collect::{AcceptError, Accepted, Collector, Round, Settings, Status};
use trainer::data::warehouse::{Day, Objects, Warehouse};

mod bucket;
mod forgotten;
mod losses;
mod raw;
mod refusals;
mod spools;
mod stores;
mod tables;

/// Clients at a time.
const CLIENTS: u64 = 4;
/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rounds of a loss test: `HEARTH_LOSS_ROUNDS`, or a few.
fn rounds() -> u64 {
    std::env::var("HEARTH_LOSS_ROUNDS").ok().map_or(4, |rounds| rounds.parse().expect("HEARTH_LOSS_ROUNDS is a number"))
}

/// A seed that is printed, so that a failure can be seen again: `HEARTH_LOSS_SEED`, or the time.
fn seed() -> String {
    let seed = std::env::var("HEARTH_LOSS_SEED").unwrap_or_else(|_| now_ms().to_string());
    println!("HEARTH_LOSS_SEED={seed}");
    seed
}

/// How often each request and event is in a store, by id.
#[derive(Default)]
struct Stored {
    requests: BTreeMap<String, u64>,
    impressions: BTreeMap<String, u64>,
    interactions: BTreeMap<String, u64>,
    /// Requests as they came.
    raw: BTreeMap<String, u64>,
}

/// What the edges of these tests keep: half of the requests as they came.
const SAMPLING: Sampling = Sampling { rows_ppm: WHOLE, requests_ppm: WHOLE / 2 };

/// The requests that are kept as they came.
fn kept(requests: &BTreeSet<String>) -> BTreeSet<String> {
    requests.iter().filter(|id| SAMPLING.of("podcasts/stable", id).request).cloned().collect()
}

async fn stored(store: &Warehouse) -> Stored {
    let mut found = Stored::default();
    for file in store.rows("podcasts", Day::ALL) {
        for record in store.read_rows(file).await.unwrap().records {
            *found.requests.entry(record.request).or_default() += 1;
        }
    }
    for file in store.events(Day::ALL) {
        for event in store.read_events(file).await.unwrap() {
            match event {
                Event::Impression(e) => *found.impressions.entry(e.id).or_default() += 1,
                Event::Interaction(e) => *found.interactions.entry(e.id).or_default() += 1,
                Event::Request(e) => *found.raw.entry(e.id).or_default() += 1,
                other => panic!("{other:?} is no event of an edge"),
            }
        }
    }
    found
}

/// What was acknowledged is there, and nothing is there twice.
#[track_caller]
fn exactly_once<'a>(
    what: &str,
    acknowledged: impl ExactSizeIterator<Item = &'a String>,
    stored: &BTreeMap<String, u64>,
) {
    let all = acknowledged.len();
    let lost: Vec<_> = acknowledged.filter(|id| !stored.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{what}: {} of {} are lost: {lost:?}", lost.len(), all);
    let doubled: Vec<_> = stored.iter().filter(|(_, n)| **n != 1).collect();
    assert!(doubled.is_empty(), "{what}: {} are there more than once: {doubled:?}", doubled.len());
    println!("{what}: {} acknowledged, {} stored", all, stored.len());
}

/// A folder with a published bundle, and tokens.
fn published() -> tempfile::TempDir {
    static WORLD: OnceLock<tempfile::TempDir> = OnceLock::new();
    let world = WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let shipped = std::fs::read_to_string(world::spec("podcasts")).unwrap();
        std::fs::write(folder.path().join("spec.toml"), format!("{shipped}\n[log]\nrequests_share = 0.5\n")).unwrap();
        tokio::task::block_in_place(|| {
            world::simulate(folder.path(), 200, 60, 14, 1, "data");
            world::publish_spec(folder.path(), "spec.toml", "data");
        });
        folder
    });
    let folder = tempfile::tempdir().unwrap();
    for name in ["registry", "keys", "data"] {
        world::copy(&world.path().join(name), &folder.path().join(name));
    }
    std::fs::copy(world.path().join("spec.toml"), folder.path().join("spec.toml")).unwrap();
    tokens(folder.path());
    folder
}

/// One of the requests that are logged.
fn asked(k: u64, ts: i64) -> RequestEvent {
    let country = FieldValue::String(["us", "gb"][k as usize % 2].into());
    RequestEvent {
        id: format!("r-{k}"),
        ts,
        offset_min: 60,
        user: format!("user-{}", k % 9),
        surface: "podcasts".into(),
        attributes: BTreeMap::from([("country".to_owned(), Some(country))]),
        context: BTreeMap::new(),
        candidates: (0..8)
            .map(|i| Candidate { item: format!("show-{:04}", (i + k) % 50), fields: BTreeMap::new() })
            .collect(),
        exclude: Vec::new(),
    }
}

/// A play that names no request.
fn played(id: &str, user: &str, item: &str, ts: i64) -> InteractionEvent {
    InteractionEvent {
        id: id.into(),
        ts,
        offset_min: None,
        user: user.into(),
        item: item.into(),
        action: "play".into(),
        surface: None,
        request: None,
        dwell_ms: None,
        completion: None,
    }
}

/// What an edge logs of some requests, each with an impression and an interaction.
async fn logged(folder: &Path, requests: u64) -> Vec<Entry> {
    let settings = EdgeSettings {
        registry: folder.join("registry").display().to_string(),
        trust: std::fs::read(folder.join("keys/root.json")).unwrap(),
        channel: "stable".into(),
        surfaces: vec!["podcasts".into()],
        state: folder.join("logged"),
        limits: Limits { call: Duration::from_secs(20), ..Limits::serving() },
        spool: spool::Settings::default(),
        keep: Keep::default(),
        pseudonyms: None,
    };
    let edge = Arc::new(Runtime::open(settings).await.unwrap());
    edge.poll().await;
    for k in 0..requests {
        // Over three days.
        let ts = now_ms() - (k % 3) as i64 * 86_400_000;
        let answer = edge.rank(asked(k, ts)).await.unwrap();
        assert!(!answer.fallback);
        let item = answer.items[0].item.clone();
        let shown = vec![Shown { item: item.clone(), position: 0, propensity: None }];
        let seen = ImpressionEvent { id: format!("m-{k}"), ts, request: answer.request.clone(), shown };
        edge.impressions(&[seen]).await.unwrap();
        let play = played(&format!("i-{k}"), &format!("user-{}", k % 9), &item, ts);
        let play = InteractionEvent { surface: Some("podcasts".into()), request: Some(answer.request), ..play };
        edge.interactions(vec![play]).await.unwrap();
    }
    edge.close().await;
    let all = spool::read_from(&folder.join("logged/spool"), spool::Position::default()).unwrap();
    all.into_iter().map(|(entry, _)| entry).collect()
}

/// A batch as an edge sends it.
fn batch<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    upload::batch::encode(&spool::segment_of(entries)).unwrap()
}

async fn collector(
    folder: &Path,
    objects: Objects,
    settings: Settings,
) -> Result<Collector, trainer::collect::CollectError> {
    let trust = std::fs::read(folder.join("keys/root.json")).unwrap();
    Collector::open(objects, folder.join("registry").to_str().unwrap(), &trust, settings).await
}

fn store(folder: &Path) -> Objects {
    Objects::open(folder.join("store").to_str().unwrap()).unwrap()
}

/// A folder with what an edge logged of some requests, and with a store that has it.
async fn collected(requests: u64) -> tempfile::TempDir {
    let folder = published();
    let entries = logged(folder.path(), requests).await;
    collect(folder.path(), "1", &entries).await;
    folder
}

/// Takes entries into the store, as a batch of this name.
async fn collect(folder: &Path, name: &str, entries: &[Entry]) {
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    collector.accept("edge", name, batch(entries).into()).await.unwrap();
    collector.compact().await.unwrap();
}

fn ids(entries: &[Entry]) -> Acknowledged {
    let mut ids = Acknowledged::default();
    for entry in entries {
        let id = |json: &str| serde_json::from_str::<Value>(json).unwrap()["id"].as_str().unwrap().to_owned();
        match entry {
            Entry::Rows(record) => drop(ids.requests.insert(record.request.clone())),
            Entry::Impression(json) => drop(ids.impressions.insert(id(json))),
            Entry::Interaction(json) => drop(ids.interactions.insert(id(json), String::new())),
            // Its rows come with it.
            Entry::Request(_) => {}
        }
    }
    ids
}

fn uploading(url: &str) -> Vec<String> {
    let more = [
        "--collector",
        url,
        "--collector-token-file",
        "token",
        "--plain-user-ids",
        "--upload-ms",
        "20",
        "--sync-ms",
        "10",
    ];
    let small = ["--upload-bytes", "65536", "--spool-bytes", "67108864"];
    more.iter().chain(&small).map(ToString::to_string).collect()
}

fn start_edge(folder: &Path, address: &str) -> Arc<Edge> {
    let more = uploading(&format!("http://{address}"));
    Arc::new(Edge::start(folder, &more.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Waits until the collector has all of the edge's spool, and no batch waits.
async fn drained(folder: &Path, edge: &Edge) {
    let started = Instant::now();
    loop {
        let ready: Value = serde_json::from_str(&edge.get("/readyz").await).unwrap();
        let batches = store(folder).list("batches").await.unwrap().len();
        if ready["spool"]["waiting_bytes"] == 0 && batches == 0 {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{batches} batches wait; {}", ready);
        tokio::task::yield_now().await;
    }
}

/// How many commits a store has.
fn commits(folder: &Path) -> u64 {
    let last = |commits: std::fs::ReadDir| commits.filter_map(|c| c.ok()?.file_name().to_str()?.parse().ok()).max();
    std::fs::read_dir(folder.join("store/commits")).ok().and_then(last).map_or(0, |last: u64| last + 1)
}
