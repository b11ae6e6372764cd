//! Data management: statistics and validation of rows, building a dataset, and replay; each beside reading Parquet.
//!
//! `HEARTH_BENCH_ROWS` says how many rows of 40 features statistics are made of (ten million where it is absent).
//! Beside it TensorFlow Data Validation makes them of `HEARTH_BENCH_TFDV_ROWS` rows (200,000), and Hearth of the same
//! file in the same run, where `HEARTH_TFDV` names a Python that has it: of a CSV file, which it reads by itself, and of
//! rows that were put into memory for it, which is the fastest it can do.
//! Replay runs on all cores and, in a process of its own, on one.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use hearth_tests::load;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shared_features::event::Event;
use shared_features::spec::FeatureSpec;
use trainer::data::build::{self, Input};
use trainer::data::import::{self, Format};
use trainer::data::query::Resources;
use trainer::data::replay::{Subject, Summary, replay};
use trainer::data::schema::infer;
use trainer::data::shard::Shard;
use trainer::data::statistics::{self, Settings, Statistics};
use trainer::data::store::Data;
use trainer::data::validation::{Against, validate};
use trainer::spec::TrainerSpec;

/// Names the folder of events to a process that replays them on one core.
const ONE_CORE: &str = "HEARTH_BENCH_ONE_CORE";

