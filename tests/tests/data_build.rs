//! `trainer data build`: the same labels as in memory, every row once, point in time, within bounded memory.

use std::collections::BTreeMap;
use std::path::Path;

use hearth_tests::binary;
use shared_features::event::{Event, ImpressionEvent, InteractionEvent, Shown};
use shared_features::feature_log::Record;
use shared_features::random::Random;
use shared_features::spec::{FeatureSpec, Touch};
use trainer::data::build::{self, Dataset, Input};
use trainer::data::feature_log::{self, FeatureLog};
use trainer::data::labels::Labels;
use trainer::data::query::Resources;
use trainer::data::replay::{Subject, replay};
use trainer::data::shard::Shard;
use trainer::data::simulate::{self, World};
use trainer::data::store::{Data, EVENTS, Writer};
use trainer::spec::TrainerSpec;

const SURFACES: [&str; 3] = [
    include_str!("../../trainer/specs/podcasts.toml"),
    include_str!("../../trainer/specs/shortcuts.toml"),
    include_str!("../../trainer/specs/playlists.toml"),
];

fn small() -> Resources {
    Resources { memory_bytes: 64 << 20, ..Resources::default() }
}

fn log(folder: &Path, spec: &FeatureSpec, data: &Data) -> FeatureLog {
    replay(data, spec, &Subject::of_spec(spec), Shard::WHOLE, folder, &|_, _| {}).unwrap();
    FeatureLog::read(folder).unwrap()
}

/// Interactions without their requests in part, late ones, and impressions that come twice and in part.
fn disturbed(events: &[Event]) -> Vec<Event> {
    let mut random = Random::keyed("data build", "disturb");
    let mut all = Vec::new();
    for event in events {
        all.push(event.clone());
        match event {
            Event::Interaction(e) => {
                let changed = match random.below(4) {
                    0 => InteractionEvent { request: None, ..e.clone() },
                    1 => InteractionEvent { request: None, surface: None, ..e.clone() },
                    2 => InteractionEvent { ts: e.ts + random.below(3 * 3_600_000) as i64, ..e.clone() },
                    _ => continue,
                };
                all.pop();
                all.push(Event::Interaction(changed));
            }
            Event::Impression(e) if random.below(3) == 0 => {
                let moved = e.shown.iter().map(|s| Shown { position: s.position + 7, propensity: None, ..s.clone() });
                let later = e.ts + random.below(3_600_000) as i64;
                let again = ImpressionEvent {
                    id: format!("{} again", e.id),
                    ts: later,
                    shown: moved.collect(),
                    request: e.request.clone(),
                };
                all.push(Event::Impression(again));
            }
            _ => {}
        }
    }
    all.sort_by_key(Event::ts);
    all
}

fn by_row(records: &[Record], grades: &[Vec<Option<u32>>]) -> BTreeMap<(String, String), Option<u32>> {
    let rows = records.iter().zip(grades).flat_map(|(record, grades)| {
        record.rows.items.iter().zip(grades).map(|(item, grade)| ((record.request.clone(), item.clone()), *grade))
    });
    rows.collect()
}

