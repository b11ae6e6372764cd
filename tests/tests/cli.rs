//! The trainer's commands as people run them: the whole loop, `--json`, and what they say to bad input.

use std::path::Path;

use hearth_tests::binary::{trainer, trainer_fails, trainer_ok};
use hearth_tests::world::{TARGET, simulate, spec};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not one JSON value ({e}): {text}"))
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let help = trainer_ok(folder.path(), &["--help"]);
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let mut count = 0;
    for command in commands.filter_map(|line| line.split_whitespace().next()).filter(|c| *c != "help") {
        let help = trainer_ok(folder.path(), &[command, "--help"]);
        assert!(help.contains(&format!("trainer {command}")) && help.contains("Example"), "{command}: {help}");
        count += 1;
    }
    assert!(count >= 10, "{count} commands");
}

#[test]
fn the_whole_loop_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let spec = spec("podcasts");
    simulate(folder, 900, 200, 28, 1, "data");
    let replayed = json(&trainer_ok(folder, &["replay", "--data", "data", "--spec", &spec, "--out", "log", "--json"]));
    assert!(replayed["rows"].as_u64().unwrap() > 5_000, "{replayed}");
    let report = json(&trainer_ok(folder, &["train", "--log", "log", "--spec", &spec, "--out", "run", "--json"]));
    let bundle = report["bundle"].as_str().unwrap();

    let evaluation = json(&trainer_ok(folder, &["evaluate", "--run", "run", "--log", "log", "--json"]));
    assert_eq!(evaluation, report["evaluation"], "the same requests give the same numbers");
    for metric in ["ndcg@5", "ndcg@10", "mrr", "hit@1", "hit@10", "auc"] {
        for field in ["value", "low", "high"] {
            assert!(evaluation["model"][metric][field].is_number(), "model {metric} {field}");
            assert!(evaluation["baselines"]["click_rate"][metric][field].is_number(), "baseline {metric} {field}");
        }
    }
    assert!(evaluation["difference"]["click_rate"]["low"].is_number());
    assert!(evaluation["requests"].is_u64() && evaluation["requests_without_positive"].is_u64());
    assert_eq!(evaluation["surface"], "podcasts");

    // Users and a time that the run never saw.
    simulate(folder, 900, 200, 28, 2, "other-data");
    trainer_ok(folder, &["replay", "--data", "other-data", "--spec", &spec, "--out", "other-log"]);
    let other = json(&trainer_ok(folder, &["evaluate", "--run", "run", "--log", "other-log", "--json"]));
    assert!(other["requests"].as_u64() > evaluation["requests"].as_u64(), "all requests of a log that it never saw");

    trainer_ok(folder, &["keys", "init", "--out", "keys"]);
    let publish = [&["publish", "--run", "run", "--json"], &TARGET[..]].concat();
    let published = json(&trainer_ok(folder, &publish));
    assert_eq!(published["bundle"], bundle);
    assert_eq!(published["sequence"], 1);
    let reference = format!("registry/bundles/{bundle}");
    let again = json(&trainer_ok(folder, &["evaluate", "--bundle", &reference, "--log", "other-log", "--json"]));
    assert_eq!(again, other, "the published bundle is the one that was judged");
    let replayed = [
        "replay",
        "--data",
        "data",
        "--bundle",
        &reference,
        "--channel",
        "registry/channels/podcasts/stable",
        "--out",
        "log-2",
        "--json",
    ];
    assert!(json(&trainer_ok(folder, &replayed))["rows"].as_u64().unwrap() > 5_000);

    let tables = [&["tables", "--data", "data", "--spec", &spec, "--json"], &TARGET[..]].concat();
    assert_eq!(json(&trainer_ok(folder, &tables))["sequence"], 2);

    let once = [&["run", "--once", "--data", "data", "--spec", &spec, "--json"], &TARGET[..]].concat();
    let once = json(&trainer_ok(folder, &once));
    assert_eq!((&once["bundle"], &once["sequence"]), (&published["bundle"], &Value::from(3)), "same data, same bundle");

    // What is not as it should be is kept, for the commands that are given, and nothing is published.
    std::fs::copy(&spec, folder.join("strict.toml")).unwrap();
    trainer_ok(folder, &["data", "stats", "log", "--out", "s.json"]);
    trainer_ok(folder, &["data", "schema", "infer", "s.json", "--out", "strict.schema.toml"]);
    trainer_ok(folder, &["data", "schema", "set", "strict.schema.toml", "dataset.min_examples=1000000000"]);
    let once = [&["run", "--once", "--data", "data", "--spec", "strict.toml"], &TARGET[..]].concat();
    let refused = trainer(folder, &once);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && error.contains("nothing was trained"), "{error}");
    let kept = error.lines().find_map(|line| line.strip_prefix("the log is kept, to look at, in "));
    let kept = Path::new(kept.unwrap_or_else(|| panic!("{error}")));
    assert!(kept.join("log/rows.parquet").is_file(), "{error}");
    std::fs::remove_dir_all(kept).unwrap();
}

