//! No future: events after T change no value of a row up to T, and no label whose window closed by T.

use std::path::Path;

use shared_features::codec;
use shared_features::event::Event;
use shared_features::random::Random;
use trainer::data::feature_log::FeatureLog;
use trainer::data::labels::Labels;
use trainer::data::replay::{Subject, replay};
use trainer::data::shard::Shard;
use trainer::data::simulate::{self, World};
use trainer::data::store::{Data, Writer};
use trainer::spec::TrainerSpec;

const SPECS: [&str; 3] = [
    include_str!("../../trainer/specs/podcasts.toml"),
    include_str!("../../trainer/specs/shortcuts.toml"),
    include_str!("../../trainer/specs/playlists.toml"),
];

fn write(folder: &Path, events: &[Event]) -> Data {
    let mut writer = Writer::create(folder).unwrap();
    events.iter().for_each(|e| writer.push(e.clone()).unwrap());
    writer.finish(serde_json::Value::Null).unwrap();
    Data::open(folder).unwrap()
}

/// The events after `t` in another order, each with the time of the one whose place it takes.
fn shuffled(events: &[Event], t: i64) -> Vec<Event> {
    let from = events.partition_point(|e| e.ts() <= t);
    let mut late: Vec<Event> = events[from..].to_vec();
    let times: Vec<i64> = late.iter().map(Event::ts).collect();
    let mut random = Random::keyed("no future", "shuffle");
    for k in 0..late.len() {
        let other = k + random.below((late.len() - k) as u64) as usize;
        late.swap(k, other);
    }
    for (event, time) in late.iter_mut().zip(times) {
        match event {
            Event::Item(e) => e.ts = time,
            Event::User(e) => e.ts = time,
            Event::Request(e) => e.ts = time,
            Event::Impression(e) => e.ts = time,
            Event::Interaction(e) => e.ts = time,
        }
    }
    events[..from].iter().cloned().chain(late).collect()
}

#[test]
fn deleting_or_shuffling_the_future_changes_nothing_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { users: 300, items: 120, days: 14, seed: 5, null: false };
    simulate::write(&world, &folder.path().join("data"), &|_, _| {}).unwrap();
    let whole = Data::open(&folder.path().join("data")).unwrap();
    let requests: Vec<i64> = whole.events.iter().filter(|e| matches!(e, Event::Request(_))).map(Event::ts).collect();
    // In the middle of things, and exactly at a request.
    let t = requests[requests.len() * 2 / 3];
    let kept: Vec<Event> = whole.events.iter().filter(|e| e.ts() <= t).cloned().collect();
    let deleted = write(&folder.path().join("deleted"), &kept);
    let shuffled = write(&folder.path().join("shuffled"), &shuffled(&whole.events, t));
    for text in SPECS {
        let spec = TrainerSpec::parse(text).unwrap().features;
        let log = |data: &Data, name: &str| {
            let out = folder.path().join(format!("{name}-{}", spec.surface()));
            replay(data, &spec, &Subject::of_spec(&spec), Shard::WHOLE, &out, &|_, _| {}).unwrap();
            FeatureLog::read(&out).unwrap().records
        };
        let all = log(&whole, "log");
        let labels = Labels::new(&spec.label, &whole.events);
        for (name, data) in [("deleted", &deleted), ("shuffled", &shuffled)] {
            let other = log(data, name);
            let other_labels = Labels::new(&spec.label, &data.events);
            let early: Vec<_> = all.iter().filter(|r| r.ts <= t).collect();
            let other_early: Vec<_> = other.iter().filter(|r| r.ts <= t).collect();
            assert!(early.len() > 50, "{} requests up to T", early.len());
            assert_eq!(early.len(), other_early.len());
            for (a, b) in early.iter().zip(&other_early) {
                assert_eq!(codec::encode(*a), codec::encode(*b), "{name}: request {}", a.request);
                if a.ts + spec.label.window.ms <= t {
                    let grades = |labels: &Labels| labels.grades(&a.request, a.ts, &a.rows.items);
                    assert_eq!(grades(&labels), grades(&other_labels), "{name}: request {}", a.request);
                }
            }
        }
    }
}