fn main() {
    if let Some(folder) = std::env::var_os(ONE_CORE) {
        return println!("{}", replay_of(Path::new(&folder), &spec()).1);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = number("HEARTH_BENCH_ROWS", 10_000_000);
    let file = folder.path().join("rows.parquet");
    load::rows(&file, rows);
    println!("{rows} rows x 40 features, {} MB of Parquet", size(&file) / 1_000_000);
    let (read, read_peak) = peak(|| seconds(|| read(&file)));
    let ((statistics, stats), peak) = peak(|| timed(|| of(&file)));
    let schema = infer(statistics.whole().expect("all rows are a slice"));
    let against = Against { previous: Some(&statistics), ..Against::default() };
    let validated = seconds(|| assert!(!validate(&schema, &statistics, &against).has_errors()));
    println!("  reading alone   {read:8.2} s{read_peak}");
    println!("  stats           {stats:8.2} s{peak}  {:.2} times reading", stats / read);
    println!("  validate        {validated:8.4} s");
    peer(folder.path());
    replay_and_build(folder.path());
    checkins(folder.path());
}

/// TFDV beside Hearth, on one file that TFDV can do.
fn peer(folder: &Path) {
    let Some(python) = std::env::var_os("HEARTH_TFDV") else {
        return println!("skipped: TFDV; set HEARTH_TFDV to a Python with tensorflow-data-validation");
    };
    let rows = number("HEARTH_BENCH_TFDV_ROWS", 200_000);
    let (parquet, csv) = (folder.join("peer.parquet"), folder.join("peer.csv"));
    load::rows(&parquet, rows);
    let program =
        "import sys, pyarrow.parquet as pq; pq.read_table(sys.argv[1]).to_pandas().to_csv(sys.argv[2], index=False)";
    let written = Command::new(&python).args(["-c", program]).args([&parquet, &csv]).status();
    if !written.is_ok_and(|status| status.success()) {
        return println!("skipped: TFDV; the Python that HEARTH_TFDV names has no pandas and pyarrow");
    }
    println!("{rows} rows x 40 features, statistics and validation");
    for (what, file, of) in [
        ("of a CSV file", &csv, "tfdv.generate_statistics_from_csv(sys.argv[1])"),
        (
            "of rows in memory; Hearth of a Parquet file",
            &parquet,
            "tfdv.generate_statistics_from_dataframe(df, n_jobs=1)",
        ),
    ] {
        let program = format!(
            "import sys, time, pyarrow.parquet as pq, tensorflow_data_validation as tfdv\n\
            df = pq.read_table(sys.argv[1]).to_pandas() if sys.argv[1].endswith('.parquet') else None\n\
            t = time.time(); s = {of}\n\
            schema = tfdv.infer_schema(s)\n\
            tfdv.validate_statistics(s, schema, previous_statistics=s)\n\
            print(time.time() - t)"
        );
        let output = Command::new(&python).args(["-c", &program]).arg(file).output();
        let told = output.ok().filter(|o| o.status.success()).and_then(|o| String::from_utf8(o.stdout).ok());
        let Some(theirs) = told.and_then(|text| text.trim().lines().last()?.parse::<f64>().ok()) else {
            return println!("skipped: TFDV does not run with the Python that HEARTH_TFDV names");
        };
        let ours = seconds(|| {
            let statistics = self::of(file);
            let schema = infer(statistics.whole().expect("all rows are a slice"));
            validate(&schema, &statistics, &Against { previous: Some(&statistics), ..Against::default() });
        });
        println!("  {what}: TFDV {theirs:.2} s, Hearth {ours:.3} s, {:.0} times faster", theirs / ours);
    }
}

/// Replay with 200 candidates a request and histories of 200, on all cores and on one; then a dataset of its log.
fn replay_and_build(folder: &Path) {
    let data = folder.join("data");
    load::events(&data, &folder.join("world"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (summary, took) = replay_of(&data, &spec());
    print_replay("replay", &summary, took, &spec());
    let this = std::env::current_exe().expect("this process has a file");
    let alone = Command::new("taskset").args(["--cpu-list", "0"]).arg(this).env(ONE_CORE, &data).output();
    let alone = alone.ok().and_then(|o| String::from_utf8(o.stdout).ok()?.trim().parse::<f64>().ok());
    match alone {
        Some(alone) => println!(
            "replay, 1 core: {alone:.2} s, {:.0} rows a second; {cores} cores are {:.2} times as fast",
            summary.rows as f64 / alone,
            alone / took
        ),
        None => println!("skipped: replay on one core needs taskset (util-linux)"),
    }
    let log = data.join("log");
    let rows = log.join("rows.parquet");
    let read = seconds(|| read(&rows));
    let input = Input::folders(&[log], spec().surface(), None).expect("it was just written");
    let built = seconds(|| {
        build::build(&input, &spec(), &Resources::default(), &folder.join("dataset")).expect("the log is whole");
    });
    println!(
        "data build: {built:.2} s for {} MB of Parquet, {:.1} times reading them ({read:.2} s)",
        size(&rows) / 1_000_000,
        built / read
    );
}

/// Replay of real check-ins, where a folder has them.
fn checkins(folder: &Path) {
    let Some(data) = std::env::var_os("HEARTH_DATA").map(|data| Path::new(&data).join("foursquare-nyc")) else {
        return println!("skipped: check-ins; set HEARTH_DATA to a folder of data sets");
    };
    let spec = TrainerSpec::parse(include_str!("../../docs/examples/checkins.toml")).expect("it ships");
    let files = ["checkins_dev.csv", "poi.csv"].map(|file| data.join(file));
    let data = folder.join("checkins");
    import::run(Format::Csv, &files, &spec, &data, 0, &|_, _| {}).expect("HEARTH_DATA has foursquare-nyc");
    let (summary, took) = replay_of(&data, &spec.features);
    print_replay("replay of check-ins", &summary, took, &spec.features);
}

fn print_replay(what: &str, summary: &Summary, took: f64, spec: &FeatureSpec) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rate = summary.rows as f64 / took;
    println!(
        "{what}, {cores} cores: {} rows x {} features in {took:.2} s, {rate:.0} rows a second, {:.0} a core; \
        {:.0} interactions a second",
        summary.rows,
        spec.unfitted.features.len(),
        rate / cores as f64,
        summary.interactions as f64 / took
    );
}

fn spec() -> FeatureSpec {
    TrainerSpec::parse(include_str!("../../trainer/specs/podcasts.toml")).expect("it ships").features
}

/// A replay in a process that has compiled the engine, and how long it took.
fn replay_of(data: &Path, spec: &FeatureSpec) -> (Summary, f64) {
    let log = data.join("log");
    let data = Data::open(data).expect("it was just written");
    let replay = |data: &Data| {
        replay(data, spec, &Subject::of_spec(spec), Shard::WHOLE, &log, &|_, _| {}).expect("the world fits the spec")
    };
    let mut first = data.clone();
    let requests = |event: &Event| matches!(event, Event::Request(r) if r.surface == spec.surface());
    first.events.truncate(first.events.iter().position(requests).map_or(0, |at| at + 1));
    replay(&first);
    timed(|| replay(&data))
}

fn of(file: &Path) -> Statistics {
    statistics::of(&[file.to_owned()], &Settings::default(), &|_, _| {}).expect("it was just written")
}

fn read(path: &Path) {
    let file = File::open(path).expect("it was just written");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet").build().expect("plain columns");
    reader.for_each(|batch| drop(std::hint::black_box(batch.expect("it is whole"))));
}

/// What work gives, and the most memory that the process had meanwhile, where the system says so.
fn peak<T>(work: impl FnOnce() -> T) -> (T, String) {
    // Linux: 5 resets the peak.
    let reset = std::fs::write("/proc/self/clear_refs", "5");
    let done = work();
    let status = reset.and_then(|()| std::fs::read_to_string("/proc/self/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    (done, peak.map_or_else(String::new, |kb: u64| format!(", at most {} MB of memory", kb / 1_000)))
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn seconds(work: impl FnOnce()) -> f64 {
    timed(work).1
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed().as_secs_f64())
}
