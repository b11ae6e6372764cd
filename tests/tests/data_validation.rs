//! `trainer data` as an operator runs it: statistics, a schema, and validation that would have caught four silent months.
//!
//! The tutorial of TensorFlow Data Validation is walked through where `HEARTH_DATA` names a folder with `chicago-taxi`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use hearth_tests::binary::{trainer, trainer_fails, trainer_ok};
use hearth_tests::world::{simulate, spec};
use serde_json::Value;

/// What the process exits with where an anomaly is an error.
const ANOMALIES: i32 = 3;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not one JSON value ({e}): {text}"))
}

/// Validates, and gives `feature kind` of each anomaly, with the exit code that belongs to them.
#[track_caller]
fn validated(folder: &Path, arguments: &[&str], code: i32) -> Vec<String> {
    let Output { status, stdout, stderr } = trainer(folder, &[&["data", "validate", "--json"], arguments].concat());
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "{}: {}{stderr}", arguments.join(" "), String::from_utf8_lossy(&stdout));
    let report = json(&String::from_utf8(stdout).unwrap());
    let text = |anomaly: &Value, field: &str| anomaly[field].as_str().unwrap_or_default().to_owned();
    let anomalies = report["anomalies"].as_array().unwrap().iter();
    anomalies.map(|a| format!("{} {}", text(a, "feature"), text(a, "kind"))).collect()
}

/// A day of trips, every one of whose columns is spread over its values the same way whatever the seed.
fn day(path: &Path, rows: u64, seed: u64, change: &dyn Fn(u64, &mut [String; 4])) {
    let mut csv = "hour,fare,payment,surface\n".to_owned();
    for row in 0..rows {
        let dice = |salt: u64| (row * 7_919 + seed * 104_729 + salt * 15_485_863) % 10_007;
        let hour = if dice(1) < 7_000 { 9 + dice(2) % 9 } else { dice(3) % 24 };
        let payment = ["Cash", "Cash", "Cash", "Credit Card", "Unknown"][dice(4) as usize % 5];
        let surface = ["home", "home", "search"][dice(5) as usize % 3];
        let fare = 3.0 + (dice(6) * dice(6)) as f64 / 1e6;
        let mut cells = [hour.to_string(), format!("{fare:.2}"), payment.to_owned(), surface.to_owned()];
        change(row, &mut cells);
        csv.push_str(&cells.join(","));
        csv.push('\n');
    }
    fs::write(path, csv).unwrap();
}

