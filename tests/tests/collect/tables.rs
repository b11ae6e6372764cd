//! Tables are made of what edges logged, as if every event were there, and whenever one is due.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use edge_runtime::registry::Registry;
use hearth_tests::binary::{trainer_fails, trainer_ok};
use trainer::data::store::Data;
use trainer::data::tables::Snapshots;
use trainer::spec::TrainerSpec;

use super::*;

/// Killed when dropped.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What really happened: the events of the world, and what was asked, shown and done, whatever was kept of it.
fn truth(folder: &Path, without: Option<&str>) -> Vec<Event> {
    let contents = spool::read(&folder.join("logged/spool")).unwrap();
    let number = |id: &str| id.strip_prefix("r-").unwrap().parse().unwrap();
    let requests = contents.records.iter().map(|r| asked(number(&r.request), r.ts));
    let requests: Vec<RequestEvent> = requests.filter(|r| without != Some(r.user.as_str())).collect();
    let ids: BTreeSet<String> = requests.iter().map(|r| r.id.clone()).collect();
    let mut events = Data::open(&folder.join("data")).unwrap().events;
    events.extend(requests.into_iter().map(Event::Request));
    events.extend(contents.impressions.into_iter().filter(|e| ids.contains(&e.request)).map(Event::Impression));
    let done = contents.interactions.into_iter().filter(|e| without != Some(e.user.as_str()));
    events.extend(done.map(Event::Interaction));
    events.sort_by_key(Event::ts);
    events
}

/// The snapshot that is published, which has these bits.
async fn published_tables(folder: &Path, log: &str, as_of: i64) -> Vec<u8> {
    let as_of = as_of.to_string();
    let command = ["tables", "--data", "data", "--log", log, "--spec", "spec.toml", "--as-of", &as_of, "--json"];
    let command = [&command[..], &world::TARGET].concat();
    let said: Value = tokio::task::block_in_place(|| serde_json::from_str(&trainer_ok(folder, &command)).unwrap());
    let registry = Registry::open(folder.join("registry").to_str().unwrap()).unwrap();
    registry.blob(said["tables"].as_str().unwrap().parse().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_what_was_collected_are_those_of_what_happened() {
    let folder = collected(60).await;
    let folder = folder.path();
    let spec = TrainerSpec::read(&folder.join("spec.toml")).unwrap().features;
    let now = now_ms();
    let expected = |without| Snapshots::new(&spec, &truth(folder, without)).unwrap().at(now).to_bytes();
    let world = Data::open(&folder.join("data")).unwrap().events;
    let all = expected(None);
    assert!(all != Snapshots::new(&spec, &world).unwrap().at(now).to_bytes(), "the log changes the statistics");
    for log in ["store", "logged"] {
        assert!(published_tables(folder, log, now).await == all, "{log}: other bits");
    }
    let sampled = std::fs::read_to_string(folder.join("spec.toml")).unwrap();
    let sampled = sampled.replacen("[log]", "[log]\nrows_share = 0.5", 1);
    std::fs::write(folder.join("sampled.toml"), sampled).unwrap();
    let command = ["tables", "--data", "data", "--log", "store", "--spec", "sampled.toml"];
    let error = trainer_fails(folder, &[&command[..], &world::TARGET].concat());
    assert!(error.contains("rows_share = 1"), "{error}");
    // What is forgotten is in no later snapshot.
    trainer_ok(folder, &["data", "forget", "--id", "user-1", "--store", "store"]);
    assert!(published_tables(folder, "store", now).await == expected(Some("user-1")), "other bits without user-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_published_whenever_one_is_due() {
    let folder = collected(5).await;
    let folder = folder.path();
    let spec = std::fs::read_to_string(folder.join("spec.toml")).unwrap();
    let often = spec.replacen("refresh = \"6h\"\ndelay = \"10m\"", "refresh = \"1s\"\ndelay = \"1s\"", 1);
    std::fs::write(folder.join("often.toml"), often).unwrap();
    let follow = ["tables", "--data", "data", "--log", "store", "--spec", "often.toml", "--follow", "--json"];
    let mut child = Command::new(binary::path("trainer"))
        .current_dir(folder)
        .args(follow)
        .args(world::TARGET)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let _following = Following(child);
    let said: Vec<Value> = output.lines().take(3).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let numbers = |key: &str| said.iter().map(|s| s[key].as_i64().unwrap()).collect::<Vec<_>>();
    let (times, sequences) = (numbers("as_of"), numbers("sequence"));
    assert!(times.iter().all(|t| t % 1000 == 0) && times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!(sequences, [2, 3, 4]);
}
