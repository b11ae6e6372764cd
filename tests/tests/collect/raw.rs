//! Requests that edges keep as they came are replayed as they were answered, from an edge or from the store.

use edge_runtime::spool::Contents;
use hearth_tests::binary::{trainer_fails, trainer_ok};
use trainer::data::feature_log::FeatureLog;

use super::*;

/// Requests that the edge answers.
const ASKED: u64 = 60;

/// An edge that has answered, its log collected, and the bundle it served.
async fn answered() -> (tempfile::TempDir, String) {
    let folder = collected(ASKED).await;
    let bundle = std::fs::read_dir(folder.path().join("registry/bundles")).unwrap().next().unwrap().unwrap();
    let bundle = format!("registry/bundles/{}", bundle.file_name().to_str().unwrap());
    (folder, bundle)
}

fn replay(folder: &Path, from: &str, what: [&str; 2], out: &str) -> Value {
    let channel = ["--channel", "registry/channels/podcasts/stable"];
    let channel = if what[0] == "--bundle" { &channel[..] } else { &[] };
    let command = [&["replay", "--data", from, "--out", out, "--json"][..], &what, channel].concat();
    tokio::task::block_in_place(|| serde_json::from_str(&trainer_ok(folder, &command)).unwrap())
}

fn spool_of(folder: &Path) -> Contents {
    spool::read(&folder.join("logged/spool")).unwrap()
}

/// The records without the times of arrival, by request.
fn bits(mut records: Vec<Record>) -> Vec<Vec<u8>> {
    records.iter_mut().for_each(|r| r.arrived = 0);
    records.sort_by(|a, b| a.request.cmp(&b.request));
    records.iter().map(codec::encode).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_kept_and_replays_to_the_rows_that_were_logged() {
    let (folder, bundle) = answered().await;
    let folder = folder.path();
    let live = spool_of(folder);
    let expected = kept(&live.records.iter().map(|r| r.request.clone()).collect());
    let there: BTreeSet<String> = live.requests.iter().map(|r| r.id.clone()).collect();
    assert_eq!(there, expected);
    assert!((15..45).contains(&there.len()), "{} of {ASKED}", there.len());
    let rows: Vec<Record> = live.records.into_iter().filter(|r| there.contains(&r.request)).collect();
    for (from, out) in [("logged", "of-edge"), ("store", "of-store")] {
        let summary = replay(folder, from, ["--bundle", &bundle], out);
        assert_eq!(summary["requests"], there.len(), "{from}: {summary}");
        assert_eq!((&summary["snapshots"], &summary["requests_with_other_history"]), (&json!(1), &json!(0)), "{from}");
        let replayed = FeatureLog::read(&folder.join(out)).unwrap().records;
        assert!(replayed.is_sorted_by_key(|r| r.ts), "{from}");
        assert!(bits(replayed) == bits(rows.clone()), "{from}: the replay has other bits than the edge's rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_feature_is_backfilled_and_the_logged_ones_are_the_same() {
    let (folder, _) = answered().await;
    let folder = folder.path();
    let spec = std::fs::read_to_string(folder.join("spec.toml")).unwrap();
    let feature = "[[features]]\nname = \"plays_ever\"\nsource = \"count\"\nscope = \"all\"\nactions = [\"play\"]\n";
    std::fs::write(folder.join("more.toml"), format!("{spec}\n{feature}")).unwrap();
    replay(folder, "store", ["--spec", "more.toml"], "backfilled");
    let compare = ["data", "compare", "--common", "store/rows/podcasts", "backfilled", "--json"];
    let comparison: Value = serde_json::from_str(&trainer_ok(folder, &compare)).unwrap();
    assert_eq!((&comparison["left_features"], &comparison["right_features"]), (&json!([]), &json!(["plays_ever"])));
    assert!(comparison["rows"].as_u64() > Some(100), "{comparison}");
    for feature in comparison["features"].as_array().unwrap() {
        let counts = ["left_only", "right_only", "different"].map(|c| feature[c].as_u64().unwrap());
        assert_eq!(counts, [0, 0, 0], "{feature}");
    }
    // Nothing in common is no agreement.
    let other = trainer_fails(folder, &["data", "compare", "--common", "store/rows/podcasts/2020-01-01", "backfilled"]);
    assert!(other.contains("no rows"), "{other}");
    // Half of the requests are not there, which without --common is a difference.
    let error = trainer_fails(folder, &["data", "compare", "store/rows/podcasts", "backfilled"]);
    assert!(error.contains("in 0 values"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_late_is_counted() {
    let (folder, bundle) = answered().await;
    let folder = folder.path();
    let live = spool_of(folder);
    let user = live.requests[0].user.clone();
    let late = played("late", &user, "show-0001", live.records.iter().map(|r| r.ts).min().unwrap() - 1);
    collect(folder, "2", &[Entry::from(&late)]).await;
    let summary = replay(folder, "store", ["--bundle", &bundle], "replayed");
    let of_user = live.requests.iter().filter(|r| r.user == user).count();
    assert_eq!(summary["requests_with_other_history"], of_user, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_refused_with_the_way_out() {
    let (folder, _) = answered().await;
    let folder = folder.path();
    let spec = std::fs::read_to_string(folder.join("spec.toml")).unwrap();
    let more = "statistics = [\n  { name = \"hides\", count = \"interactions\", actions = [\"hide\"] },";
    std::fs::write(folder.join("other.toml"), spec.replacen("statistics = [", more, 1)).unwrap();
    let error = trainer_fails(folder, &["replay", "--data", "store", "--spec", "other.toml", "--out", "log"]);
    assert!(error.contains("snapshot") && error.contains("replay a DATA folder"), "{error}");
    assert!(!folder.join("log/rows.parquet").exists());
    // As many statistics of the same kinds, but one of them is another.
    std::fs::write(folder.join("renamed.toml"), spec.replace("\"listeners\"", "\"fans\"")).unwrap();
    let error = trainer_fails(folder, &["replay", "--data", "store", "--spec", "renamed.toml", "--out", "log"]);
    assert!(error.contains("listeners") && error.contains("replay a DATA folder"), "{error}");
    let home = spec.replacen("surface = \"podcasts\"", "surface = \"home\"", 1);
    std::fs::write(folder.join("home.toml"), home).unwrap();
    let error = trainer_fails(folder, &["replay", "--data", "logged", "--spec", "home.toml", "--out", "log"]);
    assert!(error.contains("no request of surface `home`") && error.contains("requests_share"), "{error}");
}
