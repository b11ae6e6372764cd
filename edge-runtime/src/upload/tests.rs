use super::*;
use crate::spool::{Entry, Settings as SpoolSettings, Spool, read_segment};

fn entry(k: u32) -> Entry {
    Entry::Interaction(format!("{{\"id\":\"i{k}\",\"ts\":{k},\"user\":\"u\",\"item\":\"x\",\"action\":\"play\"}}"))
}

async fn fill(spool: &Spool, entries: std::ops::Range<u32>) -> Position {
    let mut position = Position::default();
    for k in entries {
        position = spool.append(&[entry(k)]).await.unwrap();
    }
    let mut synced = spool.synced();
    synced.wait_for(|p| *p >= position).await.unwrap();
    position
}

fn small() -> SpoolSettings {
    SpoolSettings { sync: Duration::from_millis(1), segment_bytes: 400 }
}

#[tokio::test]
async fn pieces_are_the_spool_in_order_and_each_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), small()).unwrap();
    let until = fill(&spool, 0..40).await;
    for bytes in [1, 100, 250, 1 << 20] {
        let (mut position, mut entries) = (Position::default(), Vec::new());
        while let Some(piece) = spool::piece(folder.path(), position, until, bytes).unwrap() {
            assert!(piece.from >= position && piece.to > piece.from);
            assert_eq!(spool::piece_between(folder.path(), piece.from, piece.to).unwrap().as_ref(), Some(&piece));
            let (read, end) = read_segment(folder.path(), &piece.segment).unwrap();
            assert_eq!(end, piece.segment.len() as u64);
            assert!(read.len() == 1 || piece.segment.len() as u64 <= 8 + bytes, "{} entries of {bytes}", read.len());
            entries.extend(read.into_iter().map(|(entry, _)| entry));
            position = piece.to;
        }
        assert_eq!(entries, (0..40).map(entry).collect::<Vec<_>>(), "{bytes}");
    }
}

#[tokio::test]
async fn a_piece_ends_before_what_is_not_synced_and_begins_after_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), small()).unwrap();
    let early = fill(&spool, 0..2).await;
    fill(&spool, 2..40).await;
    let piece = spool::piece(folder.path(), Position::default(), early, 1 << 20).unwrap().unwrap();
    assert_eq!(piece.to, early);
    assert_eq!(spool::piece(folder.path(), early, early, 1 << 20).unwrap(), None);
    let first = spool::segments_of(folder.path()).unwrap().remove(0);
    std::fs::remove_file(first.path).unwrap();
    assert_eq!(spool::piece_between(folder.path(), piece.from, piece.to).unwrap(), None);
    let until = *spool.synced().borrow();
    let next = spool::piece(folder.path(), early, until, 1 << 20).unwrap().unwrap();
    assert_eq!((next.from.segment, next.from.offset), (2, 8));
}

#[tokio::test]
async fn an_altered_byte_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), SpoolSettings { segment_bytes: 1 << 20, ..small() }).unwrap();
    let until = fill(&spool, 0..4).await;
    let path = spool::segments_of(folder.path()).unwrap().remove(0).path;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = spool::piece(folder.path(), Position::default(), until, 1 << 20);
    assert!(matches!(refused, Err(SpoolError::Corrupt { .. })), "{refused:?}");
}

#[test]
fn waits_double_up_to_a_bound_and_are_never_shorter_than_asked() {
    for failures in 1..40 {
        let bound = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16)).min(LAST_WAIT);
        let waits: Vec<Duration> = (0..50).map(|_| backoff(failures, None)).collect();
        assert!(waits.iter().all(|w| *w <= bound), "{failures}: {waits:?}");
        assert!(waits.iter().any(|w| *w != waits[0]), "there is no jitter");
        assert!(backoff(failures, Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert!(backoff(failures, Some(Duration::MAX)) <= LONGEST_WAIT + LAST_WAIT);
    }
}

#[test]
fn the_same_piece_is_the_same_bytes_under_the_same_name() {
    let at = |offset| Position { segment: 3, offset };
    let piece = Piece { from: at(8), to: at(120), segment: vec![7; 120] };
    assert_eq!(name(&piece), "00000003-0000000008-0000000120");
    assert_eq!(batch::encode(&piece.segment).unwrap(), batch::encode(&piece.segment).unwrap());
}

/// What a collector's answer is taken for.
async fn posted(answer: (u16, &'static str, &'static str)) -> Result<(), Refusal> {
    use axum::http::{HeaderMap, StatusCode};
    let (status, retry_after, body) = answer;
    let handler = move |headers: HeaderMap| {
        let body = body.replace("BATCH", headers["hearth-batch"].to_str().unwrap());
        std::future::ready((StatusCode::from_u16(status).unwrap(), [("retry-after", retry_after)], body))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = axum::Router::new().route("/v1/logs", axum::routing::post(handler));
    tokio::spawn(axum::serve(listener, routes).into_future());
    Client::new(&url).unwrap().post("edge", "batch-1", "token", vec![1, 2, 3]).await
}

#[tokio::test]
async fn only_an_answer_that_names_the_batch_is_an_acknowledgement() {
    assert_eq!(posted((200, "", r#"{"batch":"BATCH","duplicate":false}"#)).await, Ok(()));
    for (status, body) in [(200, "<html>welcome</html>"), (200, r#"{"batch":"other"}"#), (202, r#"{"batch":"BATCH"}"#)]
    {
        assert!(matches!(posted((status, "", body)).await, Err(Refusal::Other { .. })), "{status} {body}");
    }
    assert_eq!(posted((409, "", r#"{"code":"batch_reused"}"#)).await, Err(Refusal::Reused));
    assert_eq!(posted((413, "", "")).await, Err(Refusal::TooLarge));
    let busy = posted((503, "7", r#"{"code":"busy","detail":"come again"}"#)).await;
    let Err(Refusal::Other { problem, retry_after }) = busy else { panic!("{busy:?}") };
    assert!(problem.contains("503") && problem.contains("come again"), "{problem}");
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    let gone = Client::new("http://127.0.0.1:1").unwrap().post("e", "b", "t", Vec::new()).await;
    assert!(matches!(gone, Err(Refusal::Other { .. })), "{gone:?}");
}

#[test]
fn a_collector_that_cannot_be_reached_is_refused_at_the_start() {
    for url in ["collector", "ftp://collector", ""] {
        assert!(matches!(Client::new(url), Err(UploadError::Url { .. })), "{url}");
    }
    #[cfg(not(feature = "https"))]
    assert!(Client::new("https://collector").unwrap_err().to_string().contains("feature `https`"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    assert!(client::token(&path).unwrap_err().to_string().contains("--collector-token-file"));
    for (text, token) in [("", None), ("\nlater\n", None), ("two words\n", None), ("  abc \nmore", Some("abc"))] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(client::token(&path).ok().as_deref(), token, "{text:?}");
    }
}
