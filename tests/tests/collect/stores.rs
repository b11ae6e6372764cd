//! What a store holds is what its commits name.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn only_what_no_commit_names_and_is_old_is_swept_away() {
    let folder = published();
    let folder = folder.path();
    let mut entries = logged(folder, 3).await;
    entries.push(Entry::Impression("{".into()));
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    collector.accept("edge", "1", batch(&entries).into()).await.unwrap();
    collector.compact().await.unwrap();
    let objects = store(folder);
    let listed = async || {
        let mut all = Vec::new();
        for place in ["rows", "events", "quarantine", "tables", "commits"] {
            all.extend(objects.list(place).await.unwrap().into_iter().map(|(object, _)| object));
        }
        all
    };
    let before = listed().await;
    assert!(before.iter().any(|object| object.ends_with(".json")), "{before:?}");
    // ULIDs of 1970, and one that is as new as a file of the commit.
    let old = ["rows/podcasts/2026-01-01/0123-", "events/2026-01-01/", "quarantine/2026-01-01/"];
    let of_1970 = "0".repeat(26);
    for place in old {
        objects.create(&format!("{place}{of_1970}.parquet"), b"orphan".to_vec().into()).await.unwrap();
    }
    let (path, name) = before.iter().find(|o| o.starts_with("events/")).unwrap().rsplit_once('/').unwrap();
    let new = format!("{path}/new-{name}");
    objects.create(&new, b"about to be named".to_vec().into()).await.unwrap();
    collector.sweep().await.unwrap();
    let after: BTreeSet<String> = listed().await.into_iter().collect();
    let expected: BTreeSet<String> = before.into_iter().chain([new]).collect();
    assert_eq!(after, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_a_store_are_those_of_its_last_commit() {
    let folder = collected(5).await;
    let folder = folder.path();
    let found = Warehouse::of(store(folder)).await.unwrap();
    let day = found.rows("podcasts", Day::ALL).map(|file| file.day).max().unwrap();
    let of_day: Vec<String> = found.rows("podcasts", day..=day).map(|file| file.path.clone()).collect();
    let mut rows = 0;
    for file in found.rows("podcasts", Day::ALL) {
        rows += found.read_rows(file).await.unwrap().records.iter().map(|r| r.rows.items.len()).sum::<usize>();
    }
    // What no commit names is not read, and no Parquet.
    let (place, _) = of_day[0].rsplit_once('/').unwrap();
    store(folder).create(&format!("{place}/0123-orphan.parquet"), b"orphan".to_vec().into()).await.unwrap();
    for place in ["store", "store/rows/podcasts", "store/rows"] {
        let statistics: Value =
            serde_json::from_str(&binary::trainer_ok(folder, &["data", "stats", place, "--json"])).unwrap();
        assert_eq!(statistics["slices"][0]["rows"], rows, "{place}");
    }
    // The day is what serving saw of what was trained on, as docs/data.md has it.
    let day = format!("store/{place}");
    binary::trainer_ok(folder, &["data", "stats", "store/rows/podcasts", "--out", "training.json"]);
    binary::trainer_ok(folder, &["data", "schema", "infer", "training.json", "--out", "schema.toml"]);
    let validate = ["data", "validate", "training.json", "--schema", "schema.toml", "--serving", &day, "--json"];
    let report: Value = serde_json::from_str(&binary::trainer_ok(folder, &validate)).unwrap();
    assert_eq!(report["anomalies"], json!([]));
    assert!(report["measurements"].as_array().is_some_and(|m| m.iter().any(|m| m["control"] == "skew")), "{report}");
    let error = binary::trainer_fails(folder, &["data", "stats", "store/rows/home"]);
    assert!(error.contains("store/rows/home has no"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_edges_logged_is_held_against_the_schema_before_it_is_trained_on() {
    let folder = collected(30).await;
    let folder = folder.path();
    std::fs::rename(folder.join("store"), folder.join("the store")).unwrap();
    let train = |log: &str| {
        let train = ["train", "--log", log, "--spec", "spec.toml", "--out", "run"];
        String::from_utf8(binary::trainer(folder, &train).stderr).unwrap()
    };
    // Without one, a feature that never has a value is refused: no request of these says from which device it is.
    for log in ["the store", "logged"] {
        let said = train(log);
        assert!(said.contains("nothing was trained: `device`: "), "{log}: {said}");
    }
    assert!(train("logged").contains("make a schema of the store"), "{}", train("logged"));
    // What is said to do does it.
    let said = train("the store");
    let (_, commands) = said.split_once("make a schema: ").unwrap_or_else(|| panic!("{said}"));
    let (commands, _) = commands.split_once(") says").unwrap_or_else(|| panic!("{said}"));
    let programs = binary::path("trainer").parent().unwrap().display().to_string();
    let mut shell = std::process::Command::new("sh");
    shell
        .current_dir(folder)
        .args(["-c", commands])
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()));
    let done = shell.output().unwrap();
    assert!(done.status.success(), "{commands}: {}", String::from_utf8_lossy(&done.stderr));
    for log in ["the store", "logged"] {
        let said = train(log);
        assert!(!said.contains("nothing was trained"), "{log}: {said}");
    }
    binary::trainer_ok(folder, &["data", "schema", "set", "spec.schema.toml", "dataset.min_examples=100000"]);
    for log in ["the store", "logged"] {
        let said = train(log);
        assert!(said.contains("spec.schema.toml") && said.contains("nothing was trained"), "{log}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_behind_a_url_builds_the_dataset_that_its_folder_does() {
    let folder = collected(30).await;
    let folder = folder.path();
    let built = |log: &str, out: &str| {
        binary::trainer_ok(folder, &["data", "build", "--log", log, "--spec", "spec.toml", "--out", out]);
        let files =
            std::fs::read_dir(folder.join(out)).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
        files
            .map(|file| (file.file_name().unwrap().to_owned(), std::fs::read(&file).unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    let of_folder = built("store", "one");
    assert!(of_folder.keys().filter(|name| name.to_string_lossy().ends_with(".parquet")).count() > 1);
    let of_url = built(&format!("file://{}", folder.join("store").display()), "two");
    assert!(of_folder == of_url, "{:?} and {:?} differ", of_folder.keys(), of_url.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_makes_batches_wait() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 3).await;
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    let (registry, away) = (folder.join("registry"), folder.join("away"));
    std::fs::rename(&registry, &away).unwrap();
    collector.accept("edge", "1", batch(&entries).into()).await.unwrap();
    assert_eq!(collector.compact().await.unwrap(), Round::default());
    assert_eq!(collector.status(), Status { waiting: 1, deferred: 1, ..Status::default() });
    std::fs::rename(&away, &registry).unwrap();
    assert_eq!(collector.compact().await.unwrap().batches, 1);
    assert_eq!(collector.status(), Status::default());
    let found = Warehouse::of(store(folder)).await.unwrap();
    assert_eq!(stored(&found).await.requests.len(), 3);
}
