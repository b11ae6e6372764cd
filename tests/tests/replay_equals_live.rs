//! Replay equals live: a week replayed by the trainer and the same week fed to a real edge server give the same
//! feature log, bit for bit, in every column but the time of arrival.

use std::path::Path;

use hearth_tests::binary::trainer_ok;
use hearth_tests::edge::Edge;
use hearth_tests::world;
use serde_json::{Value, json};
use shared_features::codec;
use shared_features::event::Event;
use shared_features::feature_log::Record;
use trainer::data::feature_log::FeatureLog;
use trainer::data::store::{Data, Writer};
use trainer::data::tables::Snapshots;
use trainer::release::publish::{self, Target};
use trainer::spec::TrainerSpec;

const WEEK: i64 = 7 * 86_400_000;

/// A model trained on the weeks before, published; the folder's `data` then holds everything up to the end.
fn prepare(folder: &Path, surface: &str) -> (TrainerSpec, i64) {
    let spec = TrainerSpec::read(Path::new(&world::spec(surface))).unwrap();
    world::simulate(folder, 250, 100, 21, 6, "data");
    let data = Data::open(&folder.join("data")).unwrap();
    let last = data.events.last().unwrap().ts();
    let before = Writer::create(&folder.join("before")).map(|mut writer| {
        data.events.iter().filter(|e| e.ts() <= last - WEEK).for_each(|e| writer.push(e.clone()).unwrap());
        writer.finish(Value::Null).unwrap()
    });
    before.unwrap();
    world::publish(folder, surface, "before");
    (spec, last - WEEK)
}

async fn feed(folder: &Path, spec: &TrainerSpec, from: i64) {
    let surface = spec.features.surface();
    let data = Data::open(&folder.join("data")).unwrap();
    let snapshots = Snapshots::new(&spec.features, &data.events).unwrap();
    let registry = folder.join("registry").display().to_string();
    let target = Target::open(&registry, "stable", &folder.join("keys/publisher.key"), 30).unwrap();
    let edge = Edge::start(folder, &["--surface", surface]);
    let mut published = None;
    for event in &data.events {
        match event {
            Event::Request(request) if request.surface == surface && request.ts > from => {
                let as_of = snapshots.as_of_for(request.ts);
                if published != Some(as_of) {
                    // Publishing blocks on the registry, which is no business of this thread's runtime.
                    let tables =
                        tokio::task::block_in_place(|| publish::tables(spec, &data.events, &target, Some(as_of)))
                            .unwrap();
                    let digest = json!(tables.tables.to_string());
                    let held =
                        |status: &Value| status["tables"][0] == digest && status["sequence"] == json!(tables.sequence);
                    edge.wait_for(surface, held).await;
                    published = Some(as_of);
                }
                let mut body = serde_json::to_value(request).unwrap();
                body.as_object_mut().unwrap().remove("surface");
                let (status, answer) = edge.post(&format!("/v1/{surface}/rank"), &body).await.unwrap();
                assert_eq!((status, &answer["fallback"]), (200, &json!(false)), "{answer}");
            }
            Event::Interaction(interaction) => {
                let body = serde_json::to_value(interaction).unwrap();
                assert_eq!(edge.post("/v1/interactions", &body).await.unwrap().0, 202);
            }
            Event::Impression(impression) if impression.ts > from => {
                let body = serde_json::to_value(impression).unwrap();
                assert_eq!(edge.post("/v1/impressions", &body).await.unwrap().0, 202);
            }
            _ => {}
        }
    }
    edge.kill();
}

fn sorted(mut records: Vec<Record>, from: i64) -> Vec<Record> {
    records.retain(|r| r.ts > from);
    records.iter_mut().for_each(|r| r.arrived = 0);
    records.sort_by(|a, b| a.request.cmp(&b.request));
    records
}

async fn check(surface: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (spec, from) = tokio::task::block_in_place(|| prepare(folder, surface));
    feed(folder, &spec, from).await;
    let bundle = std::fs::read_dir(folder.join("registry/bundles")).unwrap().next().unwrap().unwrap().path();
    let channel = format!("registry/channels/{surface}/stable");
    let bundle = format!("registry/bundles/{}", bundle.file_name().unwrap().to_str().unwrap());
    trainer_ok(folder, &["replay", "--data", "data", "--bundle", &bundle, "--channel", &channel, "--out", "replayed"]);
    let replayed = sorted(FeatureLog::read(&folder.join("replayed")).unwrap().records, from);
    let live = edge_runtime::spool::read(&folder.join("state/spool")).unwrap();
    assert_eq!(live.duplicates, 0);
    // A request without a candidate leaves no row in Parquet.
    let live = sorted(live.records.into_iter().filter(|r| !r.rows.items.is_empty()).collect(), from);
    assert!(live.len() > 50, "{} requests of {surface}", live.len());
    assert_eq!(live.len(), replayed.len());
    let mut vectors = 0;
    for (a, b) in live.iter().zip(&replayed) {
        assert_eq!(a.request, b.request);
        if codec::encode(a) != codec::encode(b) {
            panic!("request {} differs:\nlive     {a:?}\nreplayed {b:?}", a.request);
        }
        vectors += a.rows.vectors.len();
    }
    tokio::task::block_in_place(|| reencode(folder, &bundle, &live));
    println!("{surface}: {} requests and {vectors} numbers of vectors are equal bit for bit", live.len());
}

/// Encoding the logged values again with the logged bundle gives the logged vectors bit for bit.
fn reencode(folder: &Path, bundle: &str, records: &[Record]) {
    let bundle = trainer::release::bundle::Bundle::open(&folder.join(bundle).display().to_string()).unwrap();
    let host = edge_runtime::host::Host::shared().unwrap();
    let limits = edge_runtime::host::Limits::batch();
    let guest = edge_runtime::host::Guest::new(host, bundle.parts.engine(), &bundle.parts.load(), limits).unwrap();
    for record in records {
        let vectors = guest.encode(&record.rows.values).unwrap();
        assert_eq!(codec::encode(&vectors), codec::encode(&record.rows.vectors), "request {}", record.request);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shortcuts_from_history() {
    check("shortcuts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podcasts_from_the_request() {
    check("podcasts").await;
}
