//! Validation: TFDV's anomalies on its tutorial, changes that must and must not be found, and each rule by hand.

use std::fs;
use std::path::Path;

use super::distance::jensen_shannon_of_histograms;
use super::*;
use crate::data::schema::text_proto::{Message, Value};
use crate::data::schema::{Comparators, infer};
use crate::data::statistics::{Bucket, Settings, Type, of};
use crate::data::taxi;

/// Feature, kind, short and long description of each reason, sorted by feature.
type Reasons = Vec<(String, String, String, String)>;

fn reasons_of(report: &Report) -> Reasons {
    let reason = |a: &Anomaly| {
        (a.feature.clone().unwrap_or_default(), a.kind.to_string(), a.short.clone(), a.description.clone())
    };
    let mut reasons: Reasons = report.anomalies.iter().map(reason).collect();
    reasons.sort_by(|a, b| a.0.cmp(&b.0));
    reasons
}

fn messages<'a>(of: &'a Message, name: &'a str) -> impl Iterator<Item = &'a Message> {
    of.all(name).map(move |value| match value {
        Value::Message(message) => message,
        _ => panic!("{name} is a message"),
    })
}

fn reasons_in(reference: &Message) -> Reasons {
    let mut reasons = Reasons::new();
    for info in messages(reference, "anomaly_info") {
        for reason in messages(info.message("value").unwrap(), "reason") {
            let text = |name| reason.text(name).unwrap().to_owned();
            let key = info.text("key").unwrap().to_owned();
            reasons.push((key, text("type"), text("short_description"), text("description")));
        }
    }
    reasons.sort_by(|a, b| a.0.cmp(&b.0));
    reasons
}

/// Validates with the schema that TFDV was given, which its answer carries.
fn as_tfdv(folder: &Path, file: &str, reference: &str, environment: Option<&str>, controls: bool) -> (Report, Message) {
    let reference = taxi::reference(folder, reference);
    let schema = Schema::from_message(reference.message("baseline").unwrap()).unwrap();
    let [now, previous, serving] =
        [file, "taxi_eval.csv", "serving_eval_without_tips.csv"].map(|file| taxi::statistics(folder, file));
    let against = Against {
        environment,
        previous: controls.then_some(&previous),
        serving: controls.then_some(&serving),
        schema_only: true,
        ..Against::default()
    };
    (validate(&schema, &now, &against), reference)
}

#[test]
fn anomalies_of_the_tutorial_are_those_of_tfdv() {
    let Some(folder) = taxi::folder("anomalies_of_the_tutorial_are_those_of_tfdv") else { return };
    let serving = "serving_eval_without_tips.csv";
    let cases = [
        ("taxi_eval.csv", "anomalies_eval.pbtxt", None, 2),
        ("taxi_eval.csv", "anomalies_eval_after_fix.pbtxt", None, 0),
        (serving, "anomalies_serving.pbtxt", None, 3),
        (serving, "anomalies_serving_env.pbtxt", Some("SERVING"), 0),
    ];
    for (file, reference, environment, count) in cases {
        let (report, theirs) = as_tfdv(&folder, file, reference, environment, false);
        assert_eq!(reasons_of(&report), reasons_in(&theirs), "{reference}");
        assert_eq!(report.anomalies.len(), count, "{reference}");
        assert_eq!(report.has_errors(), count > 0, "{reference}");
    }
}

