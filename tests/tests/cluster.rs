//! Data commands on a cluster of real processes: the results of one machine, with a worker killed in the middle, too.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use hearth_tests::binary::{self, trainer_fails, trainer_ok};
use hearth_tests::cluster::Cluster;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use shared_features::random::Random;
use trainer::data::build::Dataset;
use trainer::data::replay::{Subject, replay};
use trainer::data::shard::Shard;
use trainer::data::simulate::{self, World};
use trainer::data::store::Data;
use trainer::spec::TrainerSpec;

const SPEC: &str = include_str!("../../trainer/specs/podcasts.toml");
/// Rows of a row group, which is what a worker reads at a time.
const GROUP: usize = 20_000;

/// Numbers beyond what is counted exactly, strings beyond it, lists and gaps; in row groups that workers share.
fn write_rows(path: &Path, groups: usize) {
    let mut random = Random::keyed("cluster", "rows");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP)).build();
    let mut writer: Option<ArrowWriter<std::fs::File>> = None;
    for _ in 0..groups {
        let batch = batch(&mut random);
        let writer = writer.get_or_insert_with(|| {
            let file = std::fs::File::create(path).unwrap();
            ArrowWriter::try_new(file, batch.schema(), Some(properties.clone())).unwrap()
        });
        writer.write(&batch).unwrap();
    }
    writer.unwrap().close().unwrap();
}

fn batch(random: &mut Random) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for i in 0..12 {
        let numbers = (0..GROUP).map(|_| (random.below(10) > 0).then(|| random.below(1 << 40) as f64 / 7.0));
        columns.push((format!("number_{i}"), Arc::new(numbers.collect::<Float64Array>())));
    }
    let few = (0..GROUP).map(|_| Some(random.below(100) as i64)).collect::<Int64Array>();
    columns.push(("few".into(), Arc::new(few)));
    let texts = (0..GROUP).map(|_| Some(format!("text {}", random.below(1 << 20)))).collect::<StringArray>();
    columns.push(("text".into(), Arc::new(texts)));
    let places = ["home", "search", "profile"];
    let places = (0..GROUP).map(|_| places.get(random.below(4) as usize)).collect::<StringArray>();
    columns.push(("place".into(), Arc::new(places)));
    let mut lists = ListBuilder::new(Int64Builder::new());
    for _ in 0..GROUP {
        (0..random.below(5)).for_each(|_| lists.values().append_value(random.below(1 << 30) as i64));
        lists.append(random.below(20) > 0);
    }
    columns.push(("list".into(), Arc::new(lists.finish())));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A LOG folder of a simulated Home.
fn write_log(folder: &Path, users: u32) {
    let world = World { users, items: 100, days: 6, seed: 9, null: false };
    let data = folder.join("data");
    simulate::write(&world, &data, &|_, _| {}).unwrap();
    let spec = TrainerSpec::parse(SPEC).unwrap().features;
    let data = Data::open(&data).unwrap();
    replay(&data, &spec, &Subject::of_spec(&spec), Shard::WHOLE, &folder.join("log"), &|_, _| {}).unwrap();
    std::fs::write(folder.join("podcasts.toml"), SPEC).unwrap();
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Records, grades and the report.
type Contents = (Vec<Vec<u8>>, Vec<Vec<Option<u32>>>, Value);

/// What a dataset holds, by bits, and its report without what says how the files were written.
fn dataset(folder: &Path, mut report: Value) -> Contents {
    let built = Dataset::read(folder).unwrap();
    for day in report["days"].as_array_mut().unwrap() {
        day.as_object_mut().unwrap().remove("digest");
    }
    let records = built.log.records.iter().map(shared_features::codec::encode).collect();
    (records, built.grades, report)
}

#[test]
fn statistics_are_those_of_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(&folder.join("rows.parquet"), 6);
    std::fs::write(folder.join("rows.csv"), "a,b,c\n1,x,0.5\n,y,nan\n3,,2e300\n").unwrap();
    write_log(folder, 60);
    let cluster = Cluster::start(folder, 2);
    for data in [&["rows.parquet", "--slice", "place"][..], &["rows.csv"], &["log", "--slice", "surface"]] {
        let arguments = [&["data", "stats", "--json"], data].concat();
        let here = trainer_ok(folder, &arguments);
        let there = trainer_ok(folder, &[&arguments[..], &["--engine", cluster.engine().as_str()]].concat());
        assert!(here == there, "{data:?}:\n{here}\n{there}");
        assert!(json(&here)["slices"][0]["rows"].as_u64() > Some(2), "{here}");
    }
    // The sketches did forget, so that equal ones were merged in the same order.
    let here = json(&trainer_ok(folder, &["data", "stats", "rows.parquet", "--json"]));
    let ranks = &here["slices"][0]["features"][0]["content"]["numbers"]["ranks"];
    assert!(ranks["worst_error"].as_f64() > Some(0.001) && ranks["count"].as_u64() > Some(100_000), "{ranks}");
}

