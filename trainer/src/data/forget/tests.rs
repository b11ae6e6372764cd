use shared_features::spec::FeatureSpec;

use super::*;
use crate::data::feature_log::FeatureLog;
use crate::data::replay::{Subject, replay};
use crate::data::shard::Shard;
use crate::data::simulate::{self, World};
use crate::data::store::Data;
use crate::data::warehouse::{Day, Warehouse};
use crate::spec::TrainerSpec;

fn spec() -> FeatureSpec {
    TrainerSpec::parse(include_str!("../../../specs/podcasts.toml")).unwrap().features
}

/// A store with one file of rows, one of events, and one that was put aside.
async fn store(objects: &Objects, log: &FeatureLog, events: &[Event], aside: Option<&spool::Entry>) {
    let day = Day::of(log.records[0].ts).unwrap();
    let entry = |path: &str, kind, entries: usize, bytes: usize| Entry {
        path: path.into(),
        kind,
        surface: (kind == Kind::Rows).then(|| "podcasts".into()),
        day,
        encoder: (kind == Kind::Rows).then(|| log.encoder.hash()),
        bytes: bytes as u64,
        entries: entries as u64,
    };
    let rows = warehouse::encode_rows(log.records.clone(), &log.encoder).unwrap();
    let written = warehouse::encode_events(events.to_vec()).unwrap();
    let segment = spool::segment_of(aside);
    let added = vec![
        entry("rows/podcasts/d/0123456789abcdef-one.parquet", Kind::Rows, log.records.len(), rows.len()),
        entry("events/d/one.parquet", Kind::Events, events.len(), written.len()),
        entry("quarantine/d/one.spool", Kind::Quarantine, 1, segment.len()),
    ];
    for (file, bytes) in added.iter().zip([rows, written, segment]) {
        objects.create(&file.path, bytes.into()).await.unwrap();
    }
    objects.create("quarantine/d/one.json", b"{}\n".to_vec().into()).await.unwrap();
    let commit = Commit { format: log::FORMAT, sequence: 0, at: 0, batches: Vec::new(), added, removed: Vec::new() };
    assert!(Log::open(objects.clone()).await.unwrap().commit(commit).await.unwrap());
}

#[tokio::test]
async fn nothing_of_a_forgotten_user_is_left_and_all_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { users: 30, items: 30, days: 3, seed: 1, null: false };
    simulate::write(&world, &folder.path().join("data"), &|_, _| {}).unwrap();
    let data = Data::open(&folder.path().join("data")).unwrap();
    replay(&data, &spec(), &Subject::of_spec(&spec()), Shard::WHOLE, &folder.path().join("log"), &|_, _| {}).unwrap();
    let log = FeatureLog::read(&folder.path().join("log")).unwrap();
    let user = log.records[0].user.clone();
    let logged = |e: &&Event| matches!(e, Event::Request(_) | Event::Impression(_) | Event::Interaction(_));
    let events: Vec<Event> = data.events.iter().filter(logged).cloned().collect();
    let place = folder.path().join("store").to_str().unwrap().to_owned();
    let objects = Objects::open(&place).unwrap();
    let aside = spool::Entry::Rows(Box::new(log.records[0].clone()));
    store(&objects, &log, &events, Some(&aside)).await;

    let users = BTreeSet::from([user.clone()]);
    let forgotten = forget(&objects, &users, None, 0).await.unwrap();
    let requests: BTreeSet<String> = log.records.iter().filter(|r| r.user == user).map(|r| r.request.clone()).collect();
    assert_eq!(forgotten.requests, requests.len() as u64);
    assert!(forgotten.impressions > 0 && forgotten.interactions > 0, "{forgotten:?}");
    let came = data.events.iter().filter(|e| matches!(e, Event::Request(request) if request.user == user)).count();
    assert_eq!(forgotten.requests_as_they_came, came as u64);
    assert_eq!((forgotten.put_aside, forgotten.files, forgotten.waiting), (1, 3, 0));

    let after = Warehouse::open(&place).await.unwrap();
    let mut records = Vec::new();
    for file in after.rows("podcasts", Day::ALL) {
        assert!(file.path.starts_with("rows/podcasts/d/0123456789abcdef-") && !file.path.ends_with("one.parquet"));
        records.extend(after.read_rows(file).await.unwrap().records);
    }
    let mut others: Vec<_> = log.records.iter().filter(|r| r.user != user).cloned().collect();
    others.sort_by(|a, b| (a.ts, &a.request).cmp(&(b.ts, &b.request)));
    let bits = |records: &[_]| shared_features::codec::encode(&records.to_vec());
    assert_eq!(bits(&records), bits(&others));
    let mut left = Vec::new();
    for file in after.events(Day::ALL) {
        left.extend(after.read_events(file).await.unwrap());
    }
    let expected: Vec<Event> = events.iter().filter(|e| !is_of(e, &users, &requests)).cloned().collect();
    assert_eq!(left, expected);
    assert_eq!(after.quarantine(Day::ALL).count(), 0);
    // Not only unnamed, but gone.
    for folder in ["rows", "events", "quarantine"] {
        let there = objects.list(folder).await.unwrap();
        assert!(there.iter().all(|(object, _)| after.files().any(|file| file.path == *object)), "{there:?}");
    }
    // Again there is nothing to do.
    assert_eq!(forget(&objects, &users, None, 0).await.unwrap(), Removed::default());
}
