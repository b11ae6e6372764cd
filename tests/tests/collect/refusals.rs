//! What is no batch is refused, and what is not as an edge logs it is put aside.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_way_in_refuses_what_is_no_batch_by_name() {
    let folder = published();
    let folder = folder.path();
    let collector = Process::start(folder, "127.0.0.1:0");
    let entries = logged(folder, 2).await;
    let good = batch(&entries);
    let refused = async |token: &str, edge: &str, batch: &str, body: Vec<u8>| {
        let (status, problem) = collector.post(token, edge, batch, body).await;
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused("wrong", "edge", "b", good.clone()).await, is(401, "unknown_token"));
    assert_eq!(refused("", "edge", "b", good.clone()).await, is(401, "unknown_token"));
    let digest = Digest::of(TOKEN.as_bytes()).to_string();
    assert_eq!(refused(&digest, "edge", "b", good.clone()).await, is(401, "unknown_token"), "the file gives none away");
    for (edge, name) in [("..", "b"), ("edge", "a/b"), ("edge", ""), ("e".repeat(65).as_str(), "b")] {
        assert_eq!(refused(TOKEN, edge, name, good.clone()).await, is(400, "malformed_name"), "{edge} {name}");
    }
    let limits = Settings::default();
    assert_eq!(refused(TOKEN, "edge", "b", vec![0; limits.sent_bytes + 1]).await, is(413, "body_too_large"));
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 1 << 30), 3).unwrap();
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    assert_eq!(refused(TOKEN, "edge", "b", bomb).await, is(413, "batch_too_large"));
    let mut altered = good.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    let segment = spool::segment_of(&entries);
    let torn = zstd::encode_all(&segment[..segment.len() - 1], 3).unwrap();
    let no_segment = zstd::encode_all(&b"something else"[..], 3).unwrap();
    for body in [b"garbage".to_vec(), Vec::new(), good[..good.len() / 2].to_vec(), altered, torn, no_segment] {
        assert_eq!(refused(TOKEN, "edge", "b", body).await, is(400, "malformed_batch"));
    }
    let answer = reqwest::Client::new().post(format!("{}/v1/logs", collector.url())).bearer_auth(TOKEN).send().await;
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["code"], "missing_header");

    let (status, taken) = collector.post(TOKEN, "edge", "b", good.clone()).await;
    assert_eq!((status, taken), (200, json!({ "batch": "b", "duplicate": false })));
    let (status, taken) = collector.post(TOKEN, "edge", "b", good).await;
    assert_eq!((status, taken), (200, json!({ "batch": "b", "duplicate": true })));
    assert_eq!(refused(TOKEN, "edge", "b", batch(&entries[..1])).await, is(409, "batch_reused"));
    let metrics = collector.get("/metrics").await;
    assert!(metrics.contains("hearth_collect_batches_total{result=\"new\"} 1"), "{metrics}");
    assert_eq!(collector.get("/healthz").await, "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_an_edge_logs_it_is_put_aside_with_the_reason() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 12).await;
    let records: Vec<Record> = entries
        .iter()
        .filter_map(|e| if let Entry::Rows(record) = e { Some((**record).clone()) } else { None })
        .collect();
    let altered = |k: usize, change: &dyn Fn(&mut Record)| {
        let mut record = records[k].clone();
        change(&mut record);
        Entry::Rows(Box::new(record))
    };
    let play = |ts: i64, action: &str| {
        Entry::Interaction(json!({ "id": "x", "ts": ts, "user": "u", "item": "i", "action": action }).to_string())
    };
    let bad = [
        ("vector_mismatch", altered(0, &|r| r.rows.vectors[3] = f32::from_bits(r.rows.vectors[3].to_bits() ^ 1))),
        ("vector_mismatch", altered(1, &|r| r.rows.vectors.truncate(r.rows.vectors.len() - 1))),
        ("vector_mismatch", altered(2, &|r| r.rows.vectors.clear())),
        ("unpublished_tables", altered(3, &|r| r.tables = Digest::of(b"made up"))),
        ("unknown_encoder", altered(4, &|r| r.encoder = Digest::of(b"made up"))),
        ("unknown_bundle", altered(5, &|r| r.bundle = Some(Digest::of(b"made up")))),
        ("unknown_bundle", altered(6, &|r| r.bundle = None)),
        ("unknown_bundle", altered(7, &|r| r.surface = "../../escape".into())),
        ("malformed_row", altered(8, &|r| drop(r.rows.values.columns.pop()))),
        ("malformed_row", altered(9, &|r| drop(r.rows.items.pop()))),
        ("wrong_day", altered(10, &|r| r.ts = i64::MAX)),
        ("wrong_day", altered(10, &|r| r.ts = now_ms() + 2 * 86_400_000)),
        ("wrong_day", altered(10, &|r| r.ts = -1)),
        ("wrong_day", play(-1, "play")),
        ("malformed_event", play(now_ms(), "")),
        ("malformed_event", Entry::Impression("{".into())),
        ("malformed_event", Entry::Request("[]".into())),
        ("wrong_day", Entry::from(&asked(0, -1))),
        ("malformed_event", Entry::from(&RequestEvent { user: String::new(), ..asked(0, now_ms()) })),
    ];
    let good = Entry::Rows(Box::new(records[11].clone()));
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    let all: Vec<&Entry> = bad.iter().map(|(_, entry)| entry).chain([&good]).collect();
    assert_eq!(collector.accept("edge", "1", batch(all).into()).await.unwrap(), Accepted::New);
    assert_eq!(collector.compact().await.unwrap().batches, 1);

    let found = Warehouse::of(store(folder)).await.unwrap();
    let trained: Vec<_> = found.rows("podcasts", Day::ALL).collect();
    assert_eq!((trained.len(), trained[0].entries, found.events(Day::ALL).count()), (1, 1, 0));
    let read = found.read_rows(trained[0]).await.unwrap().records;
    assert_eq!(codec::encode(&read[0]), codec::encode(&records[11]), "what holds is kept as it was logged");
    assert_eq!(found.surfaces(), ["podcasts"]);
    let aside: Vec<_> = found.quarantine(Day::ALL).collect();
    assert_eq!((aside.len(), aside[0].entries), (1, bad.len() as u64));
    let path = folder.join("store").join(&aside[0].path);
    let (kept, _) = spool::read_segment(&path, &std::fs::read(&path).unwrap()).unwrap();
    let said = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((kept.len(), said.len()), (bad.len(), bad.len()));
    for (((reason, entry), (kept, _)), said) in bad.iter().zip(&kept).zip(&said) {
        assert_eq!(said["reason"], *reason, "{said}");
        assert_eq!(codec::encode(entry), codec::encode(kept), "what is put aside is kept as it came");
        assert_eq!(said["batch"], "edge/1");
    }
    let counted = collector.status().quarantined;
    assert_eq!((counted["vector_mismatch"], counted["wrong_day"], counted["malformed_event"]), (3, 5, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_nobody_trusted_has_signed_is_none() {
    let folder = published();
    let folder = folder.path();
    let entries = logged(folder, 1).await;
    std::fs::remove_dir_all(folder.join("registry/releases")).unwrap();
    let collector = collector(folder, store(folder), Settings::default()).await.unwrap();
    collector.accept("edge", "1", batch(&entries).into()).await.unwrap();
    collector.compact().await.unwrap();
    assert_eq!(collector.status().quarantined, BTreeMap::from([("unreleased_bundle", 1)]));
}
