//! The curve of docs/scale.md: `trainer data stats` and `trainer data build` on this machine alone and on a cluster of
//! its own processes, with one core and with two.
//!
//! Everything runs in the profile that this program was built in, the trainer's binary, too: build the workspace first.
//! A worker has one core; `taskset` (util-linux) holds the commands that run alone to as many.
//! `HEARTH_SCALE_ROWS` says how many rows of 40 features statistics are made of (four million where it is absent), and
//! `HEARTH_SCALE_RUNS` how often each is measured (3); medians are printed, with what the fastest and the slowest took.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use hearth_tests::binary;
use hearth_tests::cluster::Cluster;
use hearth_tests::load;
use trainer::data::replay::{Subject, replay};
use trainer::data::shard::Shard;
use trainer::data::store::Data;
use trainer::spec::TrainerSpec;

const SPEC: &str = include_str!("../../trainer/specs/podcasts.toml");

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let rows = number("HEARTH_SCALE_ROWS", 4_000_000);
    load::rows(&folder.join("rows.parquet"), rows);
    std::fs::write(folder.join("podcasts.toml"), SPEC).expect("the folder is ours");
    let (logged, events) = log(folder);
    let profile = if cfg!(debug_assertions) { "the dev profile" } else { "release" };
    println!("in {profile}, medians of {} runs, seconds (fastest to slowest)", runs());
    let stats: &[&str] = &["data", "stats", "rows.parquet", "--json"];
    measure(folder, &format!("stats of {rows} rows x 40 features"), stats);
    let build: &[&str] = &["data", "build", "--log", "log", "--spec", "podcasts.toml", "--out", "dataset", "--json"];
    let size = |file: &str| std::fs::metadata(folder.join("log").join(file)).map_or(0, |m| m.len());
    let (rows, events_bytes) = (size("rows.parquet"), size("events.parquet"));
    let what = format!("build of {logged} logged rows ({rows} bytes) and {events} events ({events_bytes} bytes)");
    measure(folder, &what, build);
}

/// Replays the bench's events into a LOG folder, and says how many rows it has and of how many events they are.
fn log(folder: &Path) -> (u64, usize) {
    let data = folder.join("data");
    load::events(&data, &folder.join("world"));
    let spec = TrainerSpec::parse(SPEC).expect("it ships").features;
    let data = Data::open(&data).expect("it was just written");
    let log = folder.join("log");
    let replayed = replay(&data, &spec, &Subject::of_spec(&spec), Shard::WHOLE, &log, &|_, _| {});
    (replayed.expect("the world fits the spec").rows, data.events.len())
}

fn measure(folder: &Path, what: &str, arguments: &[&str]) {
    println!("\n{what}");
    for cores in 1..=2usize {
        print(&format!("alone, {cores} core{}", plural(cores)), || {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &format!("0-{}", cores - 1)]).arg(binary::path("trainer"));
            run(command.args(arguments), folder);
        });
    }
    for workers in 1..=2usize {
        let cluster = Cluster::start(folder, workers);
        print(&format!("cluster, {workers} worker{} of 1 core", plural(workers)), || {
            let mut command = Command::new(binary::path("trainer"));
            run(command.args(arguments).args(["--engine", &cluster.engine()]), folder);
        });
    }
}

fn run(command: &mut Command, folder: &Path) {
    let output = command.current_dir(folder).output().expect("taskset (util-linux) and the trainer start");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn print(what: &str, work: impl Fn()) {
    let mut took: Vec<f64> = (0..runs())
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64()
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let (fastest, median, slowest) = (took[0], took[took.len() / 2], took[took.len() - 1]);
    println!("  {what:28} {median:8.2}  ({fastest:.2} to {slowest:.2})");
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn runs() -> u64 {
    number("HEARTH_SCALE_RUNS", 3).max(1)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
