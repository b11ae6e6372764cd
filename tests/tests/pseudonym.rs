//! An edge with a key keeps and logs pseudonyms, and nothing of its users' names.

use std::process::Command;

use hearth_tests::edge::Edge;
use hearth_tests::{binary, world};
use serde_json::json;

const USER: &str = "ada@example.org";

fn pseudonym(folder: &std::path::Path, arguments: &[&str]) -> String {
    let mut command = Command::new(binary::path("edge-runtime"));
    let output = command.current_dir(folder).args(["pseudonym", "--key", "key"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_of_an_edge_names_its_users() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world::published(folder, "podcasts");
    pseudonym(folder, &["--new"]);
    let name = pseudonym(folder, &[USER]);
    assert_eq!(name.len(), 32);

    let edge = Edge::start(folder, &["--pseudonym-key", "key"]);
    let request = json!({ "user": USER, "candidates": [{ "item": "p1" }, { "item": "p2" }] });
    let (status, answer) = edge.post("/v1/podcasts/rank", &request).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let play = json!({ "id": "i1", "ts": 1_700_000_000_000i64, "user": USER, "item": "p1", "action": "play" });
    let (status, answer) = edge.post("/v1/interactions", &play).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    // The history is the pseudonym's.
    let (status, answer) = edge.post("/v1/podcasts/rank", &request).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(edge.terminate());

    let logged = edge_runtime::spool::read(&folder.join("state/spool")).unwrap();
    assert_eq!(logged.records.len(), 2);
    assert!(logged.records.iter().all(|r| r.user == name));
    assert_eq!(logged.records[1].rows.history_entries, 1, "the second request sees what was played");
    assert_eq!(logged.interactions[0].user, name);
    let mut folders = vec![folder.join("state")];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(USER.len()).any(|w| w == USER.as_bytes()), "{} names a user", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_history_is_gone_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world::published(folder, "podcasts");
    pseudonym(folder, &["--new"]);
    let mut edge = Edge::start(folder, &["--pseudonym-key", "key"]);
    for (id, user) in [("i1", USER), ("i2", USER), ("i3", "grace")] {
        let play = json!({ "id": id, "ts": 1_700_000_000_000i64, "user": user, "item": "p1", "action": "play" });
        assert_eq!(edge.post("/v1/interactions", &play).await.unwrap().0, 202);
    }
    let path = "/v1/users/ada%40example.org/history";
    assert_eq!(edge.delete(path).await, (200, json!({ "interactions": 2 })));
    assert_eq!(edge.delete(path).await, (200, json!({ "interactions": 0 })));
    // The spool still has what was done; a restart after a crash must not fold it in again.
    edge.sigkill();
    edge = Edge::start(folder, &["--pseudonym-key", "key"]);
    for user in [USER, "grace"] {
        let request = json!({ "id": user, "user": user, "candidates": [{ "item": "p1" }] });
        assert_eq!(edge.post("/v1/podcasts/rank", &request).await.unwrap().0, 200);
    }
    assert!(edge.terminate());
    let logged = edge_runtime::spool::read(&folder.join("state/spool")).unwrap();
    assert_eq!(logged.interactions.len(), 3);
    let seen: Vec<_> = logged.records.iter().map(|r| (r.request.as_str(), r.rows.history_entries)).collect();
    assert_eq!(seen, [(USER, 0), ("grace", 1)]);
}

#[test]
fn an_edge_does_not_upload_names_unless_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root.json"), "{}").unwrap();
    let output = Command::new(binary::path("edge-runtime"))
        .current_dir(folder.path())
        .args(["serve", "--registry", "registry", "--trust", "root.json", "--channel", "stable", "--state", "state"])
        .args(["--collector", "http://127.0.0.1:1", "--collector-token-file", "token"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("--pseudonym-key"), "{error}");
}