#[test]
fn day_to_day() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    day(&folder.join("monday.csv"), 9_000, 1, &|_, _| {});
    day(&folder.join("tuesday.csv"), 8_000, 2, &|_, _| {});
    for name in ["monday", "tuesday"] {
        let (data, out) = (format!("{name}.csv"), format!("{name}.json"));
        let table = trainer_ok(folder, &["data", "stats", &data, "--slice", "surface", "--out", &out]);
        assert!(table.contains("surface=home: ") && table.contains("Cash 60%"), "{table}");
    }
    trainer_ok(folder, &["data", "schema", "infer", "monday.json", "--out", "schema.toml"]);
    let refused = trainer_fails(folder, &["data", "schema", "infer", "monday.json", "--out", "schema.toml"]);
    assert!(refused.contains("is there already"), "{refused}");

    let today = ["tuesday.json", "--schema", "schema.toml", "--previous", "monday.json", "--slice", "surface"];
    assert_eq!(validated(folder, &today, 0), Vec::<String>::new());
    assert!(trainer_ok(folder, &[&["data", "validate"], &today[..]].concat()).contains("no anomalies"));
    // Files that are read anew give what their statistics give.
    let read = ["tuesday.csv", "--schema", "schema.toml", "--previous", "monday.csv", "--slice", "surface"];
    assert_eq!(validated(folder, &read, 0), Vec::<String>::new());

    let wrong = |change: &dyn Fn(u64, &mut [String; 4])| {
        day(&folder.join("wrong.csv"), 8_000, 2, change);
        let rest = ["--schema", "schema.toml", "--previous", "monday.json", "--slice", "surface"];
        validated(folder, &[&["wrong.csv"], &rest[..]].concat(), ANOMALIES)
    };
    let cents = |_: u64, cells: &mut [String; 4]| cells[1] = format!("{:.0}", cells[1].parse::<f64>().unwrap() * 100.0);
    let found = wrong(&cents);
    assert!(found.contains(&"fare UNEXPECTED_DATA_TYPE".to_owned()), "{found:?}");
    let hundred =
        |_: u64, cells: &mut [String; 4]| cells[1] = format!("{:.1}", cells[1].parse::<f64>().unwrap() * 100.0);
    assert_eq!(wrong(&hundred), ["fare UNIT_CHANGED"]);
    let later = |_: u64, cells: &mut [String; 4]| cells[0] = ((cells[0].parse::<u32>().unwrap() + 6) % 24).to_string();
    assert_eq!(wrong(&later), ["hour TIME_ZONE_SHIFTED"]);
    let upper = |_: u64, cells: &mut [String; 4]| cells[2] = cells[2].to_uppercase();
    assert_eq!(wrong(&upper), ["payment ENUM_TYPE_UNEXPECTED_STRING_VALUES", "payment CASING_CHANGED"]);
    let holes = |row: u64, cells: &mut [String; 4]| {
        if row % 10 < 3 {
            cells[1].clear();
        }
    };
    let found = wrong(&holes);
    assert!(found.contains(&"fare MISSING_SHARE_ROSE".to_owned()), "{found:?}");
    assert!(found.iter().all(|anomaly| anomaly.starts_with("fare ")), "{found:?}");

    // In words, for people.
    day(&folder.join("wrong.csv"), 8_000, 2, &hundred);
    let output =
        trainer(folder, &["data", "validate", "wrong.csv", "--schema", "schema.toml", "--previous", "monday.json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("error: fare: Numbers in another unit (UNIT_CHANGED)"), "{text}");
    assert!(text.contains("are 100 times those of previous") && text.contains("1 errors, 0 warnings"), "{text}");
}

#[test]
fn a_schema_is_changed_in_place_and_speaks_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    day(&folder.join("monday.csv"), 500, 1, &|_, _| {});
    trainer_ok(folder, &["data", "schema", "infer", "monday.csv", "--out", "schema.toml"]);
    let text = fs::read_to_string(folder.join("schema.toml")).unwrap();
    fs::write(folder.join("schema.toml"), format!("# Of the trips.\n\n# When.\n{text}")).unwrap();
    let set = ["data", "schema", "set", "schema.toml"];
    let changes = [
        "default_environment=[\"TRAINING\", \"SERVING\"]",
        "feature.fare.not_in_environment+=SERVING",
        "domain.payment.values+=Prcard",
        "feature.payment.distribution.min_domain_mass=0.9",
        "feature.payment.drift.infinity_norm=0.01",
    ];
    trainer_ok(folder, &[&set[..], &changes].concat());
    let text = fs::read_to_string(folder.join("schema.toml")).unwrap();
    let top = "# Of the trips.\n\ndefault_environment = [\"TRAINING\", \"SERVING\"]\n\n# When.\n[feature.hour]\n";
    assert!(text.starts_with(top), "{text}");
    let shown = trainer_ok(folder, &["data", "schema", "show", "schema.toml"]);
    assert!(
        shown.contains("min_domain_mass 0.9, drift.infinity_norm 0.01") && shown.contains("not in SERVING"),
        "{shown}"
    );
    let refused = trainer_fails(folder, &[&set[..], &["feature.fare.color=red"]].concat());
    assert!(refused.contains("unknown field `color`"), "{refused}");

    trainer_ok(folder, &["data", "schema", "show", "schema.toml", "--out", "schema.pbtxt"]);
    let as_json = |name| json(&trainer_ok(folder, &["data", "schema", "show", name, "--json"]));
    assert_eq!(as_json("schema.pbtxt"), as_json("schema.toml"));
    let refused = trainer_fails(folder, &["data", "schema", "set", "schema.pbtxt", "feature.fare="]);
    assert!(refused.contains("make it TOML first"), "{refused}");
    fs::write(folder.join("schema.pbtxt"), "feature {\n  name: \"x\"\n  color: 1\n}\n").unwrap();
    let refused = trainer_fails(folder, &["data", "schema", "show", "schema.pbtxt"]);
    assert!(refused.contains("line 3: there is no place for `color`") || refused.contains("has no type"), "{refused}");
    let validate = ["data", "validate", "monday.csv", "--schema", "schema.toml", "--environment", "NIGHT"];
    assert!(trainer_fails(folder, &validate).contains("knows no environment NIGHT"));
}