#[test]
fn distances_of_the_tutorial_are_those_of_tfdv() {
    let Some(folder) = taxi::folder("distances_of_the_tutorial_are_those_of_tfdv") else { return };
    for reference in ["skew_drift_tutorial.pbtxt", "skew_all_features_threshold0.pbtxt"] {
        let (report, theirs) = as_tfdv(&folder, "taxi_train.csv", reference, None, true);
        let (ours, theirs_reasons) = (reasons_of(&report), reasons_in(&theirs));
        let numeric = |feature: &str| !["company", "payment_type"].contains(&feature);
        // The divergence of numbers depends on histograms that TFDV approximates; the rest is equal to the last digit.
        let words = |reasons: &Reasons| -> Reasons {
            let word = |(f, k, s, d): &(String, String, String, String)| {
                let text = if numeric(f) { String::new() } else { d.clone() };
                (f.clone(), k.clone(), s.clone(), text)
            };
            reasons.iter().map(word).collect()
        };
        assert_eq!(words(&ours), words(&theirs_reasons), "{reference}");
        let mut compared = 0;
        for info in messages(&theirs, "drift_skew_info") {
            let feature = info.message("path").unwrap().text("step").unwrap();
            for (kind, control) in [("drift_measurements", Control::Drift), ("skew_measurements", Control::Skew)] {
                for theirs in messages(info, kind) {
                    let measure = theirs.text("type").unwrap();
                    let ours = (report.measurements.iter())
                        .find(|m| m.feature == feature && m.control == control && m.measure == measure)
                        .unwrap();
                    let (value, threshold) = (theirs.number("value").unwrap(), theirs.number("threshold").unwrap());
                    assert_eq!(ours.threshold, threshold, "{feature} {measure}");
                    if measure == "L_INFTY" {
                        assert_eq!(ours.value.to_bits(), value.to_bits(), "{feature}");
                    } else if !numeric(feature) {
                        assert!((ours.value - value).abs() < 1e-15, "{feature} {} {value}", ours.value);
                    }
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, report.measurements.len(), "{reference}");
    }
}

#[test]
fn the_divergence_of_numbers_is_that_of_tfdv_on_its_own_histograms() {
    let Some(folder) = taxi::folder("the_divergence_of_numbers_is_that_of_tfdv_on_its_own_histograms") else { return };
    let histograms = |file: &str| -> Vec<(String, Vec<Bucket>)> {
        let statistics = taxi::reference(&folder, file);
        messages(statistics.message("datasets").unwrap(), "features")
            .filter_map(|feature| {
                let name = feature.message("path")?.text("step")?.to_owned();
                let standard = messages(feature.message("num_stats")?, "histograms").next()?;
                let number = |bucket: &Message, name: &str| bucket.number(name).unwrap_or(0.0);
                let bucket = |b: &Message| Bucket {
                    low: number(b, "low_value"),
                    high: number(b, "high_value"),
                    count: number(b, "sample_count"),
                };
                Some((name, messages(standard, "buckets").map(bucket).collect()))
            })
            .collect()
    };
    let (train, serving) = (histograms("stats_train.pbtxt"), histograms("stats_serving.pbtxt"));
    let reference = taxi::reference(&folder, "skew_all_features_threshold0.pbtxt");
    let mut compared = 0;
    for info in messages(&reference, "drift_skew_info") {
        let name = info.message("path").unwrap().text("step").unwrap();
        let of = |all: &[(String, Vec<Bucket>)]| all.iter().find(|(n, _)| n == name).map(|(_, h)| h.clone());
        let (Some(a), Some(b)) = (of(&train), of(&serving)) else { continue };
        let theirs = info.message("skew_measurements").unwrap().number("value").unwrap();
        let ours = jensen_shannon_of_histograms(&a, &[], &b, &[]).unwrap();
        assert!((ours - theirs).abs() < 1e-12, "{name}: {ours} {theirs}");
        compared += 1;
    }
    assert_eq!(compared, 14);
}

/// Trips of our own: hour, fare and distance, payment and two surfaces, by a seed.
struct Trips {
    rows: usize,
    seed: u64,
    change: fn(&mut Trip),
}

struct Trip {
    hour: u64,
    fare: f64,
    payment: String,
    surface: &'static str,
    /// Uniform, for changes of a part of the trips.
    dice: f64,
    fare_is_missing: bool,
}

impl Trips {
    fn statistics(&self, slices: &[&str]) -> Statistics {
        let mut state = self.seed;
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut csv = "hour,fare,payment,surface\n".to_owned();
        for _ in 0..self.rows {
            let busy = random();
            let mut trip = Trip {
                hour: if busy < 0.7 { 9 + (random() * 10.0) as u64 } else { (random() * 24.0) as u64 },
                // A long tail, with an outlier now and then.
                fare: 3.0 + 8.0 * -libm::log(1.0 - random()) + if random() < 0.0005 { 700.0 } else { 0.0 },
                payment: match random() {
                    x if x < 0.6 => "Cash",
                    x if x < 0.95 => "Credit Card",
                    _ => "Unknown",
                }
                .to_owned(),
                surface: if random() < 0.8 { "home" } else { "search" },
                dice: random(),
                fare_is_missing: random() < 0.02,
            };
            (self.change)(&mut trip);
            let fare = if trip.fare_is_missing { String::new() } else { format!("{:.2}", trip.fare) };
            csv.push_str(&format!("{},{fare},{},{}\n", trip.hour, trip.payment, trip.surface));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.csv");
        fs::write(&path, csv).unwrap();
        let slices = slices.iter().map(|s| s.to_string()).collect();
        of(&[path], &Settings { slices, ..Settings::default() }, &|_, _| {}).unwrap()
    }
}

fn trips(rows: usize, seed: u64, change: fn(&mut Trip)) -> Trips {
    Trips { rows, seed, change }
}

fn found(report: &Report) -> Vec<(String, Kind)> {
    report.anomalies.iter().map(|a| (a.feature.clone().unwrap_or_default(), a.kind)).collect()
}

/// Anomalies of changed trips against unchanged ones, with a schema that says nothing of values.
fn compared(change: fn(&mut Trip)) -> Report {
    let previous = trips(10_000, 1, |_| {}).statistics(&[]);
    let mut schema = infer(previous.whole().unwrap());
    schema.features.iter_mut().for_each(|(_, f)| *f = Feature::new(f.of));
    let now = trips(5_000, 2, change).statistics(&[]);
    validate(&schema, &now, &Against { previous: Some(&previous), ..Against::default() })
}

#[test]
fn samples_of_the_same_trips_alarm_for_nothing() {
    for seed in 10..30 {
        let previous = trips(2_000, seed, |_| {}).statistics(&["surface"]);
        let now = trips(1_000, 100 + seed, |_| {}).statistics(&["surface"]);
        let mut schema = infer(previous.whole().unwrap());
        schema.features.iter_mut().for_each(|(_, f)| f.presence = None);
        let report = validate(&schema, &now, &Against { previous: Some(&previous), ..Against::default() });
        assert_eq!(found(&report), [], "{seed}");
        assert!(report.measurements.iter().any(|m| m.slice.is_some() && m.measure == "QUANTILE"));
    }
}

#[test]
fn each_change_is_found_by_its_name() {
    let case = |change, feature: &str, kind, worst: &str| {
        let report = compared(change);
        assert_eq!(found(&report), [(feature.to_owned(), kind)]);
        assert_eq!(report.anomalies[0].worst.as_deref().unwrap_or_default(), worst, "{kind}");
        let a = &report.anomalies[0];
        assert!(a.measured.unwrap() > a.threshold.unwrap() && a.severity == Severity::Error, "{kind}");
    };
    case(|t| t.fare *= 100.0, "fare", Kind::UnitChanged, "x 100");
    case(|t| t.fare /= 1.609344, "fare", Kind::UnitChanged, "x 0.621371");
    case(|t| t.hour = (t.hour + 6) % 24, "hour", Kind::HoursShifted, "+6 h");
    case(|t| t.hour = (t.hour + 19) % 24, "hour", Kind::HoursShifted, "-5 h");
    case(|t| t.payment = t.payment.to_uppercase(), "payment", Kind::CasingChanged, "CASH");
    case(|t| t.fare_is_missing |= t.dice < 0.3, "fare", Kind::MissingRose, "");
    case(
        |t| {
            if t.dice < 0.3 {
                t.payment = "Voucher".into();
            }
        },
        "payment",
        Kind::CategoryShare,
        "Voucher",
    );
    let report = compared(|t| t.fare = if t.dice < 0.2 { 5.0 } else { t.fare });
    assert_eq!(found(&report), [("fare".to_owned(), Kind::QuantileDistance)]);
    let report = compared(|t| t.fare = if t.dice < 0.2 { f64::INFINITY } else { t.fare });
    assert_eq!(found(&report), [("fare".to_owned(), Kind::NotFiniteRose)]);
    let report = compared(|t| t.fare_is_missing = false);
    assert_eq!(found(&report), []);
}

#[test]
fn the_taxi_split_alarms_for_nothing_and_each_change_of_it_for_what_it_is() {
    let test = "the_taxi_split_alarms_for_nothing_and_each_change_of_it_for_what_it_is";
    let Some(folder) = taxi::folder(test) else { return };
    let train = taxi::statistics(&folder, "taxi_train.csv");
    let mut schema = infer(train.whole().unwrap());
    schema.features.iter_mut().for_each(|(_, f)| *f = Feature::new(f.of));
    let eval = fs::read_to_string(folder.join("taxi_eval.csv")).unwrap();
    let header: Vec<&str> = eval.lines().next().unwrap().split(',').collect();
    let changed = |column: &str, change: &dyn Fn(usize, &str) -> String| {
        let at = header.iter().position(|name| *name == column).unwrap();
        let mut reader = ::csv::Reader::from_reader(eval.as_bytes());
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(reader.headers().unwrap()).unwrap();
        for (row, record) in reader.records().enumerate() {
            let record = record.unwrap();
            let cell = |(i, cell): (usize, &str)| if i == at { change(row, cell) } else { cell.to_owned() };
            writer.write_record(record.iter().enumerate().map(cell)).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eval.csv");
        fs::write(&path, writer.into_inner().unwrap()).unwrap();
        let now = of(&[path], &Settings::default(), &|_, _| {}).unwrap();
        found(&validate(&schema, &now, &Against { previous: Some(&train), ..Against::default() }))
    };
    assert_eq!(changed("fare", &|_, cell| cell.to_owned()), []);
    let times =
        |by: f64| move |_: usize, cell: &str| cell.parse::<f64>().map_or(String::new(), |x| (x * by).to_string());
    for column in ["fare", "trip_miles", "tips"] {
        assert_eq!(changed(column, &times(100.0)), [(column.to_owned(), Kind::UnitChanged)]);
    }
    let later = |_: usize, cell: &str| ((cell.parse::<u32>().unwrap() + 6) % 24).to_string();
    assert_eq!(changed("trip_start_hour", &later), [("trip_start_hour".to_owned(), Kind::HoursShifted)]);
    for column in ["payment_type", "company"] {
        let upper = |_: usize, cell: &str| cell.to_uppercase();
        assert_eq!(changed(column, &upper), [(column.to_owned(), Kind::CasingChanged)]);
    }
    for column in ["fare", "trip_seconds", "company"] {
        let hole = |row: usize, cell: &str| if row % 10 < 3 { String::new() } else { cell.to_owned() };
        let found = changed(column, &hole);
        assert_eq!(found, [(column.to_owned(), Kind::MissingRose)]);
    }
}

#[test]
fn a_change_of_one_slice_is_found_in_it_and_one_of_all_is_said_once() {
    let previous = trips(40_000, 1, |_| {}).statistics(&["surface"]);
    let mut schema = infer(previous.whole().unwrap());
    schema.features.iter_mut().for_each(|(_, f)| *f = Feature::new(f.of));
    let against = Against { previous: Some(&previous), ..Against::default() };
    let in_search = trips(20_000, 2, |t| {
        if t.surface == "search" {
            t.fare += 1.0;
        }
    });
    let report = validate(&schema, &in_search.statistics(&["surface"]), &against);
    let search = Slice { column: "surface".into(), value: "search".into() };
    let places: Vec<_> = report.anomalies.iter().map(|a| (a.slice.clone(), a.feature.as_deref(), a.kind)).collect();
    assert_eq!(places, [(Some(search.clone()), Some("fare"), Kind::QuantileDistance)]);

    let everywhere = trips(5_000, 2, |t| t.fare *= 100.0).statistics(&["surface"]);
    let report = validate(&schema, &everywhere, &against);
    assert_eq!(found(&report), [("fare".to_owned(), Kind::UnitChanged)]);
    assert_eq!(report.anomalies[0].also_in.len(), 2);

    let home_only = trips(5_000, 2, |t| t.surface = "home").statistics(&["surface"]);
    let report = validate(&schema, &home_only, &against);
    let gone = report.anomalies.iter().find(|a| a.kind == Kind::SliceMissing).unwrap();
    assert_eq!((gone.slice.as_ref(), gone.severity), (Some(&search), Severity::Warning));
}

#[test]
fn days_teach_how_far_days_are_apart() {
    let weekend: fn(&mut Trip) = |t| t.fare += 1.0;
    let monday = trips(5_000, 1, |_| {}).statistics(&[]);
    let days = [trips(5_000, 2, |_| {}).statistics(&[]), trips(5_000, 3, weekend).statistics(&[])];
    let mut schema = infer(monday.whole().unwrap());
    schema.features.iter_mut().for_each(|(_, f)| *f = Feature::new(f.of));
    let floor = NoiseFloor::learn(&days);
    let report = |change: fn(&mut Trip), noise_floor| {
        let now = trips(5_000, 4, change).statistics(&[]);
        let against = Against { previous: Some(&monday), noise_floor, ..Against::default() };
        found(&validate(&schema, &now, &against))
    };
    assert_eq!(report(weekend, None), [("fare".to_owned(), Kind::QuantileDistance)]);
    assert_eq!(report(weekend, Some(&floor)), []);
    assert_eq!(report(|t| t.fare += 2.0, Some(&floor)), [("fare".to_owned(), Kind::QuantileDistance)]);
    // Quiet days make it keener than the tolerance.
    let quiet =
        NoiseFloor::learn(&[trips(200_000, 5, |_| {}).statistics(&[]), trips(200_000, 6, |_| {}).statistics(&[])]);
    let many = trips(200_000, 7, |_| {}).statistics(&[]);
    let few: fn(&mut Trip) = |t| t.fare += if t.dice < 0.15 { 1.5 } else { 0.0 };
    let now = trips(200_000, 8, few).statistics(&[]);
    let check = |noise_floor| {
        found(&validate(&schema, &now, &Against { previous: Some(&many), noise_floor, ..Against::default() }))
    };
    assert_eq!((check(None), check(Some(&quiet))), (vec![], vec![("fare".to_owned(), Kind::QuantileDistance)]));
    assert_eq!(NoiseFloor::learn(&days[..1]).tolerance(None, "fare"), None);
}

/// The anomalies of a CSV under a schema in TOML.
fn by_hand(csv: &str, toml: &str, environment: Option<&str>) -> Vec<(String, Kind, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, csv).unwrap();
    let statistics = of(&[path], &Settings::default(), &|_, _| {}).unwrap();
    let schema: Schema = toml_edit::de::from_str(toml).unwrap();
    schema.check().unwrap();
    let report = validate(&schema, &statistics, &Against { environment, ..Against::default() });
    report.anomalies.into_iter().map(|a| (a.feature.unwrap_or_default(), a.kind, a.description)).collect()
}

/// A CSV, a schema, and the anomalies with their descriptions.
type Case = (&'static str, &'static str, &'static [(Kind, &'static str)]);

#[test]
fn each_rule_of_the_schema_finds_what_it_is_for() {
    let cases: &[Case] = &[
        (
            "a,b\n1,2\n",
            "feature.a.type = \"int\"",
            &[(Kind::NewColumn, "New column (column in data but not in schema)")],
        ),
        (
            "a\n1\n",
            "feature.a.type = \"int\"\nfeature.b = { type = \"int\", presence = { min_count = 1 } }",
            &[(Kind::MissingColumn, "Column is completely missing")],
        ),
        (
            "a,b\n,2\n",
            "feature.b.type = \"int\"\nfeature.a = { type = \"int\", presence = { min_count = 1 } }",
            &[(Kind::NotPresent, "The feature was not present in any examples.")],
        ),
        (
            "a,b\n1,1\n,1\n",
            "feature.b.type = \"int\"\nfeature.a = { type = \"int\", presence = { min_count = 2, min_fraction = 0.75 } }",
            &[
                (
                    Kind::LowNumberPresent,
                    "The feature was present in fewer examples than expected: minimum count = 2, actual = 1",
                ),
                (
                    Kind::LowFractionPresent,
                    "The feature was present in fewer examples than expected: minimum fraction = 0.750000, actual = 0.500000",
                ),
            ],
        ),
        (
            "a\n1\n",
            "feature.a = { type = \"int\", value_count = { min = 2 } }",
            &[(Kind::LowNumberValues, "Some examples have fewer values than expected.")],
        ),
        (
            "a\n1\n",
            "feature.a = { type = \"int\", value_count = { max = 0 } }",
            &[(Kind::HighNumberValues, "Some examples have more values than expected.")],
        ),
        (
            "a\n1\n",
            "feature.a = { type = \"int\", shape = [2] }",
            &[(
                Kind::InvalidShape,
                "The feature has fixed value length 1 but it's not compatible with the specified shape.",
            )],
        ),
        ("a\nx\n", "feature.a.type = \"int\"", &[(Kind::UnexpectedType, "Expected data of type: INT but got STRING")]),
        (
            "a\n1\n2\n",
            "feature.a = { type = \"int\", unique = { min = 3, max = 9 } }",
            &[(Kind::LowUnique, "Expected at least 3 unique values but found only 2.")],
        ),
        (
            "a\n1\n2\n",
            "feature.a = { type = \"int\", unique = { max = 1 } }",
            &[(Kind::HighUnique, "Expected no more than 1 unique values but found 2.")],
        ),
        (
            "a\nx\ny\ny\n",
            "feature.a = { type = \"bytes\", string_domain = { values = [\"x\"] } }",
            &[(Kind::UnexpectedStrings, "Examples contain values missing from the schema: y (~66%). ")],
        ),
        (
            "a\nx\ny\ny\n",
            "feature.a = { type = \"bytes\", string_domain = { values = [\"x\"] }, distribution = { min_domain_mass = 0.3 } }",
            &[],
        ),
        (
            "a\n0\n2\n",
            "feature.a = { type = \"int\", bool_domain = {} }",
            &[(Kind::BoolBigInt, "Integers (such as 2) not in {0, 1}: converting to an integer.")],
        ),
        (
            "a\n0\n-1\n",
            "feature.a = { type = \"int\", bool_domain = {} }",
            &[(Kind::BoolSmallInt, "Integers (such as -1) not in {0, 1}: converting to an integer.")],
        ),
        (
            "a\n0\n0.5\n",
            "feature.a = { type = \"float\", bool_domain = {} }",
            &[(Kind::BoolUnexpectedFloat, "Floats (such as 0.5) not in {0, 1}: converting to float_domain.")],
        ),
        (
            "a\nyes\nmaybe\n",
            "feature.a = { type = \"bytes\", bool_domain = { true = \"yes\", false = \"no\" } }",
            &[(Kind::BoolUnexpectedString, "Saw unexpected value \"maybe\" instead of {\"no\", \"yes\"}.")],
        ),
        (
            "a\n1\n5\n",
            "feature.a = { type = \"int\", int_domain = { min = 2, max = 4 } }",
            &[(Kind::SmallInt, "Unexpectedly small value: 1."), (Kind::BigInt, "Unexpectedly large value: 5.")],
        ),
        (
            "a\n1x\n5\n",
            "feature.a = { type = \"bytes\", int_domain = {} }",
            &[(Kind::StringNotInt, "String values that were not ints were found, such as \"1x\".")],
        ),
        (
            "a\n0.5\n5\n",
            "feature.a = { type = \"float\", float_domain = { min = 1.0, max = 4.0 } }",
            &[
                (Kind::SmallFloat, "Unexpectedly low values: 0.5<1(upto six significant digits)"),
                (Kind::BigFloat, "Unexpectedly high value: 5>4(upto six significant digits)"),
            ],
        ),
        (
            "a\n0.5\nnan\ninf\n",
            "feature.a = { type = \"float\", float_domain = { disallow_nan = true, disallow_inf = true } }",
            &[(Kind::HasNan, "Float feature has NaN values."), (Kind::HasInf, "Float feature has Inf values.")],
        ),
        (
            "a\n0.5x\n1\n",
            "feature.a = { type = \"bytes\", float_domain = {} }",
            &[(Kind::StringNotFloat, "String values that were not floats were found, such as \"0.5x\".")],
        ),
        (
            "a\n1\n",
            "dataset.min_examples = 2\nfeature.a.type = \"int\"",
            &[(Kind::DatasetLow, "The dataset has 1 examples, which is fewer than expected.")],
        ),
        (
            "a\n1\n2\n",
            "dataset.max_examples = 1\nfeature.a.type = \"int\"",
            &[(Kind::DatasetHigh, "The dataset has 2 examples, which is more than expected.")],
        ),
        ("a\nx\n", "feature.a = { type = \"int\", deprecated = true, presence = { min_fraction = 1.0 } }", &[]),
    ];
    for (csv, toml, expected) in cases {
        let found: Vec<(Kind, String)> =
            by_hand(csv, toml, None).into_iter().map(|(_, kind, text)| (kind, text)).collect();
        let expected: Vec<(Kind, String)> = expected.iter().map(|(kind, text)| (*kind, text.to_string())).collect();
        assert_eq!(found, expected, "{csv} {toml}");
    }
}

#[test]
fn a_feature_exists_in_its_environments() {
    let toml = "default_environment = [\"TRAINING\", \"SERVING\"]\nfeature.a.type = \"int\"\n\
                feature.label = { type = \"int\", presence = { min_fraction = 1.0 }, not_in_environment = [\"SERVING\"] }";
    assert_eq!(by_hand("a\n1\n", toml, Some("SERVING")), []);
    assert_eq!(by_hand("a\n1\n", toml, Some("TRAINING"))[0].1, Kind::MissingColumn);
    let text = "New column label found in data but not in the environment SERVING in the schema.";
    assert_eq!(
        by_hand("a,label\n1,1\n", toml, Some("SERVING")),
        [("label".to_owned(), Kind::NewColumn, text.to_owned())]
    );
}

#[test]
fn bytes_that_are_no_text_are_no_strings_of_a_domain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, b"a\n\xff\nx\n").unwrap();
    let statistics = of(&[path], &Settings::default(), &|_, _| {}).unwrap();
    let mut schema = infer(statistics.whole().unwrap());
    assert_eq!(schema.domains, []);
    schema.features[0].1.string_domain = Some(crate::data::schema::StringDomain { values: vec!["x".into()] });
    assert_eq!(found(&validate(&schema, &statistics, &Against::default())), [("a".to_owned(), Kind::InvalidUtf8)]);
}