#[test]
fn labels_are_those_made_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { users: 200, items: 100, days: 10, seed: 3, null: false };
    simulate::write(&world, &folder.path().join("clean"), &|_, _| {}).unwrap();
    let clean = Data::open(&folder.path().join("clean")).unwrap();
    let mut writer = Writer::create(&folder.path().join("data")).unwrap();
    disturbed(&clean.events).into_iter().for_each(|e| writer.push(e).unwrap());
    writer.finish(serde_json::Value::Null).unwrap();
    let data = Data::open(&folder.path().join("data")).unwrap();
    for text in SURFACES {
        let mut spec = TrainerSpec::parse(text).unwrap().features;
        let from = folder.path().join(spec.surface());
        let log = log(&from, &spec, &data);
        for (touch, assume_shown) in [(Touch::Last, false), (Touch::First, false), (Touch::Last, true)] {
            (spec.label.touch, spec.label.assume_shown) = (touch, assume_shown);
            let out = folder.path().join("dataset");
            let report = build::build(
                &Input::folders(std::slice::from_ref(&from), spec.surface(), None).unwrap(),
                &spec,
                &small(),
                &out,
            )
            .unwrap();
            let labels = Labels::new(&spec.label, &data.events);
            let expected: Vec<_> = log.records.iter().map(|r| labels.grades(&r.request, r.ts, &r.rows.items)).collect();
            let built = Dataset::read(&out).unwrap();
            let expected = by_row(&log.records, &expected);
            let got = by_row(&built.log.records, &built.grades);
            assert_eq!(expected.len(), got.len(), "{}", spec.surface());
            for (row, grade) in &expected {
                assert_eq!(got[row], *grade, "{} {touch:?} {assume_shown}: {row:?}", spec.surface());
            }
            let positive = expected.values().filter(|g| g.is_some_and(|g| g > 0)).count() as u64;
            assert!(positive > 30, "{positive} positive rows");
            assert_eq!((report.rows.positive, report.rows.written), (positive, expected.len() as u64));
            assert!(report.events.late > 0 && report.events.attributed > 0 && report.events.shown_again > 0);
        }
        let placed = positions(&folder.path().join("dataset"));
        let labels = Labels::new(&spec.label, &data.events);
        let mut seen = 0;
        for record in &log.records {
            for item in &record.rows.items {
                let Some(Some(position)) = placed.get(&(record.request.clone(), item.clone())) else { continue };
                let expected = labels.placement(&record.request, record.ts, item).unwrap();
                assert_eq!(*position, expected.position, "{} {item}", record.request);
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen} positions");
    }
}

/// `position` by request and item.
fn positions(dataset: &Path) -> BTreeMap<(String, String), Option<u32>> {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dataset).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "parquet") {
            continue;
        }
        let file = std::fs::File::open(&path).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let text = |name| batch.column_by_name(name).unwrap().as_string::<i32>();
            let position = batch.column_by_name("position").unwrap().as_primitive::<UInt32Type>();
            for row in 0..batch.num_rows() {
                let key = (text("request").value(row).to_owned(), text("item").value(row).to_owned());
                all.insert(key, position.is_valid(row).then(|| position.value(row)));
            }
        }
    }
    all
}

#[test]
fn shards_together_are_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { users: 100, items: 60, days: 6, seed: 5, null: false };
    simulate::write(&world, &folder.path().join("data"), &|_, _| {}).unwrap();
    let data = Data::open(&folder.path().join("data")).unwrap();
    let spec = TrainerSpec::parse(SURFACES[0]).unwrap().features;
    let built = |name: &str, logs: &[std::path::PathBuf]| {
        let out = folder.path().join(name);
        let input = Input::folders(logs, spec.surface(), None).unwrap();
        let report = build::build(&input, &spec, &small(), &out).unwrap();
        (report, Dataset::read(&out).unwrap())
    };
    let whole = folder.path().join("whole log");
    log(&whole, &spec, &data);
    let parts = ["1/3", "2/3", "3/3"].map(|shard| {
        let part = folder.path().join(format!("log {}", &shard[..1]));
        replay(&data, &spec, &Subject::of_spec(&spec), shard.parse().unwrap(), &part, &|_, _| {}).unwrap();
        assert!(Data::open(&part).unwrap().events.len() < data.events.len());
        part
    });
    let (expected, whole) = built("whole", &[whole]);
    let (got, together) = built("together", &parts);
    assert!(expected.rows.positive > 0 && expected.events.interactions > 0);
    assert_eq!((got.rows, got.events), (expected.rows, expected.events));
    assert_eq!(together.grades, whole.grades);
    let bytes = |dataset: &Dataset| -> Vec<Vec<u8>> {
        dataset.log.records.iter().map(shared_features::codec::encode).collect()
    };
    assert!(bytes(&together) == bytes(&whole));
}

