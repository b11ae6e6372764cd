//! What an edge logged is what the trainer learns from: its state folder is a LOG folder, and so is the store of a
//! collector that it uploaded to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_runtime::host::Limits;
use edge_runtime::runtime::{Keep, Runtime, Settings};
use edge_runtime::spool;
use hearth_tests::binary::trainer_ok;
use hearth_tests::world;
use serde_json::Value;
use shared_features::event::{Event, ImpressionEvent, InteractionEvent, Shown};
use trainer::collect::{self, Collector};
use trainer::data::store::Data;
use trainer::data::warehouse::Objects;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_trained_and_judged_on_what_an_edge_logged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let spec = world::spec("podcasts");
    world::simulate(folder, 400, 120, 14, 1, "data");
    world::publish(folder, "podcasts", "data");

    let settings = Settings {
        registry: folder.join("registry").display().to_string(),
        trust: std::fs::read(folder.join("keys/root.json")).unwrap(),
        channel: "stable".into(),
        surfaces: vec!["podcasts".into()],
        state: folder.join("state"),
        limits: Limits { call: Duration::from_secs(10), ..Limits::serving() },
        spool: spool::Settings::default(),
        keep: Keep::default(),
        pseudonyms: None,
    };
    let runtime = Arc::new(Runtime::open(settings).await.unwrap());
    runtime.poll().await;
    let data = Data::open(&folder.join("data")).unwrap();
    let mut truth: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
    for r in &data.relevance {
        truth.entry(&r.request).or_default().push((&r.item, r.relevance));
    }
    let mut requests = 0u64;
    for event in &data.events {
        match event {
            Event::Request(request) if request.surface == "podcasts" => {
                let answer = runtime.rank(request.clone()).await.unwrap();
                assert!(!answer.fallback);
                let shown: Vec<Shown> = answer
                    .items
                    .iter()
                    .take(10)
                    .map(|i| Shown {
                        item: i.item.clone(),
                        position: i.position,
                        propensity: i.propensity.map(f64::from),
                    })
                    .collect();
                // The user plays the most relevant of what is shown.
                let relevance =
                    |item: &str| truth[request.id.as_str()].iter().find(|t| t.0 == item).map_or(0.0, |t| t.1);
                let best = shown.iter().max_by(|a, b| relevance(&a.item).total_cmp(&relevance(&b.item))).unwrap();
                let play = InteractionEvent {
                    id: format!("play-{}", request.id),
                    ts: request.ts + 5_000,
                    offset_min: Some(request.offset_min),
                    user: request.user.clone(),
                    item: best.item.clone(),
                    action: "play".into(),
                    surface: Some("podcasts".into()),
                    request: Some(request.id.clone()),
                    dwell_ms: None,
                    completion: None,
                };
                let seen = ImpressionEvent {
                    id: format!("seen-{}", request.id),
                    ts: request.ts + 300,
                    request: request.id.clone(),
                    shown,
                };
                runtime.impressions(&[seen]).await.unwrap();
                runtime.interactions(vec![play]).await.unwrap();
                requests += 1;
            }
            Event::Interaction(interaction) if interaction.surface.as_deref() != Some("podcasts") => {
                runtime.interactions(vec![interaction.clone()]).await.unwrap();
            }
            _ => {}
        }
    }
    runtime.close().await;
    assert!(requests > 200, "{requests} requests");

    let json = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let judged = json(trainer_ok(folder, &["evaluate", "--run", "run", "--log", "state", "--json"]));
    assert_eq!(judged["requests"], requests, "every request that the edge answered is judged");
    assert_eq!(judged["requests_without_positive"], 0);
    let report = json(trainer_ok(folder, &["train", "--log", "state", "--spec", &spec, "--out", "run-2", "--json"]));
    let model = report["evaluation"]["model"]["ndcg@10"]["value"].as_f64().unwrap();
    assert!(model > 0.5, "plays follow relevance, so there is much to learn: {model}");

    collect(folder).await;
    let collected = json(trainer_ok(folder, &["evaluate", "--run", "run", "--log", "store", "--json"]));
    assert_eq!(collected, judged, "what was collected is judged as what was logged");
    let again = json(trainer_ok(folder, &["train", "--log", "store", "--spec", &spec, "--out", "run-3", "--json"]));
    assert_eq!(again["bundle"], report["bundle"], "what was collected gives the bundle that what was logged gives");
}

/// Collects what the edge has in its spool into `store`, in batches that overlap.
async fn collect(folder: &Path) {
    let entries = spool::read_from(&folder.join("state/spool"), spool::Position::default()).unwrap();
    let entries: Vec<spool::Entry> = entries.into_iter().map(|(entry, _)| entry).collect();
    let objects = Objects::open(folder.join("store").to_str().unwrap()).unwrap();
    let (registry, trust) = (folder.join("registry"), std::fs::read(folder.join("keys/root.json")).unwrap());
    let settings = collect::Settings { round_bytes: 100_000, small_files: 3, ..collect::Settings::default() };
    let collector = Collector::open(objects, registry.to_str().unwrap(), &trust, settings).await.unwrap();
    for from in (0..entries.len()).step_by(100) {
        let segment = spool::segment_of(&entries[from..entries.len().min(from + 120)]);
        let body = zstd::encode_all(&segment[..], 3).unwrap();
        collector.accept("edge", &from.to_string(), body.into()).await.unwrap();
    }
    let mut rounds = 0;
    while collector.compact().await.unwrap().more {
        rounds += 1;
    }
    assert!(rounds > 2, "{rounds} rounds, so that files were merged");
    assert_eq!(collector.status(), collect::Status::default(), "nothing waits or was put aside");
}
