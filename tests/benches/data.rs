//! Data management: statistics and validation of rows, building a dataset, and replay; each beside reading Parquet.
//!
//! `HEARTH_BENCH_ROWS` says how many rows of 40 features statistics are made of (ten million where it is absent).
//! Beside it TensorFlow Data Validation makes them of `HEARTH_BENCH_TFDV_ROWS` rows (200,000), and Hearth of the same
//! file in the same run, where `HEARTH_TFDV` names a Python that has it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shared_features::random::Random;
use trainer::data::build::{self, Input};
use trainer::data::query::Resources;
use trainer::data::replay::{Subject, replay};
use trainer::data::schema::infer;
use trainer::data::simulate::{self, World};
use trainer::data::statistics::{self, Settings, Statistics};
use trainer::data::store::Data;
use trainer::data::validation::{Against, validate};
use trainer::spec::TrainerSpec;

const BATCH: usize = 65_536;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = number("HEARTH_BENCH_ROWS", 10_000_000);
    let file = folder.path().join("rows.parquet");
    write(&file, rows);
    println!("{rows} rows x 40 features, {} MB of Parquet", size(&file) / 1_000_000);
    let read = seconds(|| read(&file));
    let (statistics, stats) = timed(|| of(&file));
    let schema = infer(statistics.whole().expect("all rows are a slice"));
    let against = Against { previous: Some(&statistics), ..Against::default() };
    let validated = seconds(|| assert!(!validate(&schema, &statistics, &against).has_errors()));
    println!("  reading alone   {read:8.2} s");
    println!("  stats           {stats:8.2} s  {:.2} times reading", stats / read);
    println!("  validate        {validated:8.4} s");
    peer(folder.path());
    build_and_replay(folder.path());
}

/// TFDV beside Hearth, on one file that TFDV can do.
fn peer(folder: &Path) {
    let Some(python) = std::env::var_os("HEARTH_TFDV") else {
        return println!("skipped: TFDV; set HEARTH_TFDV to a Python with tensorflow-data-validation");
    };
    let rows = number("HEARTH_BENCH_TFDV_ROWS", 200_000);
    let file = folder.join("peer.parquet");
    write(&file, rows);
    let program = "import sys, time, pyarrow.parquet as pq, tensorflow_data_validation as tfdv\n\
        from tensorflow_data_validation.utils import stats_util\n\
        df = pq.read_table(sys.argv[1]).to_pandas()\n\
        t = time.time(); s = tfdv.generate_statistics_from_dataframe(df, n_jobs=1); g = time.time() - t\n\
        schema = tfdv.infer_schema(s)\n\
        t = time.time(); tfdv.validate_statistics(s, schema, previous_statistics=s); v = time.time() - t\n\
        print(g + v)";
    let output = Command::new(python).args(["-c", program]).arg(&file).output();
    let told = output.ok().filter(|o| o.status.success()).and_then(|o| String::from_utf8(o.stdout).ok());
    let Some(theirs) = told.and_then(|text| text.trim().lines().last()?.parse::<f64>().ok()) else {
        return println!("skipped: TFDV does not run with the Python that HEARTH_TFDV names");
    };
    let ours = seconds(|| {
        let statistics = of(&file);
        let schema = infer(statistics.whole().expect("all rows are a slice"));
        validate(&schema, &statistics, &Against { previous: Some(&statistics), ..Against::default() });
    });
    println!(
        "{rows} rows x 40 features: TFDV {theirs:.2} s, with the rows in memory; Hearth {ours:.3} s, from the file"
    );
    println!("  {:.0} times faster", theirs / ours);
}

fn build_and_replay(folder: &Path) {
    let spec = TrainerSpec::parse(include_str!("../../trainer/specs/podcasts.toml")).expect("it ships").features;
    let world = World { users: 1_000, items: 300, days: 28, seed: 1, null: false };
    simulate::write(&world, &folder.join("data"), &|_, _| {}).expect("the folder is ours");
    let data = Data::open(&folder.join("data")).expect("it was just written");
    let log = folder.join("log");
    let (summary, took) =
        timed(|| replay(&data, &spec, &Subject::of_spec(&spec), &log, &|_, _| {}).expect("the world fits the spec"));
    let features = spec.unfitted.features.len();
    println!(
        "replay: {} rows x {features} features and {} interactions in {took:.2} s, {:.0} rows a second",
        summary.rows,
        summary.interactions,
        summary.rows as f64 / took
    );
    let rows = log.join("rows.parquet");
    let read = seconds(|| read(&rows));
    let input = Input::folders(&[log], spec.surface()).expect("it was just written");
    let built = seconds(|| {
        build::build(&input, &spec, &Resources::default(), &folder.join("dataset")).expect("the log is whole");
    });
    println!(
        "data build: {built:.2} s for {} MB of Parquet, {:.1} times reading them ({read:.2} s)",
        size(&rows) / 1_000_000,
        built / read
    );
}

fn of(file: &Path) -> Statistics {
    statistics::of(&[file.to_owned()], &Settings::default(), &|_, _| {}).expect("it was just written")
}

/// 30 numbers, 6 strings of few values and 4 of many; one cell in twenty is missing.
fn write(path: &PathBuf, rows: u64) {
    let mut random = Random::keyed("data bench", "rows");
    let mut writer: Option<ArrowWriter<File>> = None;
    let mut left = rows as usize;
    while left > 0 {
        let n = left.min(BATCH);
        left -= n;
        let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
        for k in 0..40 {
            let cells = 0..n;
            let mut below = |most: u64| (random.below(20) > 0).then(|| random.below(most));
            let column: ArrayRef = match k {
                0..20 => Arc::new(cells.map(|_| below(1 << 24).map(|x| x as f32 / 977.0)).collect::<Float32Array>()),
                20..30 => Arc::new(cells.map(|_| below(1_000).map(|x| x as i64)).collect::<Int64Array>()),
                30..36 => Arc::new(cells.map(|_| below(12).map(|x| format!("value {x}"))).collect::<StringArray>()),
                _ => Arc::new(cells.map(|_| below(100_000).map(|x| format!("item {x}"))).collect::<StringArray>()),
            };
            columns.push((format!("f{k}"), column, true));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
        let writer = writer.get_or_insert_with(|| {
            let file = File::create(path).expect("the folder is ours");
            ArrowWriter::try_new(file, batch.schema(), None).expect("plain columns")
        });
        writer.write(&batch).expect("there is room");
    }
    writer.expect("at least one row").close().expect("there is room");
}

fn read(path: &Path) {
    let file = File::open(path).expect("it was just written");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet").build().expect("plain columns");
    reader.for_each(|batch| drop(std::hint::black_box(batch.expect("it is whole"))));
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