#[test]
fn rows_that_were_logged_twice_are_written_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { users: 60, items: 40, days: 5, seed: 1, null: false };
    simulate::write(&world, &folder.path().join("data"), &|_, _| {}).unwrap();
    let data = Data::open(&folder.path().join("data")).unwrap();
    let spec = TrainerSpec::parse(SURFACES[0]).unwrap().features;
    let from = folder.path().join("log");
    let log = log(&from, &spec, &data);
    let rows: u64 = log.records.iter().map(|r| r.rows.items.len() as u64).sum();
    let mut input = Input::folders(&[from], spec.surface(), None).unwrap();
    let again = folder.path().join("again.parquet");
    std::fs::copy(&input.rows[0], &again).unwrap();
    let out = folder.path().join("dataset");
    let once = build::build(&input, &spec, &small(), &out).unwrap();
    input.rows.push(again);
    let again = folder.path().join("events again.parquet");
    std::fs::copy(&input.events[0], &again).unwrap();
    input.events.push(again);
    let report = build::build(&input, &spec, &small(), &out).unwrap();
    assert_eq!((report.rows.read, report.rows.written, report.rows.duplicates), (2 * rows, rows, rows));
    assert_eq!((report.rows.shown, report.rows.positive), (once.rows.shown, once.rows.positive));
    let interactions = once.events.interactions;
    assert!(interactions > 0 && once.events.interactions_again == 0);
    assert_eq!((report.events.interactions, report.events.interactions_again), (interactions, interactions));
    let merged = build::Losses { interactions_again: 0, ..report.events };
    let shown = (once.events.shown, once.events.shown_again);
    assert_eq!((merged.shown, merged.shown_again), (2 * shown.0, shown.0 + 2 * shown.1));
    assert_eq!(build::Losses { shown: shown.0, shown_again: shown.1, ..merged }, once.events);
    let built = Dataset::read(&out).unwrap();
    assert_eq!(built.log.records.len(), log.records.len());

    // What is in the folder is what was written.
    let day = out.join(&built.report.days[0].file);
    let mut bytes = std::fs::read(&day).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&day, bytes).unwrap();
    let error = Dataset::read(&out).unwrap_err().to_string();
    assert!(error.contains("was altered or cut"), "{error}");
}

#[test]
fn a_log_ten_times_larger_than_the_memory_limit_builds() {
    const LIMIT: u64 = 24 << 20;
    let folder = tempfile::tempdir().unwrap();
    let world = World { users: 200, items: 100, days: 7, seed: 2, null: false };
    simulate::write(&world, &folder.path().join("data"), &|_, _| {}).unwrap();
    let data = Data::open(&folder.path().join("data")).unwrap();
    let spec = TrainerSpec::parse(SURFACES[0]).unwrap().features;
    let small = log(&folder.path().join("small"), &spec, &data);
    // The same users and requests again and again under other names, as many as it takes.
    let large = folder.path().join("large");
    let named = |name: &str, copy: u64| if copy > 0 { format!("{name} {copy}") } else { name.to_owned() };
    let mut writer = feature_log::Writer::create(&large, &small.encoder).unwrap();
    let (mut bytes, mut rows, mut copies) = (0, 0, 0);
    while bytes < 10 * LIMIT {
        for record in &small.records {
            let (request, user) = (named(&record.request, copies), named(&record.user, copies));
            let record = Record { request, user, ..record.clone() };
            bytes += shared_features::codec::encode(&record).len() as u64;
            rows += record.rows.items.len() as u64;
            writer.push(record).unwrap();
        }
        copies += 1;
    }
    writer.finish().unwrap();
    let beside = folder.path().join("events");
    let mut events = Writer::create(&beside).unwrap();
    for event in &data.events {
        for copy in 0..copies {
            let mut event = event.clone();
            match &mut event {
                Event::Request(e) => (e.id, e.user) = (named(&e.id, copy), named(&e.user, copy)),
                Event::Impression(e) => (e.id, e.request) = (named(&e.id, copy), named(&e.request, copy)),
                Event::Interaction(e) => {
                    (e.id, e.user) = (named(&e.id, copy), named(&e.user, copy));
                    e.request = e.request.as_deref().map(|request| named(request, copy));
                }
                Event::Item(_) | Event::User(_) => continue,
            }
            events.push(event).unwrap();
        }
    }
    let events = events.finish(serde_json::Value::Null).unwrap();
    std::fs::rename(beside.join(EVENTS), large.join(EVENTS)).unwrap();
    std::fs::write(folder.path().join("podcasts.toml"), SURFACES[0]).unwrap();
    let mut command = std::process::Command::new(binary::path("trainer"));
    command.current_dir(folder.path()).args(["data", "build", "--log", "large", "--spec", "podcasts.toml"]);
    command.args(["--out", "dataset", "--json", "--memory", &LIMIT.to_string()]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let peak = std::thread::spawn({
        let status = format!("/proc/{}/status", child.id());
        move || peak_memory(&status)
    });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: build::Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report.rows.written, report.events.interactions), (rows, events.counts.interactions));
    let once = Input::folders(&[folder.path().join("small")], spec.surface(), None).unwrap();
    let once = build::build(&once, &spec, &Resources::default(), &folder.path().join("once")).unwrap();
    let of_all = (copies * once.rows.shown, copies * once.rows.positive);
    assert!(once.rows.positive > 0 && (report.rows.shown, report.rows.positive) == of_all, "{:?}", report.rows);
    if let Some(peak) = peak.join().unwrap() {
        println!("{bytes} bytes of rows within {LIMIT}: the process held at most {peak}");
        assert!(peak < bytes, "the process held {peak} bytes for a log of {bytes}");
    }
}

