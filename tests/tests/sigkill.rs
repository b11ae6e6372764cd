//! SIGKILL of the edge under load, twenty rounds: nothing that was acknowledged is lost or doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use edge_runtime::spool;
use edge_runtime::store::Store;
use hearth_tests::client::{Acknowledged, client, now_ms};
use hearth_tests::edge::Edge;
use hearth_tests::world;
use serde_json::json;
use tokio::sync::Mutex;

const ROUNDS: u64 = 20;
/// Clients at a time.
const CLIENTS: u64 = 6;
/// Acknowledgements in a round before the edge is killed; a round has at least one of each kind.
const ACKNOWLEDGED: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tokio::task::block_in_place(|| world::published(folder, "podcasts"));
    let known = Arc::new(Mutex::new(Acknowledged::default()));
    for round in 0..ROUNDS {
        let edge = Arc::new(Edge::start(folder, &["--sync-ms", "1000"]));
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|c| {
                tokio::spawn(client(edge.clone(), format!("{round}-{c}"), known.clone(), count.clone(), stop.clone()))
            })
            .collect();
        let started = Instant::now();
        // A different moment in each round.
        while count.load(Ordering::Relaxed) < ACKNOWLEDGED + round {
            assert!(started.elapsed() < Duration::from_secs(60), "the edge acknowledges nothing");
            tokio::task::yield_now().await;
        }
        edge.sigkill();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
    }
    // One more start folds in what the last kill left behind; clients that never heard back try again.
    let edge = Edge::start(folder, &[]);
    for (id, user) in known.lock().await.interactions.iter().take(50) {
        let again = json!({ "id": id, "ts": now_ms(), "user": user, "item": "show-0001", "action": "play" });
        assert_eq!(edge.post("/v1/interactions", &again).await.unwrap().0, 202);
    }
    edge.kill();

    let known = known.lock().await;
    let raw = spool::read_from(&folder.join("state/spool"), spool::Position::default()).unwrap();
    let rows = raw.iter().filter_map(|(entry, _)| match entry {
        spool::Entry::Rows(record) => Some(record.request.clone()),
        _ => None,
    });
    let mut written: BTreeMap<String, u32> = BTreeMap::new();
    rows.for_each(|request| *written.entry(request).or_default() += 1);
    assert!(written.values().all(|n| *n == 1), "no request was sent twice, so none is written twice");
    // Events that were sent twice may be written twice; whoever reads counts them once.
    let contents = spool::read(&folder.join("state/spool")).unwrap();
    assert!(contents.duplicates >= 50, "the second tries are there: {}", contents.duplicates);
    let once = |what: &str, got: Vec<&str>, acknowledged: Vec<&str>| {
        let distinct: BTreeSet<&str> = got.iter().copied().collect();
        assert_eq!(distinct.len(), got.len(), "{what}: something is there twice");
        let lost: Vec<_> = acknowledged.iter().filter(|id| !distinct.contains(**id)).collect();
        assert!(lost.is_empty(), "{what}: {} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
        println!("{what}: {} acknowledged, {} logged", acknowledged.len(), got.len());
    };
    once(
        "log rows",
        contents.records.iter().map(|r| r.request.as_str()).collect(),
        known.requests.iter().map(String::as_str).collect(),
    );
    once(
        "impressions",
        contents.impressions.iter().map(|e| e.id.as_str()).collect(),
        known.impressions.iter().map(String::as_str).collect(),
    );
    once(
        "interactions",
        contents.interactions.iter().map(|e| e.id.as_str()).collect(),
        known.interactions.keys().map(String::as_str).collect(),
    );
    assert!(known.interactions.len() as u64 > ROUNDS * ACKNOWLEDGED / 2, "the load was light");
    assert!(
        contents.records.iter().all(|r| !r.fallback && !r.rows.items.is_empty()),
        "the model answered every request"
    );

    let store = Store::open(&folder.join("state/store.redb")).unwrap();
    for user in (0..7).map(|k| format!("user-{k}")) {
        let history = store.history(&user).unwrap();
        let ids: Vec<&str> = history.entries().iter().map(|e| e.id.as_str()).collect();
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(distinct.len(), ids.len(), "the history of {user} has something twice");
        let lost = known.interactions.iter().filter(|(id, of)| **of == user && !distinct.contains(id.as_str())).count();
        assert_eq!(lost, 0, "the history of {user}");
    }
}
