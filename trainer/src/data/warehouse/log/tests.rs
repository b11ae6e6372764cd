use std::time::Duration;

use object_store::memory::InMemory;

use super::*;

fn objects() -> Objects {
    Objects::over(std::sync::Arc::new(InMemory::new()), "memory", Duration::from_secs(5))
}

fn entry(k: u64) -> Entry {
    let path = format!("events/2026-01-01/{k}.parquet");
    Entry { path, kind: Kind::Events, surface: None, day: Day::FIRST, encoder: None, bytes: k, entries: k }
}

fn commit(k: u64, removed: &[u64]) -> Commit {
    let batch = Batch { name: format!("edge/{k}"), sha256: Digest::of(&k.to_le_bytes()) };
    let removed = removed.iter().map(|k| entry(*k).path).collect();
    Commit { format: FORMAT, sequence: 0, at: 0, batches: vec![batch], added: vec![entry(k)], removed }
}

fn files(log: &Log) -> Vec<u64> {
    log.state().files.values().map(|e| e.entries).collect()
}

#[tokio::test]
async fn a_log_that_is_opened_again_says_the_same() {
    let objects = objects();
    let mut log = Log::open(objects.clone()).await.unwrap();
    assert!(log.commit(commit(1, &[])).await.unwrap());
    assert!(log.commit(commit(2, &[])).await.unwrap());
    assert!(log.commit(commit(3, &[1])).await.unwrap());
    assert_eq!(files(&log), [2, 3]);
    assert_eq!(log.state().batches.len(), 3);
    let again = Log::open(objects).await.unwrap();
    assert_eq!(again.state(), log.state());
}

#[tokio::test]
async fn of_two_writers_one_goes_first() {
    let objects = objects();
    let mut first = Log::open(objects.clone()).await.unwrap();
    let mut second = Log::open(objects.clone()).await.unwrap();
    assert!(first.commit(commit(1, &[])).await.unwrap());
    assert!(!second.commit(commit(2, &[])).await.unwrap(), "it has not seen the first one");
    assert_eq!(files(&second), [] as [u64; 0]);
    second.refresh().await.unwrap();
    assert!(second.commit(commit(2, &[])).await.unwrap());
    first.refresh().await.unwrap();
    assert_eq!((files(&first), files(&second)), (vec![1, 2], vec![1, 2]));
}

#[tokio::test]
async fn a_commit_that_came_through_although_it_failed_counts_once() {
    let objects = objects();
    let mut log = Log::open(objects.clone()).await.unwrap();
    // What another try of the same process has written.
    let mut written = commit(1, &[]);
    written.sequence = 0;
    objects.create("commits/00000000000000000000", seal(&written)).await.unwrap();
    assert!(log.commit(commit(1, &[])).await.unwrap());
    assert_eq!((log.state().next, files(&log)), (1, vec![1]));
}

#[tokio::test]
async fn a_torn_commit_has_its_number_and_does_nothing() {
    let objects = objects();
    let mut log = Log::open(objects.clone()).await.unwrap();
    let whole = seal(&commit(7, &[]));
    for (k, cut) in [0, 1, 64, 65, 66, whole.len() - 1].into_iter().enumerate() {
        objects.create(&commit_path(log.state().next), whole.slice(..cut)).await.unwrap();
        assert!(log.commit(commit(k as u64, &[])).await.unwrap());
        assert_eq!(log.state().next, 2 * (k as u64 + 1));
        assert_eq!(Log::open(objects.clone()).await.unwrap().state(), log.state(), "cut at {cut}");
    }
}

#[tokio::test]
async fn checkpoints_take_the_place_of_old_commits() {
    let objects = objects();
    let mut log = Log::open(objects.clone()).await.unwrap();
    let mut slow = Log::open(objects.clone()).await.unwrap();
    for k in 0..3 * CHECKPOINT_EVERY + 5 {
        // Each file replaces the one before it.
        assert!(log.commit(commit(k, &[k.wrapping_sub(1)])).await.unwrap());
        log.checkpoint().await.unwrap();
        if k == 2 {
            slow.refresh().await.unwrap();
            assert_eq!(files(&slow), [2]);
        }
    }
    let last = 3 * CHECKPOINT_EVERY + 4;
    assert_eq!(files(&log), [last]);
    assert!((objects.list("commits").await.unwrap().len() as u64) < 2 * CHECKPOINT_EVERY);
    assert_eq!(objects.list("checkpoints").await.unwrap().len(), 2);
    assert_eq!(Log::open(objects.clone()).await.unwrap().state(), log.state());
    slow.refresh().await.unwrap();
    assert_eq!(slow.state(), log.state(), "who was away starts over from a checkpoint");
    // A torn checkpoint is passed over.
    let newest = objects.list("checkpoints").await.unwrap().pop().unwrap().0;
    objects.replace(&newest, Bytes::from_static(b"torn")).await.unwrap();
    assert_eq!(Log::open(objects).await.unwrap().state(), log.state());
}

#[tokio::test]
async fn a_log_of_another_version_is_refused() {
    let objects = objects();
    let newer = Commit { format: FORMAT + 1, ..commit(1, &[]) };
    objects.create(&commit_path(0), seal(&newer)).await.unwrap();
    let refused = Log::open(objects).await.unwrap_err().to_string();
    assert!(refused.contains("format 2, this build reads 1"), "{refused}");
}
