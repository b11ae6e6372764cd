//! What comes later of a user who was forgotten is not kept; what the user does from then on is.

use hearth_tests::binary::{trainer_fails, trainer_ok};

use super::*;

const USER: &str = "user-1";

fn play(id: &str, user: &str, ts: i64) -> Entry {
    Entry::from(&played(id, user, "show-0001", ts))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_later_of_the_time_before_is_dropped() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 20).await;
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    // Nobody has this user's rows yet: they wait in a batch, and in the edge's spool.
    let (waiting, later) = entries.split_at(entries.len() / 2);
    collector.accept("edge", "1", batch(waiting).into()).await.unwrap();
    tokio::task::block_in_place(|| trainer_ok(folder, &["data", "forget", "--id", USER, "--store", "store"]));
    collector.compact().await.unwrap();
    let back = now_ms() + 10 * 60_000;
    let more = [play("again", USER, back), play("other", "user-2", back)];
    // What is no event of theirs is not put aside either, and impressions may come in another batch than their rows.
    let Entry::Interaction(broken) = play("broken", USER, 1) else { unreachable!("it was played") };
    let broken = Entry::Interaction(broken.replace("\"play\"", "\"\""));
    let (shown, others): (Vec<&Entry>, Vec<&Entry>) = later.iter().partition(|e| matches!(e, Entry::Impression(_)));
    collector.accept("edge", "2", batch(others.into_iter().chain(&more).chain([&broken])).into()).await.unwrap();
    collector.accept("edge", "3", batch(shown).into()).await.unwrap();
    collector.compact().await.unwrap();

    let records: Vec<Record> = spool::read(&folder.join("logged/spool")).unwrap().records;
    let of_user = |r: &&Record| r.user == USER;
    assert!(records.iter().filter(of_user).count() > 1);
    let others: BTreeSet<String> = records.iter().filter(|r| r.user != USER).map(|r| r.request.clone()).collect();
    let kept = ids(&entries);
    let found = Warehouse::of(store(folder)).await.unwrap();
    assert_eq!(found.quarantine(Day::ALL).count(), 0);
    let stored = stored(&found).await;
    assert_eq!(stored.requests.into_keys().collect::<BTreeSet<_>>(), others);
    assert!(stored.raw.keys().all(|id| others.contains(id)) && !stored.raw.is_empty());
    let number = |id: &str| id.split_once('-').unwrap().1.to_owned();
    let expected = |prefix: &str| others.iter().map(|id| format!("{prefix}-{}", number(id))).collect::<BTreeSet<_>>();
    assert_eq!(stored.impressions.into_keys().collect::<BTreeSet<_>>(), expected("m"));
    let mut done = expected("i");
    done.extend(["again".to_owned(), "other".to_owned()]);
    assert_eq!(stored.interactions.into_keys().collect::<BTreeSet<_>>(), done);
    assert!(kept.interactions.len() > done.len() - 2, "something was dropped");
    let error = trainer_fails(folder, &["data", "forget", "--id", USER, "--store", "stoer"]);
    assert!(error.contains("no collector's store"), "{error}");
}
