//! Whole statistics: of TFDV's tutorial, equal to TFDV's, and of small files of our own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::data::schema::text_proto::{Message, Value};
use crate::data::taxi;

/// Of mean and standard deviation, whose sums are in another order than TFDV's.
const ROUNDING: f64 = 1e-12;

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs().max(1.0)
}

fn same_as_tfdv(file: &str, reference: &str, test: &str) {
    let Some(folder) = taxi::folder(test) else { return };
    let statistics = taxi::statistics(&folder, file);
    let whole = statistics.whole().unwrap();
    let reference = taxi::reference(&folder, reference);
    let dataset = reference.message("datasets").unwrap();
    let number = |message: &Message, name: &str| message.number(name).unwrap_or(0.0);
    assert_eq!(whole.rows as f64, number(dataset, "num_examples"));
    let mut compared = 0;
    for (theirs, ours) in dataset.all("features").zip(&whole.features) {
        let Value::Message(theirs) = theirs else { panic!("a feature is a message") };
        let name = theirs.message("path").unwrap().text("step").unwrap();
        assert_eq!(ours.name, name);
        let of = match theirs.text("type") {
            None => Type::Int,
            Some("FLOAT") => Type::Float,
            Some(_) => Type::Bytes,
        };
        assert_eq!(ours.of, of, "{name}");
        let stats = theirs.message("num_stats").or(theirs.message("string_stats")).unwrap();
        let common = stats.message("common_stats").unwrap();
        let counts = [ours.present, ours.missing, ours.valency.min, ours.valency.max, ours.valency.total];
        let names = ["num_non_missing", "num_missing", "min_num_values", "max_num_values", "tot_num_values"];
        for (count, field) in counts.into_iter().zip(names) {
            assert_eq!(count as f64, number(common, field), "{name} {field}");
        }
        let average = ours.valency.total as f64 / ours.present.max(1) as f64;
        assert_eq!(average, number(common, "avg_num_values"), "{name}");
        match &ours.content {
            Content::Numbers(ours) => {
                assert_eq!(ours.zeros as f64, number(stats, "num_zeros"), "{name}");
                assert_eq!(ours.min.to_bits(), number(stats, "min").to_bits(), "{name}");
                assert_eq!(ours.max.to_bits(), number(stats, "max").to_bits(), "{name}");
                assert!(close(ours.mean, number(stats, "mean"), ROUNDING), "{name} {}", ours.mean);
                assert!(close(ours.std_dev, number(stats, "std_dev"), 1e-9), "{name} {}", ours.std_dev);
                // TFDV's sketch is wrong by up to a hundredth, so its median is between our quantiles around a half.
                let median = number(stats, "median");
                let around = [0.49, 0.51].map(|q| ours.ranks.quantile(q).unwrap());
                assert!((around[0]..=around[1]).contains(&median), "{name} {median} {around:?}");
            }
            Content::Strings(strings) => {
                assert_eq!(ours.distinct as f64, number(stats, "unique"), "{name}");
                assert!(close(strings.mean_length, number(stats, "avg_length"), 1e-6), "{name}");
                let top = |field, value, count| -> Vec<(String, u64)> {
                    let field: Vec<&Value> = match field {
                        "top_values" => stats.all(field).collect(),
                        _ => stats.message(field).map(|m| m.all("buckets").collect()).unwrap_or_default(),
                    };
                    let pair = |v: &Value| match v {
                        Value::Message(m) => (m.text(value).unwrap().to_owned(), number(m, count) as u64),
                        _ => panic!("a value is a message"),
                    };
                    field.into_iter().map(pair).collect()
                };
                let first = top("top_values", "value", "frequency");
                assert_eq!(strings.values[..first.len()], first, "{name}");
                assert_eq!(strings.values, top("rank_histogram", "label", "sample_count"), "{name}");
            }
        }
        compared += 1;
    }
    assert_eq!(compared, whole.features.len());
}

#[test]
fn taxi_train_is_as_tfdv_counts_it() {
    same_as_tfdv("taxi_train.csv", "stats_train.pbtxt", "taxi_train_is_as_tfdv_counts_it");
}

#[test]
fn taxi_eval_is_as_tfdv_counts_it() {
    same_as_tfdv("taxi_eval.csv", "stats_eval.pbtxt", "taxi_eval_is_as_tfdv_counts_it");
}

#[test]
fn taxi_serving_is_as_tfdv_counts_it() {
    let test = "taxi_serving_is_as_tfdv_counts_it";
    same_as_tfdv("serving_eval_without_tips.csv", "stats_serving.pbtxt", test);
}

