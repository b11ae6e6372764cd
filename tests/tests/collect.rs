//! What an edge acknowledged reaches the store once: with either side killed at any moment, with a store that fails,
//! stalls and writes in part; and what is not as an edge logs it is put aside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use edge_runtime::host::Limits;
use edge_runtime::runtime::{Keep, Runtime, Settings as EdgeSettings};
use edge_runtime::spool::{self, Entry};
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
use shared_features::event::{Candidate, Event, ImpressionEvent, InteractionEvent, RequestEvent, Shown};
use shared_features::feature_log::Record;
use shared_features::random::Random;
use tokio::sync::Mutex;
use trainer::collect::{AcceptError, Accepted, Collector, Round, Settings, Status};
use trainer::data::warehouse::{Day, Objects, Warehouse};

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
        tokio::task::block_in_place(|| world::published(folder.path(), "podcasts"));
        folder
    });
    let folder = tempfile::tempdir().unwrap();
    for name in ["registry", "keys"] {
        world::copy(&world.path().join(name), &folder.path().join(name));
    }
    tokens(folder.path());
    folder
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
        let request = RequestEvent {
            id: format!("r-{k}"),
            ts,
            offset_min: 60,
            user: format!("user-{}", k % 9),
            surface: "podcasts".into(),
            attributes: BTreeMap::new(),
            context: BTreeMap::new(),
            candidates: (0..8)
                .map(|i| Candidate { item: format!("show-{:04}", (i + k) % 50), fields: BTreeMap::new() })
                .collect(),
            exclude: Vec::new(),
        };
        let answer = edge.rank(request).await.unwrap();
        assert!(!answer.fallback);
        let item = answer.items[0].item.clone();
        let shown = vec![Shown { item: item.clone(), position: 0, propensity: None }];
        let seen = ImpressionEvent { id: format!("m-{k}"), ts, request: answer.request.clone(), shown };
        edge.impressions(&[seen]).await.unwrap();
        let play = InteractionEvent {
            id: format!("i-{k}"),
            ts,
            offset_min: None,
            user: format!("user-{}", k % 9),
            item,
            action: "play".into(),
            surface: Some("podcasts".into()),
            request: Some(answer.request),
            dwell_ms: None,
            completion: None,
        };
        edge.interactions(vec![play]).await.unwrap();
    }
    edge.close().await;
    let all = spool::read_from(&folder.join("logged/spool"), spool::Position::default()).unwrap();
    all.into_iter().map(|(entry, _)| entry).collect()
}

/// A batch as an edge sends it.
fn batch<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    zstd::encode_all(&spool::segment_of(entries)[..], 3).unwrap()
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