#[test]
fn datasets_are_those_of_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder, 120);
    let cluster = Cluster::start(folder, 2);
    let build = ["data", "build", "--log", "log", "--spec", "podcasts.toml", "--json", "--out"];
    let here = trainer_ok(folder, &[&build[..], &["here"]].concat());
    let there = trainer_ok(folder, &[&build[..], &["there", "--engine", cluster.engine().as_str()]].concat());
    let (here, there) = (dataset(&folder.join("here"), json(&here)), dataset(&folder.join("there"), json(&there)));
    assert_eq!(here.2, there.2);
    assert!(here.0 == there.0 && here.1 == there.1, "rows differ");
    let positive = here.2["rows"]["positive"].as_u64();
    assert!(positive > Some(30) && here.2["events"]["late"].as_u64().is_some(), "{}", here.2);
}

#[test]
fn a_dataset_is_built_without_a_worker_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_log(folder, 120);
    let build: &[&str] = &["data", "build", "--log", "log", "--spec", "podcasts.toml", "--json", "--out"];
    let here = trainer_ok(folder, &[build, &["here"]].concat());
    let there = with_a_worker_killed(folder, &[build, &["there"]].concat());
    let (here, there) = (dataset(&folder.join("here"), json(&here)), dataset(&folder.join("there"), json(&there)));
    assert_eq!(here.2, there.2);
    assert!(here.0 == there.0 && here.1 == there.1, "rows differ");
}

#[test]
fn statistics_are_gathered_without_a_worker_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(&folder.join("rows.parquet"), 20);
    let stats: &[&str] = &["data", "stats", "rows.parquet", "--json"];
    let here = trainer_ok(folder, stats);
    assert!(here == with_a_worker_killed(folder, stats), "statistics differ");
}

/// What a command prints that runs on two workers, one of which dies with a piece of work done and another begun.
fn with_a_worker_killed(folder: &Path, arguments: &[&str]) -> String {
    let mut cluster = Cluster::start(folder, 2);
    let mut command = Command::new(binary::path("trainer"));
    command.current_dir(folder).args(arguments).args(["--engine", cluster.engine().as_str()]);
    let mut command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    cluster.workers[0].wait_for_work(2);
    cluster.workers[0].sigkill();
    assert!(command.try_wait().unwrap().is_none(), "the command was done before the worker was killed");
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_wrong_with_a_cluster_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("rows.csv"), "a\n1\n").unwrap();
    write_rows(&folder.join("rows.parquet"), 1);
    let nobody = hearth_tests::collector::free_address();
    let stats = |data: &str, engine: &str| trainer_fails(folder, &["data", "stats", data, "--engine", engine]);
    let error = stats("rows.csv", &format!("ballista://{nobody}"));
    assert!(error.contains(&format!("no scheduler answers at {nobody}: Connection refused")), "{error}");
    assert!(error.contains(&format!("trainer scheduler --listen {nobody}")), "{error}");

    let alone = Cluster::start(folder, 0);
    let error = stats("rows.csv", &alone.engine());
    assert!(error.contains("has no workers") && error.contains("trainer worker --scheduler"), "{error}");

    // A worker that is elsewhere: this path is another folder for each process.
    let elsewhere = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(elsewhere.path(), 1);
    for data in ["rows.csv", "rows.parquet"] {
        let error = stats(&format!("/proc/self/cwd/{data}"), &cluster.engine());
        assert!(error.contains(data) && error.contains("every worker reads the data at the path"), "{error}");
    }
    let error = trainer_fails(folder, &["worker", "--scheduler", "192.0.2.1:50050"]);
    assert!(error.contains("cannot reach 127.0.0.1,") && error.contains("pass --listen ADDRESS:PORT"), "{error}");
    let output = binary::trainer(folder, &["data", "stats", "rows.csv", "--engine", "ballista://127.0.0.1"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("no address") && error.contains("write HOST:PORT"), "{error}");
}
