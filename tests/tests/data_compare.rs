//! `trainer data compare`: equal to the bit, or named by feature and by how much.

use hearth_tests::binary::{trainer, trainer_ok};
use hearth_tests::world;
use serde_json::Value;
use shared_features::column::Column;
use trainer::data::feature_log::{FeatureLog, Writer};

#[test]
fn two_replays_are_the_same_and_what_was_altered_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world::simulate(folder, 80, 60, 5, 1, "data");
    let spec = world::spec("podcasts");
    for out in ["left", "right"] {
        trainer_ok(folder, &["replay", "--data", "data", "--spec", &spec, "--out", out]);
    }
    let same: Value =
        serde_json::from_str(&trainer_ok(folder, &["data", "compare", "left", "right", "--json"])).unwrap();
    let mut log = FeatureLog::read(&folder.join("left")).unwrap();
    let rows: u64 = log.records.iter().map(|r| r.rows.items.len() as u64).sum();
    assert_eq!((&same["rows"], &same["left_only"], &same["right_only"]), (&rows.into(), &0.into(), &0.into()));
    for feature in same["features"].as_array().unwrap() {
        let counts = ["left_only", "right_only", "different"].map(|c| feature[c].as_u64().unwrap());
        assert_eq!(counts, [0, 0, 0], "{feature}");
        assert_eq!(feature["equal"].as_u64().unwrap() + feature["both_missing"].as_u64().unwrap(), rows);
    }

    // One number 2 larger, one missing, and a request that is gone.
    let is_number = |column: &Column| matches!(column, Column::Number(x) if !x[0].is_nan());
    let k = log.records[0].rows.values.columns.iter().position(is_number).unwrap();
    let name = log.encoder.features[k].name.clone();
    let both = log.records.iter().position(|r| is_number(&r.rows.values.columns[k]) && r.rows.items.len() > 1);
    let record = &mut log.records[both.unwrap()];
    let Column::Number(numbers) = &mut record.rows.values.columns[k] else { panic!("it was a number") };
    let was = numbers[0];
    numbers[0] = was + 2.0;
    let second = numbers.iter().skip(1).position(|x| !x.is_nan()).map(|at| at + 1);
    if let Some(at) = second {
        numbers[at] = f32::from_bits(0x7fc0_0000);
    }
    let gone = log.records.pop().unwrap();
    std::fs::remove_file(folder.join("right/rows.parquet")).unwrap();
    let mut writer = Writer::create(&folder.join("right"), &log.encoder).unwrap();
    log.records.into_iter().for_each(|r| writer.push(r).unwrap());
    writer.finish().unwrap();
    let output = trainer(folder, &["data", "compare", "left", "right", "--json"]);
    assert_eq!(output.status.code(), Some(1), "logs that differ are a failure");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["left_only"], gone.rows.items.len() as u64);
    let feature = found["features"].as_array().unwrap().iter().find(|f| f["name"] == *name).unwrap();
    assert_eq!(feature["different"], 1, "{feature}");
    assert_eq!(feature["left_only"], u64::from(second.is_some()), "{feature}");
    let largest = feature["difference"][2].as_f64().unwrap();
    assert_eq!(largest, f64::from(was + 2.0) - f64::from(was), "{feature}");
    assert!(feature["smape"].as_f64().unwrap() > 0.0);
}
