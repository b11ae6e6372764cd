//! An edge whose collector is away: a bounded spool, and retries of the same batch.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_is_full_drops_the_oldest_and_says_so() {
    let folder = published();
    let folder = folder.path();
    // Nobody listens there; the smallest bound.
    let more = [
        "--collector",
        "http://127.0.0.1:1",
        "--collector-token-file",
        "token",
        "--plain-user-ids",
        "--spool-bytes",
        "1048576",
    ];
    let edge = Arc::new(Edge::start(folder, &more));
    let (known, count) = (Arc::new(Mutex::new(Acknowledged::default())), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|c| tokio::spawn(client(edge.clone(), c.to_string(), known.clone(), count.clone(), stop.clone())))
        .collect();
    let started = Instant::now();
    let ready = loop {
        let ready: Value = serde_json::from_str(&edge.get("/readyz").await).unwrap();
        if ready["spool"]["dropped_entries"].as_u64().unwrap() > 0 {
            break ready;
        }
        assert!(started.elapsed() < PATIENCE, "{ready}");
        tokio::task::yield_now().await;
    };
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(ready["upload"]["problem"].as_str().unwrap().contains("127.0.0.1:1"), "{ready}");
    assert!(ready["upload"]["failures"].as_u64().unwrap() > 0);
    assert_eq!(ready["storage"], Value::Null, "the edge goes on");
    let metrics = edge.get("/metrics").await;
    assert!(metrics.contains("hearth_spool_dropped_entries_total"), "{metrics}");
    assert!(metrics.contains("hearth_upload_failures_total"), "{metrics}");
    // It stays near its bound, and what was dropped is said after a restart too.
    let on_disk = || -> u64 {
        let segments = std::fs::read_dir(folder.join("state/spool")).unwrap();
        segments.map(|s| s.unwrap().metadata().map_or(0, |m| m.len())).sum()
    };
    let started = Instant::now();
    while on_disk() > 1 << 20 {
        assert!(started.elapsed() < PATIENCE, "{} bytes stay", on_disk());
        tokio::task::yield_now().await;
    }
    edge.sigkill();
    let edge = Edge::start(folder, &more);
    let again: Value = serde_json::from_str(&edge.get("/readyz").await).unwrap();
    let dropped = |ready: &Value| ready["spool"]["dropped_entries"].as_u64().unwrap();
    assert!(dropped(&again) >= dropped(&ready));
    // What a collector gets from here on is what was not dropped, once.
    edge.kill();
    let address = free_address();
    let _collector = Process::start(folder, &address);
    let edge = start_edge(folder, &address);
    drained(folder, &edge).await;
    let last: Value = serde_json::from_str(&edge.get("/readyz").await).unwrap();
    let found = Warehouse::of(store(folder)).await.unwrap();
    let stored = stored(&found).await;
    let doubled = stored.requests.values().chain(stored.impressions.values()).chain(stored.interactions.values());
    assert!(doubled.clone().all(|n| *n == 1));
    let known = known.lock().await;
    let lost = known.requests.iter().filter(|id| !stored.requests.contains_key(*id)).count() as u64;
    assert!(lost > 0 && lost <= dropped(&last), "{lost} requests are lost, {} entries were dropped", dropped(&last));
}

/// A batch as it came: the edge's name, its own, and its bytes.
type Came = (String, String, Vec<u8>);

/// A collector that writes down what comes, and acknowledges it only once it is told to.
async fn witness() -> (String, Arc<std::sync::Mutex<Vec<Came>>>, Arc<AtomicBool>) {
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode};
    let (came, answers): (Arc<std::sync::Mutex<Vec<Came>>>, Arc<AtomicBool>) = Default::default();
    let (log, willing) = (came.clone(), answers.clone());
    let handler = move |headers: HeaderMap, body: Bytes| {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        log.lock().unwrap().push((text("hearth-edge"), text("hearth-batch"), body.to_vec()));
        let named = json!({ "batch": text("hearth-batch"), "duplicate": false }).to_string();
        let willing = willing.load(Ordering::Relaxed);
        std::future::ready(if willing { (StatusCode::OK, named) } else { (StatusCode::BAD_GATEWAY, String::new()) })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = axum::Router::new().route("/v1/logs", axum::routing::post(handler));
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    (address, came, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_crash_is_the_same_batch_and_the_next_one_follows_it() {
    let folder = published();
    let folder = folder.path();
    let (address, came, willing) = witness().await;
    let count = || came.lock().unwrap().len();
    let wait_for = async |more: usize| {
        let started = Instant::now();
        while count() < more {
            assert!(started.elapsed() < PATIENCE, "{} of {more} batches came", count());
            tokio::task::yield_now().await;
        }
    };
    let play =
        |k: u32| json!({ "id": format!("i-{k}"), "ts": now_ms(), "user": "u", "item": "show-0001", "action": "play" });
    for round in 0..3 {
        let edge = start_edge(folder, &address);
        let tries = count();
        // More is logged while the first batch is on its way; it does not grow.
        for k in 0..5 {
            assert_eq!(edge.post("/v1/interactions", &play(round * 5 + k)).await.unwrap().0, 202);
        }
        wait_for(tries + 2).await;
        edge.sigkill();
    }
    let first = came.lock().unwrap()[0].clone();
    assert!(came.lock().unwrap().iter().all(|batch| *batch == first), "every try is the same");
    willing.store(true, Ordering::Relaxed);
    let refused = count();
    let edge = start_edge(folder, &address);
    let ids = |batches: &[Came]| {
        let mut ids = Vec::new();
        for (_, _, body) in batches {
            let segment = zstd::decode_all(&body[..]).unwrap();
            let (entries, _) = spool::read_segment(folder, &segment).unwrap();
            ids.extend(entries.into_iter().map(|(entry, _)| match entry {
                Entry::Interaction(json) => serde_json::from_str::<Value>(&json).unwrap()["id"].to_string(),
                other => panic!("{other:?} was not logged"),
            }));
        }
        ids
    };
    let started = Instant::now();
    while ids(&came.lock().unwrap()[refused..]).len() < 15 {
        assert!(started.elapsed() < PATIENCE, "what was logged does not come");
        tokio::task::yield_now().await;
    }
    let batches = came.lock().unwrap()[refused..].to_vec();
    assert_eq!(batches[0], first, "the same batch is acknowledged at last");
    let expected: Vec<String> = (0..15).map(|k| format!("\"i-{k}\"")).collect();
    assert_eq!(ids(&batches), expected, "everything comes once, in order");
    assert!(batches.iter().all(|(edge, ..)| *edge == first.0), "a state folder has one name");
    edge.sigkill();
}