fn written(folder: &tempfile::TempDir, name: &str, text: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn whole(paths: &[PathBuf]) -> SliceStatistics {
    of(paths, &Settings::default(), &|_, _| {}).unwrap().slices.remove(0)
}

#[test]
fn csv_files_of_a_folder_are_one_data_set_of_the_wider_types() {
    let folder = tempfile::tempdir().unwrap();
    written(&folder, "a.csv", b"id,x,y,only_a,none\n1,1,a,7,\n2,,a,8,\n");
    written(&folder, "b.csv", "\u{feff}id,x,y,none\n3,0.5,b,\n4,0,\"b, \"\"c\"\"\",\n".as_bytes());
    written(&folder, "c.txt", b"not data");
    let s = whole(&[folder.path().into()]);
    let summary: Vec<_> =
        s.features.iter().map(|f| (f.name.as_str(), f.of, f.present, f.missing, f.distinct)).collect();
    assert_eq!(
        summary,
        [
            ("id", Type::Int, 4, 0, 4),
            ("x", Type::Float, 3, 1, 3),
            ("y", Type::Bytes, 4, 0, 3),
            ("only_a", Type::Int, 2, 2, 2),
            ("none", Type::Bytes, 0, 4, 0),
        ]
    );
    let x = s.feature("x").unwrap().numbers().unwrap();
    assert_eq!((x.mean, x.min, x.median, x.max, x.zeros), (0.5, 0.0, 0.5, 1.0, 1));
    let y = s.feature("y").unwrap().strings().unwrap();
    assert_eq!(y.values, [("a".into(), 2), ("b, \"c\"".into(), 1), ("b".into(), 1)]);
    assert_eq!((y.min_length, y.max_length, y.mean_length), (1, 6, 9.0 / 4.0));
}

#[test]
fn bytes_that_are_no_text_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let s = whole(&[written(&folder, "a.csv", b"x\n\xff\nok\n\xff\n")]);
    let x = s.features[0].strings().unwrap();
    assert_eq!((x.invalid_utf8, s.features[0].distinct, x.values[0].1), (2, 2, 2));
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = |paths: &[PathBuf], slices: &[&str]| {
        let slices = slices.iter().map(|s| s.to_string()).collect();
        of(paths, &Settings { slices, ..Settings::default() }, &|_, _| {}).unwrap_err().to_string()
    };
    assert!(error(&[folder.path().into()], &[]).contains("has no .csv or .parquet files"));
    let ragged = written(&folder, "ragged.csv", b"a,b\n1,2\n3\n");
    assert!(error(&[ragged], &[]).contains("line: 3"));
    let twice = written(&folder, "twice.csv", b"a,a\n1,2\n");
    assert!(error(&[twice], &[]).contains("has two columns `a`"));
    let good = written(&folder, "good.csv", b"a\n1\n");
    assert!(error(std::slice::from_ref(&good), &["b"]).contains("has no column `b` to slice by"));
    let many: String = (0..300).map(|i| format!("{i}\n")).collect();
    let many = written(&folder, "many.csv", format!("a\n{many}").as_bytes());
    assert!(error(&[many], &["a"]).contains("more than 256 values"));
    let parquet = written(&folder, "x.parquet", b"PAR1");
    assert!(error(&[good, parquet.clone()], &[]).contains("is CSV and"));
    assert!(error(&[parquet], &[]).contains("x.parquet: "));
}

