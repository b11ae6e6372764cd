//! The playground in real browsers: the edge in the page gives the server's bits, and verifies as it does.
//!
//! `tests/browser/drive.mjs` drives the page; a browser that is not there is named and skipped.
//! `HEARTH_SCREENSHOT` names a file for Chromium's picture of it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use edge_runtime::entry::Entry;
use hearth_tests::edge::Edge;
use hearth_tests::parity::web::{FIREFOX, found};
use hearth_tests::world;
use serde_json::{Value, json};
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::event::MAX_TS_MS;
use shared_features::feature_log::Record;

const SURFACE: &str = "podcasts";

fn interactions(now: i64) -> Value {
    let one = |k: i64, action: &str| {
        json!({ "id": format!("i{k}"), "ts": now - k * 7_200_000, "offset_min": 60, "user": "ada",
            "item": format!("podcast-{k:04}"), "action": action, "dwell_ms": 61_000.5 * k as f64, "completion": 0.7 })
    };
    json!([one(1, "play"), one(2, "skip"), one(3, "play"), one(30, "like")])
}

/// The bytes of a logged record but for the time of its arrival.
fn bytes(record: Record) -> Vec<u8> {
    codec::encode(&Record { arrived: 0, ..record })
}

async fn the_page_equals_the_server(browser: &str, program: &str) {
    let Some(program) = found(program) else {
        return println!("skipped: {program} is not in the PATH; run: make hosts");
    };
    let hosts = std::env::var_os("HEARTH_HOSTS").map(std::path::PathBuf::from);
    let (Some(node), Some(_)) = (found("node"), hosts.filter(|h| h.join("node_modules/playwright-core").is_dir()))
    else {
        return println!("skipped: node or playwright-core is not there; run: make hosts");
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tokio::task::block_in_place(|| world::published(folder, SURFACE));
    let edge = Edge::start(folder, &["--playground"]);
    let odd = json!({ "id": "odd", "ts": -MAX_TS_MS, "user": "old", "attributes": { "country": "1995" },
        "candidates": [{ "item": "podcast-0001" }, { "item": "podcast-0002" }] });
    assert_eq!(edge.post(&format!("/v1/{SURFACE}/rank"), &odd).await.unwrap().0, 200);
    let now = 1_795_000_000_000i64;
    let interactions = interactions(now);
    let candidates: Vec<Value> = (1..40).map(|k| json!({ "item": format!("podcast-{k:04}") })).collect();
    let request = json!({ "id": "r1", "ts": now, "offset_min": 60, "user": "ada", "surface": SURFACE,
        "attributes": { "country": "SE" }, "context": {}, "candidates": candidates });
    let input = folder.join("input.json");
    let text = json!({ "browser": browser, "program": program, "url": format!("{}/playground", edge.url()),
        "interactions": interactions, "request": request, "preferences": FIREFOX,
        "screenshot": std::env::var("HEARTH_SCREENSHOT").ok() });
    std::fs::write(&input, text.to_string()).unwrap();
    let mut driver = Command::new(node)
        .args(["--experimental-websocket", "--no-warnings"])
        .arg(world::workspace().join("tests/browser/drive.mjs"))
        .arg(&input)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let line = tokio::task::block_in_place(|| said.next()).expect("the driver says what the page did").unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let page = next();
    let shelf = |name: &str| page[name].as_array().unwrap().clone();
    assert_eq!(page["engine"], json!(Digest::of(trainer::ENGINE).to_string()));
    assert!(shelf("before").len() > 3 && shelf("fewer").len() == 3, "{page}");
    assert!(page["nonsense"].as_str().unwrap().starts_with("Not JSON"), "{page}");
    assert!(page["refused"].as_str().unwrap().contains("string"), "{page}");
    assert_eq!((&page["sound"], &page["ranked"]["fault"]), (&json!(""), &Value::Null));
    let expected =
        json!({ "error": "", "name": "old, -271821-04-20T00:00:00.000Z", "country": "\"1995\"", "cards": 2 });
    assert_eq!(page["odd"], expected);

    // The same events to the server, whose row must have the same bytes.
    edge.post("/v1/interactions", &interactions).await.unwrap();
    let mut body = request.clone();
    body.as_object_mut().unwrap().remove("surface");
    let (status, answer) = edge.post(&format!("/v1/{SURFACE}/rank"), &body).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let logged = edge.get(&format!("/playground/requests/{SURFACE}")).await;
    let logged: Value = serde_json::from_str(&logged).unwrap();
    assert_eq!((&logged[0]["event"]["id"], logged[0]["history"].as_array().unwrap().len()), (&json!("r1"), 4));
    let records = edge_runtime::spool::read(&folder.join("state/spool")).unwrap().records;
    let of_server = |id: &str| records.iter().find(|record| record.request == id).unwrap().clone();
    let of_page = |row: &Value| -> Record {
        let row: Vec<u8> = serde_json::from_value(row.clone()).unwrap();
        let Entry::Rows(record) = codec::decode(&row, "row").unwrap() else { panic!("a request logs rows") };
        *record
    };
    let server = of_server("r1");
    assert_eq!(of_page(&page["ranked"]["row"]).rows.items.len(), server.rows.items.len());
    for row in [&page["ranked"]["row"], &page["given"]] {
        assert_eq!(bytes(of_page(row)), bytes(server.clone()));
    }
    // The page's button logs one row: the request as the server had it, its text a text, its time to the millisecond.
    // The history in the editor lies after that time, and so changes nothing.
    assert_eq!((&page["logged"]["error"], &page["logged"]["entries"]), (&json!(""), &json!(1)));
    assert_eq!(bytes(of_page(&page["logged"]["row"])), bytes(of_server("odd")));

    // A page's users have no names unless the app gives them some.
    let installation = page["unnamed"]["installation"].as_str().unwrap();
    assert!(installation.len() == 32 && installation.bytes().all(|byte| byte.is_ascii_hexdigit()), "{installation}");
    assert_eq!((&page["again"], &page["unnamed"]["history"][0]["id"]), (&json!(installation), &json!("unnamed")));
    assert!(page["unnamed"]["lost"].as_str().unwrap().contains("null, expected a string"), "{page}");
    let unnamed = of_page(&page["unnamed"]["row"]);
    assert_eq!((unnamed.user.as_str(), unnamed.rows.history_entries), (installation, 1));

    tamper(&folder.join("registry/blobs/sha256"));
    driver.stdin.take().unwrap().write_all(b"altered\n").unwrap();
    let page = next();
    assert!(page["tampered"].as_str().unwrap().contains("digest"), "{page}");
    assert!(page["older"].as_str().unwrap().contains("sequence"), "{page}");
    assert!(driver.wait().unwrap().success());
}

/// Turns a bit of every blob round.
fn tamper(blobs: &Path) {
    for blob in std::fs::read_dir(blobs).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_gives_the_servers_row() {
    the_page_equals_the_server("chromium", "chromium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_gives_the_servers_row() {
    the_page_equals_the_server("firefox", "firefox-esr").await;
}

#[test]
fn the_playground_is_for_its_own_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root.json"), "{}").unwrap();
    let output = Command::new(hearth_tests::binary::path("edge-runtime"))
        .current_dir(folder.path())
        .args(["serve", "--registry", "registry", "--trust", "root.json", "--channel", "stable", "--state", "state"])
        .args(["--listen", "0.0.0.0:0", "--playground"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("loopback address only; --listen is 0.0.0.0:0"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_or_under_another_name_there_is_no_playground() {
    let folder = tempfile::tempdir().unwrap();
    tokio::task::block_in_place(|| world::published(folder.path(), SURFACE));
    let paths =
        ["", "/settings", "/trust", "/requests/podcasts", "/edge/hearth.js", "/registry/channels/podcasts/stable"];
    let status = |edge: &Edge, path: &str, host: &str| {
        let answer = edge.raw(format!("GET /playground{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let plain = Edge::start(folder.path(), &[]);
    paths.iter().for_each(|path| assert_eq!(status(&plain, path, "localhost"), "404", "{path}"));
    plain.kill();
    let edge = Edge::start(folder.path(), &["--playground"]);
    for path in paths {
        let statuses = ["localhost:1", "127.0.0.1", "[::1]:80"].map(|host| status(&edge, path, host));
        assert_eq!(statuses, ["200"; 3], "{path}");
        let statuses = ["evil.example", "localhost.evil.example", "10.0.0.1"].map(|host| status(&edge, path, host));
        assert_eq!(statuses, ["404"; 3], "{path}");
    }
}