#[test]
fn rows_are_compared_with_the_day_before_and_another_version() {
    let toml = "dataset.drift = { min = 0.5, max = 2.0 }\ndataset.version = { min = 1.0 }";
    let schema: Schema = toml_edit::de::from_str(toml).unwrap();
    let of_rows = |rows| Statistics {
        slices: vec![SliceStatistics { slice: None, rows, features: Vec::new() }],
        unread: Vec::new(),
    };
    let texts = |now: u64, previous: u64, version: u64| -> Vec<String> {
        let (previous, version) = (of_rows(previous), of_rows(version));
        let against = Against { previous: Some(&previous), version: Some(&version), ..Against::default() };
        validate(&schema, &of_rows(now), &against).anomalies.into_iter().map(|a| a.description).collect()
    };
    let ratio = |control, ratio, side, threshold| {
        format!(
            "The ratio of num examples in the current dataset versus the {control} is {ratio} (up to six significant \
             digits), which is {side} the threshold {threshold}."
        )
    };
    assert_eq!(texts(10, 10, 10), Vec::<String>::new());
    assert_eq!(texts(21, 10, 10), [ratio("previous span", "2.1", "above", "2")]);
    assert_eq!(
        texts(3, 10, 4),
        [ratio("previous span", "0.3", "below", "0.5"), ratio("previous version", "0.75", "below", "1")]
    );
    let zero = "The previous span has 0 examples, so there is a high number of examples in the current dataset versus the previous span.";
    assert_eq!(texts(3, 0, 1), [zero]);
}