/// Rows with numbers, strings, tags and vectors, in row groups of 1,000.
fn parquet(folder: &tempfile::TempDir, name: &str, rows: std::ops::Range<i64>, feature_log: bool) -> PathBuf {
    let path = folder.path().join(name);
    let (mut tags, mut vectors) = (ListBuilder::new(StringBuilder::new()), ListBuilder::new(Float32Array::builder(0)));
    for i in rows.clone() {
        (0..i % 3).for_each(|tag| tags.values().append_value(format!("tag {tag}")));
        tags.append(true);
        (0..2).for_each(|_| vectors.values().append_value(if i % 10 == 0 { f32::NAN } else { i as f32 }));
        vectors.append(i % 7 > 0);
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("surface", Arc::new(StringArray::from_iter_values(rows.clone().map(|i| ["home", "search"][i as usize % 2])))),
        ("ts", Arc::new(Int64Array::from_iter_values(rows.clone().map(|i| i * 1_000)))),
        (
            "value.x",
            Arc::new(Float32Array::from_iter(
                rows.clone().map(|i| if i % 4 == 0 { f32::NAN } else { (i * 7_919 % 100_003) as f32 }),
            )),
        ),
        (
            "value.kind",
            Arc::new(StringArray::from_iter(rows.clone().map(|i| (i % 5 > 0).then(|| format!("k{}", i % 5))))),
        ),
        ("value.tags", Arc::new(tags.finish())),
        ("value.vector", Arc::new(vectors.finish())),
        ("flag", Arc::new(BooleanArray::from_iter(rows.clone().map(|i| Some(i % 2 == 0))))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let key = feature_log.then(|| vec![KeyValue::new(crate::data::feature_log::ENCODER_KEY.into(), "00".to_owned())]);
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(1_000)).set_key_value_metadata(key).build();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

#[test]
fn parquet_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let s = whole(&[parquet(&folder, "a.parquet", 0..2_100, false)]);
    assert_eq!((s.rows, s.features.len()), (2_100, 7));
    let x = s.feature("value.x").unwrap();
    assert_eq!((x.of, x.present, x.missing, x.numbers().unwrap().nan), (Type::Float, 2_100, 0, 525));
    let tags = s.feature("value.tags").unwrap();
    let lists = (tags.present, tags.valency.list, tags.valency.min, tags.valency.max, tags.valency.total);
    assert_eq!(lists, (2_100, true, 0, 2, 2_100));
    assert_eq!(tags.strings().unwrap().values, [("tag 0".into(), 1_400), ("tag 1".into(), 700)]);
    assert_eq!(tags.valency.deciles.len(), 10);
    let vector = s.feature("value.vector").unwrap();
    assert_eq!((vector.present, vector.missing, vector.valency.total), (1_800, 300, 3_600));
    assert_eq!(vector.numbers().unwrap().nan, 2 * 180);
    let flag = s.feature("flag").unwrap();
    assert_eq!((flag.of, flag.numbers().unwrap().zeros, flag.numbers().unwrap().max), (Type::Int, 1_050, 1.0));
}

#[test]
fn a_feature_log_has_features_whose_missing_values_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    parquet(&folder, crate::data::feature_log::ROWS, 0..2_100, true);
    parquet(&folder, "events.parquet", 0..10, false);
    let settings = Settings { slices: vec!["surface".into()], ..Settings::default() };
    let statistics = of(&[folder.path().into()], &settings, &|_, _| {}).unwrap();
    let s = statistics.whole().unwrap();
    assert_eq!(s.features.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["x", "kind", "tags", "vector"]);
    let counts: Vec<_> = s.features.iter().map(|f| (f.present, f.missing)).collect();
    assert_eq!(counts, [(1_575, 525), (1_680, 420), (1_400, 700), (1_620, 480)]);
    assert_eq!(s.feature("x").unwrap().numbers().unwrap().nan, 0);
    assert_eq!(s.feature("vector").unwrap().numbers().unwrap().nan, 0);
    let slices: Vec<_> =
        statistics.slices[1..].iter().map(|s| (s.slice.as_ref().unwrap().to_string(), s.rows)).collect();
    assert_eq!(slices, [("surface=home".into(), 1_050), ("surface=search".into(), 1_050)]);
    let home = statistics.slices[1].feature("x").unwrap();
    assert_eq!((home.present, home.missing), (525, 525));
}

#[test]
fn the_number_of_threads_shows_in_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    parquet(&folder, "a.parquet", 0..9_000, false);
    parquet(&folder, "b.parquet", 9_000..31_000, false);
    let settings = Settings { slices: vec!["surface".into(), "flag".into()], ..Settings::default() };
    let made: Vec<String> = [1, 3]
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let statistics = pool.install(|| of(&[folder.path().into()], &settings, &|_, _| {}).unwrap());
            let path = folder.path().join("statistics.json");
            statistics.write(&path).unwrap();
            assert_eq!(Statistics::read(&path).unwrap(), statistics);
            fs::read_to_string(path).unwrap()
        })
        .into();
    assert_eq!(made[0], made[1]);
    let x = Statistics::read(&folder.path().join("statistics.json")).unwrap();
    let x = x.whole().unwrap().feature("value.x").unwrap();
    assert!(!x.distinct_is_exact && (22_700..23_800).contains(&x.distinct), "{}", x.distinct);
}

#[test]
fn a_file_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "s.json", br#"{"hearth_statistics":2,"slices":[],"unread":[]}"#);
    assert!(Statistics::read(&path).unwrap_err().to_string().contains("is of version 2 and this reads version 1"));
    let path = written(&folder, "s.json", b"{}");
    assert!(Statistics::read(&path).unwrap_err().to_string().contains("holds no statistics"));
    let path = written(&folder, "s.json", br#"{"hearth_statistics":1,"slices":[],"unread":[],"more":1}"#);
    assert!(Statistics::read(&path).unwrap_err().to_string().contains("unknown field `more`"));
}
