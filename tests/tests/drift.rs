//! An edge says in `/metrics` which features of its live traffic are not what its bundle was trained on.

use std::collections::BTreeMap;
use std::path::Path;

use hearth_tests::binary::trainer_ok;
use hearth_tests::edge::Edge;
use hearth_tests::world;
use serde_json::{Value, json};
use shared_features::event::{Event, FieldValue, RequestEvent};
use trainer::data::simulate::{self, World};
use trainer::data::store::Writer;

/// Requests of each kind of traffic; more than an edge needs to say anything.
const REQUESTS: usize = 1_000;
/// What a change must reach, and nothing that did not change: the threshold of docs/edge.md.
const ALARM: f64 = 0.2;
/// Features that depend on a request alone, and on neither what an edge has seen before nor the day of the week.
const OF_REQUESTS: [&str; 9] =
    ["minutes_free", "hour", "device", "country", "age", "channel", "category", "duration_min", "language"];

/// The distances that `/metrics` tells, by feature and measure.
type Drift = BTreeMap<(String, String), f64>;

/// The world's events, in which each request says how many minutes its user has.
fn events() -> Vec<Event> {
    let mut events = Vec::new();
    let world = World { users: 2_000, items: 80, days: 21, seed: 5, null: false };
    let mut sink = |event| {
        events.push(event);
        Ok(())
    };
    simulate::simulate(&world, &|_, _| {}, &mut sink, &mut |_| Ok(())).unwrap();
    let requests = events.iter_mut().filter_map(|event| match event {
        Event::Request(request) => Some(request),
        _ => None,
    });
    for (k, request) in requests.enumerate() {
        let minutes = 5.0 + (k * 37 % 90) as f64;
        request.context.insert("minutes_free".into(), Some(FieldValue::Number(minutes)));
    }
    events
}

/// Trains on the first two weeks and publishes; the events of the third.
fn published(folder: &Path) -> Vec<Event> {
    let spec = std::fs::read_to_string(world::spec("podcasts")).unwrap();
    let spec = spec.replace("[schema.context]\n", "[schema.context]\nminutes_free = \"number\"\n");
    let feature = "[[features]]\nname = \"minutes_free\"\nsource = \"field\"\nfield = \"context.minutes_free\"\n\n";
    let spec = spec.replace("# Who.\n", &format!("{feature}# Who.\n"));
    let spec = spec.replace("trees = 150", "trees = 5");
    std::fs::write(folder.join("spec.toml"), spec).unwrap();
    let events = events();
    let last = events.last().unwrap().ts();
    let live = events.partition_point(|event| event.ts() < last - 7 * 86_400_000);
    let mut data = Writer::create(&folder.join("data")).unwrap();
    events[..live].iter().for_each(|event| data.push(event.clone()).unwrap());
    data.finish(json!({})).unwrap();
    trainer_ok(folder, &["replay", "--data", "data", "--spec", "spec.toml", "--out", "log"]);
    trainer_ok(folder, &["train", "--log", "log", "--spec", "spec.toml", "--out", "run"]);
    trainer_ok(folder, &["keys", "init", "--out", "keys"]);
    trainer_ok(folder, &[&["publish", "--run", "run", "--override", "a test"], &world::TARGET[..]].concat());
    events
}

/// Serves the requests of the last week on a new edge, each changed, and reads `/metrics`.
async fn drift(folder: &Path, events: &[Event], change: impl Fn(&mut RequestEvent)) -> Drift {
    let _ = std::fs::remove_dir_all(folder.join("state"));
    let edge = Edge::start(folder, &[]);
    edge.wait_for("podcasts", |status| status["bundles"].as_array().is_some_and(|b| !b.is_empty())).await;
    let last = events.last().unwrap().ts();
    let live = events.partition_point(|event| event.ts() < last - 7 * 86_400_000);
    let before: Vec<Value> = events[..live].iter().filter_map(interaction).collect();
    for some in before.chunks(500) {
        assert_eq!(edge.post("/v1/interactions", &json!(some)).await.unwrap().0, 202);
    }
    let mut served = 0;
    for event in &events[live..] {
        match event {
            Event::Request(request) if request.surface == "podcasts" && served < REQUESTS => {
                let mut request = request.clone();
                change(&mut request);
                let (status, answer) = edge.post("/v1/podcasts/rank", &body(&request)).await.unwrap();
                assert_eq!(status, 200, "{answer}");
                served += 1;
                if served == 10 {
                    let text = edge.get("/metrics").await;
                    assert!(!text.contains("hearth_feature_drift{"), "ten requests say nothing");
                }
            }
            other => {
                if let Some(interaction) = interaction(other) {
                    assert_eq!(edge.post("/v1/interactions", &interaction).await.unwrap().0, 202);
                }
            }
        }
    }
    assert_eq!(served, REQUESTS, "the world has fewer requests");
    let text = edge.get("/metrics").await;
    let requests = "hearth_feature_drift_requests{surface=\"podcasts\",arm=\"stable\"} 1000";
    assert!(text.lines().any(|line| line == requests), "{text}");
    assert!(edge.terminate());
    let drift = read(&text);
    let text: Vec<String> = drift.iter().map(|((f, m), x)| format!("{f}/{m} {x:.3}")).collect();
    println!("{}", text.join(", "));
    drift
}

fn interaction(event: &Event) -> Option<Value> {
    match event {
        Event::Interaction(interaction) => serde_json::to_value(interaction).ok(),
        _ => None,
    }
}

/// A request as an app sends it: the surface is in the path.
fn body(request: &RequestEvent) -> Value {
    let mut body = serde_json::to_value(request).unwrap();
    body.as_object_mut().unwrap().remove("surface");
    body
}

/// The distances in the text of `/metrics`.
fn read(text: &str) -> Drift {
    let lines = text.lines().filter_map(|line| line.strip_prefix("hearth_feature_drift{"));
    lines
        .map(|line| {
            let (labels, value) = line.split_once("} ").unwrap();
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            ((label("feature"), label("measure")), value.parse().unwrap())
        })
        .collect()
}

/// The features of requests that are above the alarm, with the measure.
fn alarms(drift: &Drift) -> Vec<(&str, &str)> {
    let high = drift.iter().filter(|((feature, _), x)| **x > ALARM && OF_REQUESTS.contains(&feature.as_str()));
    high.map(|((feature, measure), _)| (feature.as_str(), measure.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_feature_is_seen_by_its_name_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let events = tokio::task::block_in_place(|| published(folder));

    let ordinary = drift(folder, &events, |_| {}).await;
    for feature in OF_REQUESTS {
        for measure in ["missing", "distribution"] {
            let x = ordinary.get(&(feature.to_owned(), measure.to_owned()));
            assert!(x.is_some_and(|x| *x < ALARM / 2.0), "{measure} of {feature} is {x:?} in ordinary traffic");
        }
    }

    let seconds = drift(folder, &events, |request| {
        if let Some(Some(FieldValue::Number(minutes))) = request.context.get_mut("minutes_free") {
            *minutes *= 100.0;
        }
    });
    assert_eq!(alarms(&seconds.await), [("minutes_free", "distribution")]);

    let lost = drift(folder, &events, |request| drop(request.context.remove("device"))).await;
    assert_eq!(alarms(&lost), [("device", "missing")]);
}