#[test]
fn comparators_say_what_control_lacks_and_severities_are_the_schemas() {
    let day = trips(500, 1, |_| {}).statistics(&[]);
    let mut schema = infer(day.whole().unwrap());
    schema.features.iter_mut().for_each(|(_, f)| *f = Feature::new(f.of));
    let said = Comparators { infinity_norm: Some(0.0), normalized_abs_difference: Some(0.0), ..Comparators::default() };
    schema.features[2].1.skew = Some(said);
    let mut serving = trips(500, 2, |_| {}).statistics(&[]);
    let report = validate(&schema, &day, &Against { serving: Some(&serving), schema_only: true, ..Against::default() });
    let kinds: Vec<Kind> = report.anomalies.iter().map(|a| a.kind).collect();
    assert_eq!(kinds, [Kind::LInfinity, Kind::NormalizedDifference]);
    assert_eq!(report.anomalies[0].short, "High Linfty distance between training and serving");
    serving.slices[0].features.remove(2);
    schema.severity.insert(Kind::ControlMissing, Severity::Warning);
    let report = validate(&schema, &day, &Against { serving: Some(&serving), schema_only: true, ..Against::default() });
    assert_eq!(report.anomalies[0].description, "serving data is missing.");
    assert!(!report.has_errors() && report.anomalies.len() == 1);
    assert_eq!(schema.feature("fare").unwrap().of, Type::Float);
}