#[test]
fn nothing_is_published_without_a_gate_that_passes_or_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    simulate(folder, 900, 200, 28, 1, "data");
    let text = std::fs::read_to_string(spec("podcasts")).unwrap();
    let (without_gate, _) = text.split_once("[gate]").unwrap();
    std::fs::write(folder.join("no-gate.toml"), without_gate).unwrap();
    std::fs::write(folder.join("high-gate.toml"), format!("{without_gate}[gate]\nmin_ndcg = 0.99\nmin_gain = 0.0\n"))
        .unwrap();
    trainer_ok(folder, &["keys", "init", "--out", "keys"]);
    trainer_ok(folder, &["replay", "--data", "data", "--spec", "no-gate.toml", "--out", "log"]);
    let publish = [&["publish", "--run", "run"], &TARGET[..]].concat();
    for spec in ["no-gate.toml", "high-gate.toml"] {
        trainer_ok(folder, &["train", "--log", "log", "--spec", spec, "--out", "run"]);
        let error = trainer_fails(folder, &publish);
        assert!(error.contains("not published"), "{error}");
        assert!(!folder.join("registry/channels").exists(), "{spec}: nothing points at it");
    }
    trainer_ok(folder, &[&publish[..], &["--override", "a reason"]].concat());
    let audit = std::fs::read_dir(folder.join("registry/audit")).unwrap().next().unwrap().unwrap().path();
    let trusted = std::fs::read(folder.join("keys/root.json")).unwrap();
    let publishers =
        edge_runtime::keys::Root::pinned(&trusted).unwrap().trusted(edge_runtime::keys::Role::Publisher).unwrap();
    let entry: edge_runtime::registry::Audit =
        edge_runtime::sign::open(&std::fs::read(audit).unwrap(), edge_runtime::sign::DocumentType::Audit, &publishers)
            .unwrap();
    assert_eq!(entry.reason, "a reason");
}

#[test]
fn bad_input_is_named_with_its_place_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let spec = spec("podcasts");
    let good = r#"{"event":"item","id":"a","ts":1,"attributes":{"category":"news"}}"#;
    std::fs::write(folder.join("bad.jsonl"), format!("{good}\n{{\"event\":\"item\"\n{good}\n")).unwrap();
    let import = ["import", "events", "bad.jsonl", "--spec", &spec, "--out", "data"];
    let error = trainer_fails(folder, &import);
    assert!(error.contains("bad.jsonl:2"), "{error}");
    assert!(!folder.join("data/events.parquet").exists());
    trainer_ok(folder, &[&import[..], &["--max-bad", "1"]].concat());

    let text = std::fs::read_to_string(&spec).unwrap();
    for (name, from, to, line, says) in [
        ("unknown key", "slate = 20", "slat = 20", "slate = 20", "slat"),
        ("impossible type", "slate = 20", "slate = \"many\"", "slate = 20", "invalid type"),
        ("duplicate feature", "name = \"weekend\"", "name = \"hour\"", "name = \"weekend\"", "twice"),
        ("unknown source", "source = \"age\"", "source = \"aeg\"", "source = \"age\"", "aeg"),
    ] {
        let at = text.lines().position(|l| l == line).unwrap() + 1;
        std::fs::write(folder.join("bad.toml"), text.replacen(from, to, 1)).unwrap();
        let error = trainer_fails(folder, &["replay", "--data", "data", "--spec", "bad.toml", "--out", "log"]);
        let got: usize = error.split("line ").nth(1).and_then(|l| l.split(':').next()?.parse().ok()).unwrap_or(0);
        assert!(error.contains(says), "{name}: {error}");
        // A feature is named by its table's first line.
        assert!(got.abs_diff(at) <= 2, "{name}: line {got}, expected {at}: {error}");
    }
    for arguments in [
        &["replay", "--data", "nowhere", "--spec", &spec, "--out", "log"][..],
        &["replay", "--data", "data", "--spec", "nowhere.toml", "--out", "log"],
        &["replay", "--data", "data", "--spec", &spec, "--out", "log"],
        &["train", "--log", "nowhere", "--spec", &spec, "--out", "run"],
        &["evaluate", "--run", "nowhere", "--log", "log"],
        &["evaluate", "--bundle", "registry/bundles/abc", "--log", "log"],
        &["publish", "--run", "nowhere", "--registry", "r", "--channel", "c", "--key", "k"],
        &["train", "--log", "log", "--spec", &spec, "--fold", "3", "--out", "run"],
        &["import", "metarank", "nowhere.jsonl", "--spec", &spec, "--out", "d"],
    ] {
        let error = trainer_fails(folder, arguments);
        assert!(error.lines().any(|l| l.starts_with("error: ") && l.len() > 20), "{arguments:?}: {error}");
    }
    assert_eq!(trainer(folder, &["no-such-command"]).status.code(), Some(2));
}