/// The most memory that a process has held, read until it is gone; `None` where the system does not tell.
fn peak_memory(status: &str) -> Option<u64> {
    let mut peak = None;
    while let Ok(text) = std::fs::read_to_string(status) {
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let Some(kib) = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()) else { break };
        peak = Some(kib << 10);
        std::thread::yield_now();
    }
    peak
}

#[test]
fn what_is_not_as_its_schema_says_is_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { users: 200, items: 100, days: 10, seed: 3, null: false };
    simulate::write(&world, &folder.path().join("data"), &|_, _| {}).unwrap();
    std::fs::write(folder.path().join("podcasts.toml"), SURFACES[0]).unwrap();
    let ok = |arguments: &str| binary::trainer_ok(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
    ok("replay --data data --spec podcasts.toml --out log");
    ok("data build --log log --spec podcasts.toml --out dataset");
    ok("data stats dataset --out statistics.json");
    ok("data schema infer statistics.json --out podcasts.schema.toml");
    // A file, and a folder of something else, are left as they are.
    for taken in ["podcasts.toml", "data"] {
        let arguments = ["data", "build", "--log", "log", "--spec", "podcasts.toml", "--out", taken];
        let error = binary::trainer_fails(folder.path(), &arguments);
        assert!(error.contains("neither an empty folder nor a dataset"), "{error}");
    }
    Data::open(&folder.path().join("data")).unwrap();
    // An older dataset is replaced, and nothing of it stays beside.
    ok("data build --log log --spec podcasts.toml --out dataset");
    let beside =
        |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name().to_string_lossy().contains("hearth-dataset");
    assert!(!std::fs::read_dir(folder.path()).unwrap().any(beside));
    // Other grades are other labels.
    let other = SURFACES[0].replacen("play = 1", "play = 3", 1);
    assert_ne!(other, SURFACES[0], "podcasts.toml grades otherwise; adapt this test");
    std::fs::write(folder.path().join("other.toml"), other).unwrap();
    let arguments = ["train", "--log", "dataset", "--spec", "other.toml", "--out", "other"];
    let error = binary::trainer_fails(folder.path(), &arguments);
    assert!(error.contains("was labelled otherwise"), "{error}");
    // The schema lies beside the spec, and the dataset is what it was made from.
    ok("train --log dataset --spec podcasts.toml --out run");
    let feature = {
        let log = FeatureLog::read(&folder.path().join("log")).unwrap();
        log.encoder.features[0].name.clone()
    };
    ok(&format!("data schema set podcasts.schema.toml feature.{feature}.float_domain.max=-1"));
    let arguments = ["train", "--log", "dataset", "--spec", "podcasts.toml", "--out", "other"];
    let error = binary::trainer_fails(folder.path(), &arguments);
    assert!(error.contains("podcasts.schema.toml says it should be, so nothing was trained"), "{error}");
    assert!(!folder.path().join("other").exists());
}