#[test]
fn a_feature_log_has_its_features_statistics_and_slices() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    simulate(folder, 200, 60, 14, 1, "data");
    let replayed =
        trainer_ok(folder, &["replay", "--data", "data", "--spec", &spec("podcasts"), "--out", "log", "--json"]);
    let rows = json(&replayed)["rows"].clone();
    let statistics =
        json(&trainer_ok(folder, &["data", "stats", "log", "--slice", "device", "--out", "log.json", "--json"]));
    let slices = statistics["slices"].as_array().unwrap();
    assert_eq!(slices[0]["rows"], rows);
    let in_slices: u64 = slices[1..].iter().map(|slice| slice["rows"].as_u64().unwrap()).sum();
    assert!(slices.len() > 2 && in_slices <= rows.as_u64().unwrap(), "{} slices of {in_slices}", slices.len());
    let features = slices[0]["features"].as_array().unwrap();
    let named = |name: &str| features.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(named("hour")["type"], "float");
    assert_eq!(named("device")["type"], "bytes");
    let hours = &named("hour")["content"]["numbers"];
    assert!(hours["min"].as_f64().unwrap() >= 0.0 && hours["max"].as_f64().unwrap() < 24.0, "{hours}");
    for feature in features {
        let filled = feature["present"].as_u64().unwrap() + feature["missing"].as_u64().unwrap();
        assert_eq!(filled, rows.as_u64().unwrap(), "{feature}");
        let nan = &feature["content"]["numbers"]["nan"];
        assert!(nan.is_null() || *nan == 0, "NaN is missing in a feature log: {feature}");
    }
    trainer_ok(folder, &["data", "schema", "infer", "log.json", "--out", "schema.toml"]);
    let against = ["log", "--schema", "schema.toml", "--previous", "log.json"];
    assert_eq!(validated(folder, &against, 0), Vec::<String>::new());
    let unsliced = ["data", "validate", "log.json", "--schema", "schema.toml", "--slice", "country"];
    assert!(trainer_fails(folder, &unsliced).contains("has no slices by country"));
}

/// The tutorial: infer from train, look at eval and serving, fix the schema, look again, compare.
#[test]
fn the_tutorial() {
    let Some(data) = std::env::var_os("HEARTH_DATA").map(|data| PathBuf::from(data).join("chicago-taxi")) else {
        println!("skipped: the_tutorial: HEARTH_DATA is not set; run `make real DATA=FOLDER`");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [train, eval, serving] = ["taxi_train.csv", "taxi_eval.csv", "serving_eval_without_tips.csv"]
        .map(|file| data.join(file).display().to_string());
    trainer_ok(folder, &["data", "schema", "infer", &train, "--out", "schema.toml"]);
    let schema = ["--schema", "schema.toml"];
    let unexpected = ["payment_type", "company"].map(|f| format!("{f} ENUM_TYPE_UNEXPECTED_STRING_VALUES"));
    assert_eq!(validated(folder, &[&[eval.as_str()], &schema[..]].concat(), ANOMALIES), unexpected);
    let dropped = "tips SCHEMA_MISSING_COLUMN".to_owned();
    assert_eq!(
        validated(folder, &[&[serving.as_str()], &schema[..]].concat(), ANOMALIES),
        [&unexpected[..], &[dropped]].concat()
    );
    let changes = [
        "feature.company.distribution.min_domain_mass=0.9",
        "domain.payment_type.values+=Prcard",
        "default_environment=[\"TRAINING\", \"SERVING\"]",
        "feature.tips.not_in_environment+=SERVING",
        "feature.payment_type.skew.infinity_norm=0.01",
        "feature.company.drift.infinity_norm=0.001",
    ];
    trainer_ok(folder, &[&["data", "schema", "set", "schema.toml"], &changes[..]].concat());
    assert_eq!(validated(folder, &[&[eval.as_str()], &schema[..]].concat(), 0), Vec::<String>::new());
    let environment = ["--environment", "SERVING"];
    assert_eq!(validated(folder, &[&[serving.as_str()], &schema[..], &environment].concat(), 0), Vec::<String>::new());
    let controls = ["--previous", &eval, "--serving", &serving];
    // Our own comparators, which compare every feature, find nothing more.
    assert_eq!(
        validated(folder, &[&[train.as_str()], &schema[..], &controls].concat(), ANOMALIES),
        ["company COMPARATOR_L_INFTY_HIGH"]
    );
}