fn ids(entries: &[Entry]) -> Acknowledged {
    let mut ids = Acknowledged::default();
    for entry in entries {
        let id = |json: &str| serde_json::from_str::<Value>(json).unwrap()["id"].as_str().unwrap().to_owned();
        match entry {
            Entry::Rows(record) => drop(ids.requests.insert(record.request.clone())),
            Entry::Impression(json) => drop(ids.impressions.insert(id(json))),
            Entry::Interaction(json) => drop(ids.interactions.insert(id(json), String::new())),
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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_when_either_side_is_killed() {
    let folder = published();
    let folder = folder.path();
    let mut random = Random::keyed("loss", &seed());
    let address = free_address();
    let known = Arc::new(Mutex::new(Acknowledged::default()));
    let mut collector = Process::start(folder, &address);
    let mut edge = start_edge(folder, &address);
    for round in 0..rounds() {
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|c| {
                tokio::spawn(client(edge.clone(), format!("{round}-{c}"), known.clone(), count.clone(), stop.clone()))
            })
            .collect();
        let started = Instant::now();
        let kills = 1 + random.below(3);
        let mut of_edge = false;
        // The collector is killed some times under load, and the edge as the last one in every second round:
        // at a moment when the clients have heard some answers, or the store has some commits more.
        for kill in 1..=kills {
            let more = 1 + random.below(12);
            let by_commits = random.below(2) == 0;
            let so_far = || if by_commits { commits(folder) } else { count.load(Ordering::Relaxed) };
            let moment = so_far() + more;
            while so_far() < moment {
                assert!(started.elapsed() < PATIENCE, "nothing is acknowledged, or nothing compacted");
                tokio::task::yield_now().await;
            }
            of_edge = kill == kills && round % 2 == 0;
            if of_edge {
                edge.sigkill();
            } else {
                collector.sigkill();
                collector = Process::start(folder, &address);
            }
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        if of_edge {
            edge = start_edge(folder, &address);
        }
    }
    drained(folder, &edge).await;
    let store = Warehouse::open(folder.join("store").to_str().unwrap()).await.unwrap();
    assert_eq!(store.quarantine(Day::ALL).count(), 0, "an edge's rows hold");
    let (known, stored) = (known.lock().await, stored(&store).await);
    exactly_once("requests", known.requests.iter(), &stored.requests);
    exactly_once("impressions", known.impressions.iter(), &stored.impressions);
    exactly_once("interactions", known.interactions.keys(), &stored.interactions);
    assert!(known.requests.len() as u64 > rounds() * 2, "the load was light");
    println!("{} commits, {} files of rows", store.sequence(), store.rows("podcasts", Day::ALL).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_stalls_and_writes_in_part_loses_and_doubles_nothing() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 60).await;
    let seed = seed();
    let mut random = Random::keyed("batches", &seed);
    std::fs::create_dir_all(folder.join("store")).unwrap();
    for round in 0..rounds() {
        let place = folder.join("store").join(round.to_string());
        std::fs::create_dir_all(&place).unwrap();
        let local = LocalFileSystem::new_with_prefix(&place).unwrap();
        let percent = 15 + random.below(25);
        let stall = Duration::from_millis(150);
        let faulty = Arc::new(Faulty::new(local, &format!("{seed} {round}"), percent, stall));
        let objects = Objects::over(faulty.clone(), "faulty", Duration::from_millis(50));
        let settings = Settings { small_files: 3, round_bytes: 20_000, ..Settings::default() };
        let open = async || loop {
            if let Ok(collector) = collector(folder, objects.clone(), settings.clone()).await {
                return collector;
            }
        };
        let mut collector = open().await;
        let (mut from, mut sent, mut failures) = (0, 0, 0u64);
        while from < entries.len() {
            let to = (from + 1 + random.below(9) as usize).min(entries.len());
            // Some entries come again in another batch, as a client's second try does.
            let again = from.saturating_sub(random.below(4) as usize);
            let body = batch(&entries[again..to]);
            loop {
                match collector.accept("edge", &format!("batch-{sent}"), body.clone().into()).await {
                    Ok(_) => break,
                    Err(AcceptError::Store(_)) => failures += 1,
                    Err(error) => panic!("round {round}: {error}"),
                }
            }
            (from, sent) = (to, sent + 1);
            if random.below(3) == 0 && collector.compact().await.is_err() {
                failures += 1;
            }
            if random.below(8) == 0 {
                // What a crash leaves behind is all in the store.
                collector = open().await;
            }
        }
        faulty.calm();
        // What was late has come now.
        tokio::time::sleep(stall * 2).await;
        let started = Instant::now();
        // A machine that is busy may still stall longer than the store's patience.
        while !matches!(collector.compact().await, Ok(Round { batches: 0, more: false })) {
            assert!(started.elapsed() < PATIENCE, "{:?}", collector.status());
        }
        assert_eq!(collector.status(), Status::default());
        // Read with more patience than the collector had.
        let place = Objects::open(place.to_str().unwrap()).unwrap();
        let stored = stored(&Warehouse::of(place.clone()).await.unwrap()).await;
        let known = ids(&entries);
        println!("round {round}: {} faults in a hundred, {} faults, {failures} failures", percent, faulty.faults());
        exactly_once("requests", known.requests.iter(), &stored.requests);
        exactly_once("impressions", known.impressions.iter(), &stored.impressions);
        exactly_once("interactions", known.interactions.keys(), &stored.interactions);
        assert_eq!(place.list("batches").await.unwrap(), [], "compacted batches are deleted");
        assert!(faulty.faults() > 0 && failures > 0, "the store was too good");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_in_refuses_what_is_no_batch_by_name() {
    let folder = published();
    let folder = folder.path();
    let collector = Process::start(folder, "127.0.0.1:0");
    let entries = logged(folder, 2).await;
    let good = batch(&entries);
    let refused = async |token: &str, edge: &str, batch: &str, body: Vec<u8>| {
        let (status, problem) = collector.post(token, edge, batch, body).await;
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused("wrong", "edge", "b", good.clone()).await, is(401, "unknown_token"));
    assert_eq!(refused("", "edge", "b", good.clone()).await, is(401, "unknown_token"));
    let digest = Digest::of(TOKEN.as_bytes()).to_string();
    assert_eq!(refused(&digest, "edge", "b", good.clone()).await, is(401, "unknown_token"), "the file gives none away");
    for (edge, name) in [("..", "b"), ("edge", "a/b"), ("edge", ""), ("e".repeat(65).as_str(), "b")] {
        assert_eq!(refused(TOKEN, edge, name, good.clone()).await, is(400, "malformed_name"), "{edge} {name}");
    }
    let limits = Settings::default();
    assert_eq!(refused(TOKEN, "edge", "b", vec![0; limits.sent_bytes + 1]).await, is(413, "body_too_large"));
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 1 << 30), 3).unwrap();
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    assert_eq!(refused(TOKEN, "edge", "b", bomb).await, is(413, "batch_too_large"));
    let mut altered = good.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    let segment = spool::segment_of(&entries);
    let torn = zstd::encode_all(&segment[..segment.len() - 1], 3).unwrap();
    let no_segment = zstd::encode_all(&b"something else"[..], 3).unwrap();
    for body in [b"garbage".to_vec(), Vec::new(), good[..good.len() / 2].to_vec(), altered, torn, no_segment] {
        assert_eq!(refused(TOKEN, "edge", "b", body).await, is(400, "malformed_batch"));
    }
    let answer = reqwest::Client::new().post(format!("{}/v1/logs", collector.url())).bearer_auth(TOKEN).send().await;
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["code"], "missing_header");

    let (status, taken) = collector.post(TOKEN, "edge", "b", good.clone()).await;
    assert_eq!((status, taken), (200, json!({ "batch": "b", "duplicate": false })));
    let (status, taken) = collector.post(TOKEN, "edge", "b", good).await;
    assert_eq!((status, taken), (200, json!({ "batch": "b", "duplicate": true })));
    assert_eq!(refused(TOKEN, "edge", "b", batch(&entries[..1])).await, is(409, "batch_reused"));
    let metrics = collector.get("/metrics").await;
    assert!(metrics.contains("hearth_collect_batches_total{result=\"new\"} 1"), "{metrics}");
    assert_eq!(collector.get("/healthz").await, "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_an_edge_logs_it_is_put_aside_with_the_reason() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 12).await;
    let records: Vec<Record> = entries
        .iter()
        .filter_map(|e| if let Entry::Rows(record) = e { Some((**record).clone()) } else { None })
        .collect();
    let altered = |k: usize, change: &dyn Fn(&mut Record)| {
        let mut record = records[k].clone();
        change(&mut record);
        Entry::Rows(Box::new(record))
    };
    let play = |ts: i64, action: &str| {
        Entry::Interaction(json!({ "id": "x", "ts": ts, "user": "u", "item": "i", "action": action }).to_string())
    };
    let bad = [
        ("vector_mismatch", altered(0, &|r| r.rows.vectors[3] = f32::from_bits(r.rows.vectors[3].to_bits() ^ 1))),
        ("vector_mismatch", altered(1, &|r| r.rows.vectors.truncate(r.rows.vectors.len() - 1))),
        ("vector_mismatch", altered(2, &|r| r.rows.vectors.clear())),
        ("unpublished_tables", altered(3, &|r| r.tables = Digest::of(b"made up"))),
        ("unknown_encoder", altered(4, &|r| r.encoder = Digest::of(b"made up"))),
        ("unknown_bundle", altered(5, &|r| r.bundle = Some(Digest::of(b"made up")))),
        ("unknown_bundle", altered(6, &|r| r.bundle = None)),
        ("unknown_bundle", altered(7, &|r| r.surface = "../../escape".into())),
        ("malformed_row", altered(8, &|r| drop(r.rows.values.columns.pop()))),
        ("malformed_row", altered(9, &|r| drop(r.rows.items.pop()))),
        ("wrong_day", altered(10, &|r| r.ts = i64::MAX)),
        ("wrong_day", altered(10, &|r| r.ts = now_ms() + 2 * 86_400_000)),
        ("wrong_day", altered(10, &|r| r.ts = -1)),
        ("wrong_day", play(-1, "play")),
        ("malformed_event", play(now_ms(), "")),
        ("malformed_event", Entry::Impression("{".into())),
    ];
    let good = Entry::Rows(Box::new(records[11].clone()));
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    let all: Vec<&Entry> = bad.iter().map(|(_, entry)| entry).chain([&good]).collect();
    assert_eq!(collector.accept("edge", "1", batch(all).into()).await.unwrap(), Accepted::New);
    assert_eq!(collector.compact().await.unwrap().batches, 1);

    let found = Warehouse::of(store(folder)).await.unwrap();
    let trained: Vec<_> = found.rows("podcasts", Day::ALL).collect();
    assert_eq!((trained.len(), trained[0].entries, found.events(Day::ALL).count()), (1, 1, 0));
    let read = found.read_rows(trained[0]).await.unwrap().records;
    assert_eq!(codec::encode(&read[0]), codec::encode(&records[11]), "what holds is kept as it was logged");
    assert_eq!(found.surfaces(), ["podcasts"]);
    let aside: Vec<_> = found.quarantine(Day::ALL).collect();
    assert_eq!((aside.len(), aside[0].entries), (1, bad.len() as u64));
    let path = folder.join("store").join(&aside[0].path);
    let (kept, _) = spool::read_segment(&path, &std::fs::read(&path).unwrap()).unwrap();
    let said = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((kept.len(), said.len()), (bad.len(), bad.len()));
    for (((reason, entry), (kept, _)), said) in bad.iter().zip(&kept).zip(&said) {
        assert_eq!(said["reason"], *reason, "{said}");
        assert_eq!(codec::encode(entry), codec::encode(kept), "what is put aside is kept as it came");
        assert_eq!(said["batch"], "edge/1");
    }
    let counted = collector.status().quarantined;
    assert_eq!((counted["vector_mismatch"], counted["wrong_day"], counted["malformed_event"]), (3, 4, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_nobody_trusted_has_signed_is_none() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 1).await;
    std::fs::remove_dir_all(folder.join("registry/releases")).unwrap();
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    collector.accept("edge", "1", batch(&entries).into()).await.unwrap();
    collector.compact().await.unwrap();
    assert_eq!(collector.status().quarantined, BTreeMap::from([("unreleased_bundle", 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_no_commit_names_and_is_old_is_swept_away() {
    let folder = published();
    let folder = folder.path();
    let mut entries = logged(folder, 3).await;
    entries.push(Entry::Impression("{".into()));
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    collector.accept("edge", "1", batch(&entries).into()).await.unwrap();
    collector.compact().await.unwrap();
    let objects = store(folder);
    let listed = async || {
        let mut all = Vec::new();
        for place in ["rows", "events", "quarantine", "tables", "commits"] {
            all.extend(objects.list(place).await.unwrap().into_iter().map(|(object, _)| object));
        }
        all
    };
    let before = listed().await;
    assert!(before.iter().any(|object| object.ends_with(".json")), "{before:?}");
    // ULIDs of 1970, and one that is as new as a file of the commit.
    let old = ["rows/podcasts/2026-01-01/0123-", "events/2026-01-01/", "quarantine/2026-01-01/"];
    let of_1970 = "0".repeat(26);
    for place in old {
        objects.create(&format!("{place}{of_1970}.parquet"), b"orphan".to_vec().into()).await.unwrap();
    }
    let (path, name) = before.iter().find(|o| o.starts_with("events/")).unwrap().rsplit_once('/').unwrap();
    let new = format!("{path}/new-{name}");
    objects.create(&new, b"about to be named".to_vec().into()).await.unwrap();
    collector.sweep().await.unwrap();
    let after: BTreeSet<String> = listed().await.into_iter().collect();
    let expected: BTreeSet<String> = before.into_iter().chain([new]).collect();
    assert_eq!(after, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_a_store_are_those_of_its_last_commit() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 5).await;
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    collector.accept("edge", "1", batch(&entries).into()).await.unwrap();
    collector.compact().await.unwrap();
    let found = Warehouse::of(store(folder)).await.unwrap();
    let day = found.rows("podcasts", Day::ALL).map(|file| file.day).max().unwrap();
    let of_day: Vec<String> = found.rows("podcasts", day..=day).map(|file| file.path.clone()).collect();
    let mut rows = 0;
    for file in found.rows("podcasts", Day::ALL) {
        rows += found.read_rows(file).await.unwrap().records.iter().map(|r| r.rows.items.len()).sum::<usize>();
    }
    // What no commit names is not read, and no Parquet.
    let (place, _) = of_day[0].rsplit_once('/').unwrap();
    store(folder).create(&format!("{place}/0123-orphan.parquet"), b"orphan".to_vec().into()).await.unwrap();
    for place in ["store", "store/rows/podcasts", "store/rows"] {
        let statistics: serde_json::Value =
            serde_json::from_str(&binary::trainer_ok(folder, &["data", "stats", place, "--json"])).unwrap();
        assert_eq!(statistics["slices"][0]["rows"], rows, "{place}");
    }
    let error = binary::trainer_fails(folder, &["data", "stats", "store/rows/home"]);
    assert!(error.contains("store/rows/home has no"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_makes_batches_wait() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 3).await;
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    let (registry, away) = (folder.join("registry"), folder.join("away"));
    std::fs::rename(&registry, &away).unwrap();
    collector.accept("edge", "1", batch(&entries).into()).await.unwrap();
    assert_eq!(collector.compact().await.unwrap(), Round::default());
    assert_eq!(collector.status(), Status { waiting: 1, deferred: 1, ..Status::default() });
    std::fs::rename(&away, &registry).unwrap();
    assert_eq!(collector.compact().await.unwrap().batches, 1);
    assert_eq!(collector.status(), Status::default());
    let found = Warehouse::of(store(folder)).await.unwrap();
    assert_eq!(stored(&found).await.requests.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_is_full_drops_the_oldest_and_says_so() {
    let folder = published();
    let folder = folder.path();
    // Nobody listens there; the smallest bound.
    let more = [
        "--collector",
        "http://127.0.0.1:1",
        "--collector-token-file",
        "token",
        "--plain-user-ids",
        "--spool-bytes",
        "1048576",
    ];
    let edge = Arc::new(Edge::start(folder, &more));
    let (known, count) = (Arc::new(Mutex::new(Acknowledged::default())), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|c| tokio::spawn(client(edge.clone(), c.to_string(), known.clone(), count.clone(), stop.clone())))
        .collect();
    let started = Instant::now();
    let ready = loop {
        let ready: Value = serde_json::from_str(&edge.get("/readyz").await).unwrap();
        if ready["spool"]["dropped_entries"].as_u64().unwrap() > 0 {
            break ready;
        }
        assert!(started.elapsed() < PATIENCE, "{ready}");
        tokio::task::yield_now().await;
    };
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(ready["upload"]["problem"].as_str().unwrap().contains("127.0.0.1:1"), "{ready}");
    assert!(ready["upload"]["failures"].as_u64().unwrap() > 0);
    assert_eq!(ready["storage"], Value::Null, "the edge goes on");
    let metrics = edge.get("/metrics").await;
    assert!(metrics.contains("hearth_spool_dropped_entries_total"), "{metrics}");
    assert!(metrics.contains("hearth_upload_failures_total"), "{metrics}");
    // It stays near its bound, and what was dropped is said after a restart too.
    let on_disk = || -> u64 {
        let segments = std::fs::read_dir(folder.join("state/spool")).unwrap();
        segments.map(|s| s.unwrap().metadata().map_or(0, |m| m.len())).sum()
    };
    let started = Instant::now();
    while on_disk() > 1 << 20 {
        assert!(started.elapsed() < PATIENCE, "{} bytes stay", on_disk());
        tokio::task::yield_now().await;
    }
    edge.sigkill();
    let edge = Edge::start(folder, &more);
    let again: Value = serde_json::from_str(&edge.get("/readyz").await).unwrap();
    let dropped = |ready: &Value| ready["spool"]["dropped_entries"].as_u64().unwrap();
    assert!(dropped(&again) >= dropped(&ready));
    // What a collector gets from here on is what was not dropped, once.
    edge.kill();
    let address = free_address();
    let _collector = Process::start(folder, &address);
    let edge = start_edge(folder, &address);
    drained(folder, &edge).await;
    let last: Value = serde_json::from_str(&edge.get("/readyz").await).unwrap();
    let found = Warehouse::of(store(folder)).await.unwrap();
    let stored = stored(&found).await;
    let doubled = stored.requests.values().chain(stored.impressions.values()).chain(stored.interactions.values());
    assert!(doubled.clone().all(|n| *n == 1));
    let known = known.lock().await;
    let lost = known.requests.iter().filter(|id| !stored.requests.contains_key(*id)).count() as u64;
    assert!(lost > 0 && lost <= dropped(&last), "{lost} requests are lost, {} entries were dropped", dropped(&last));
}

/// A batch as it came: the edge's name, its own, and its bytes.
type Came = (String, String, Vec<u8>);

/// A collector that writes down what comes, and acknowledges it only once it is told to.
async fn witness() -> (String, Arc<std::sync::Mutex<Vec<Came>>>, Arc<AtomicBool>) {
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode};
    let (came, answers): (Arc<std::sync::Mutex<Vec<Came>>>, Arc<AtomicBool>) = Default::default();
    let (log, willing) = (came.clone(), answers.clone());
    let handler = move |headers: HeaderMap, body: Bytes| {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        log.lock().unwrap().push((text("hearth-edge"), text("hearth-batch"), body.to_vec()));
        let named = json!({ "batch": text("hearth-batch"), "duplicate": false }).to_string();
        let willing = willing.load(Ordering::Relaxed);
        std::future::ready(if willing { (StatusCode::OK, named) } else { (StatusCode::BAD_GATEWAY, String::new()) })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = axum::Router::new().route("/v1/logs", axum::routing::post(handler));
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    (address, came, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_crash_is_the_same_batch_and_the_next_one_follows_it() {
    let folder = published();
    let folder = folder.path();
    let (address, came, willing) = witness().await;
    let count = || came.lock().unwrap().len();
    let wait_for = async |more: usize| {
        let started = Instant::now();
        while count() < more {
            assert!(started.elapsed() < PATIENCE, "{} of {more} batches came", count());
            tokio::task::yield_now().await;
        }
    };
    let play =
        |k: u32| json!({ "id": format!("i-{k}"), "ts": now_ms(), "user": "u", "item": "show-0001", "action": "play" });
    for round in 0..3 {
        let edge = start_edge(folder, &address);
        let tries = count();
        // More is logged while the first batch is on its way; it does not grow.
        for k in 0..5 {
            assert_eq!(edge.post("/v1/interactions", &play(round * 5 + k)).await.unwrap().0, 202);
        }
        wait_for(tries + 2).await;
        edge.sigkill();
    }
    let first = came.lock().unwrap()[0].clone();
    assert!(came.lock().unwrap().iter().all(|batch| *batch == first), "every try is the same");
    willing.store(true, Ordering::Relaxed);
    let refused = count();
    let edge = start_edge(folder, &address);
    let ids = |batches: &[Came]| {
        let mut ids = Vec::new();
        for (_, _, body) in batches {
            let segment = zstd::decode_all(&body[..]).unwrap();
            let (entries, _) = spool::read_segment(folder, &segment).unwrap();
            ids.extend(entries.into_iter().map(|(entry, _)| match entry {
                Entry::Interaction(json) => serde_json::from_str::<Value>(&json).unwrap()["id"].to_string(),
                other => panic!("{other:?} was not logged"),
            }));
        }
        ids
    };
    let started = Instant::now();
    while ids(&came.lock().unwrap()[refused..]).len() < 15 {
        assert!(started.elapsed() < PATIENCE, "what was logged does not come");
        tokio::task::yield_now().await;
    }
    let batches = came.lock().unwrap()[refused..].to_vec();
    assert_eq!(batches[0], first, "the same batch is acknowledged at last");
    let expected: Vec<String> = (0..15).map(|k| format!("\"i-{k}\"")).collect();
    assert_eq!(ids(&batches), expected, "everything comes once, in order");
    assert!(batches.iter().all(|(edge, ..)| *edge == first.0), "a state folder has one name");
    edge.sigkill();
}
