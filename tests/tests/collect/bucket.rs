//! A store in a bucket holds what one in a folder does.

use hearth_tests::bucket::Bucket;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_store_like_a_folder() {
    let Some(bucket) = Bucket::start().await else {
        return println!("skipped: HEARTH_HOSTS names no Python with moto; run: make hosts");
    };
    let folder = published();
    let folder = folder.path();
    let (store, registry, environment) = (bucket.url("a/store"), bucket.url("registry"), bucket.environment());
    bucket.copy(&folder.join("registry"), "registry").await;
    let entries = logged(folder, 30).await;
    let halves = entries.split_at(entries.len() / 2);
    let start = || Process::start_over(folder, "127.0.0.1:0", [&store, &registry], &environment);
    let collector = start();
    let (status, taken) = collector.post(TOKEN, "edge", "1", batch(halves.0)).await;
    assert_eq!((status, taken), (200, json!({ "batch": "1", "duplicate": false })));
    collector.sigkill();
    let collector = start();
    let (status, taken) = collector.post(TOKEN, "edge", "1", batch(halves.0)).await;
    assert_eq!((status, taken), (200, json!({ "batch": "1", "duplicate": true })));
    bucket.wait_for_none_in("a/store/batches").await;
    let (status, taken) = collector.post(TOKEN, "edge", "2", batch(halves.1)).await;
    assert_eq!((status, taken), (200, json!({ "batch": "2", "duplicate": false })));
    // It becomes Parquet after it was acknowledged.
    bucket.wait_for_none_in("a/store/batches").await;
    collect(folder, "1", halves.0).await;
    collect(folder, "2", halves.1).await;

    let trainer = |arguments: &[&str]| -> Value {
        let json = [arguments, &["--json"]].concat();
        serde_json::from_str(&binary::trainer_ok_with(folder, &json, &environment)).unwrap()
    };
    let both = |arguments: &dyn Fn(&str) -> Value| {
        let (of_bucket, of_folder) = (arguments(&store), arguments("store"));
        assert_eq!(of_bucket, of_folder);
        of_folder
    };
    let rows = both(&|store| trainer(&["data", "stats", &format!("{store}/rows/podcasts")]));
    assert!(rows["slices"][0]["rows"].as_u64() > Some(0), "{rows}");
    let report = both(&|store| {
        let mut report = trainer(&["data", "build", "--log", store, "--spec", "spec.toml", "--out", "dataset"]);
        report["days"].as_array_mut().unwrap().iter_mut().for_each(|day| day["digest"] = Value::Null);
        report
    });
    assert!(report["rows"]["positive"].as_u64() > Some(0), "{report}");
    let forgotten = both(&|store| trainer(&["data", "forget", "--id", "user-1", "--store", store]));
    assert!(forgotten["requests"].as_u64() > Some(0), "{forgotten}");
    let without = both(&|store| trainer(&["data", "stats", store]));
    assert!(without["slices"][0]["rows"].as_u64() < rows["slices"][0]["rows"].as_u64(), "{without}");

    // Without the environment's word there is no way in, and with another scheme there is no such store.
    let error = binary::trainer_fails(folder, &["data", "stats", "gs://hearth/store"]);
    assert!(error.contains("build with the feature"), "{error}");
    let error = binary::trainer_fails(folder, &["data", "stats", &store, "--engine", "ballista://127.0.0.1:1"]);
    assert!(error.contains("workers read folders, not s3://"), "{error}");
}
