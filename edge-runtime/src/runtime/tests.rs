//! A model that fails: the guest gives its golden answers, and traps or hangs on every real request.

use std::collections::BTreeMap;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use shared_features::codec;
use shared_features::encoder::Values;
use shared_features::event::{Attributes, Candidate};
use shared_features::history::HistoryView;
use shared_features::rank::{Parts, Scored};
use shared_features::request::Request;
use shared_features::spec::FeatureSpec;
use shared_features::tables::Tables;
use shared_features::transform::Training;
use shared_features::wire::{Call, Reply};
use wasm_encoder::{BlockType, Instruction, ValType};

use super::*;
use crate::bundle::{Bundle, Role as BlobRole};
use crate::channel::{Arm, Channel};
use crate::golden::Golden;
use crate::host::tests::{REPLY, at, guest};
use crate::keys;
use crate::profile::Profile;
use crate::registry::{RegistryError, Release};
use crate::sampling::Sampling;

const SPEC: &str = r#"
surface = "SURFACE"
fallback = "short"
slate = 2
[schema.candidate]
minutes = "number"
[label]
grades = { play = 1 }
[[features]]
name = "minutes"
source = "field"
field = "candidate.minutes"
[[baselines]]
name = "short"
score = "0 - minutes"
"#;

/// The only test process of this crate that counts; one recorder serves all its tests.
fn metrics() -> &'static PrometheusHandle {
    static RECORDER: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap())
}

/// A bundle whose engine answers the golden call and runs `failure` on everything else.
fn failing_bundle(surface: &str, failure: &[Instruction<'static>]) -> Bundle {
    let spec = FeatureSpec::parse(&SPEC.replace("SURFACE", surface)).unwrap();
    let values = Values { rows: 1, columns: vec![shared_features::column::Column::Number(vec![1.0])] };
    let training = Training { users: &[0], min_users: 1 };
    let encoder = spec.unfitted.fit(&spec.features, &values, &training).unwrap();
    let tables = Tables::empty(&encoder.schema, &encoder.statistics);
    let event = request(surface, &[]);
    let call = Call {
        histories: vec![HistoryView::default()],
        requests: vec![(0, Request::new(&event, None, &encoder.schema).unwrap())],
        salt: "salt".into(),
    };
    let parts = Parts { encoder: &encoder, policy: &spec.policy, tables: &tables };
    let answers = vec![
        parts.rank(&call.histories[0], &call.requests[0].1, "salt", |_| Scored { scores: vec![], vectors: vec![] }),
    ];
    let length = codec::encode(&call).len();
    let reply = codec::encode(&Reply::Ok(answers.clone()));
    let golden = [
        Instruction::LocalGet(2),
        Instruction::I32Const(length as i32),
        Instruction::I32Eq,
        Instruction::If(BlockType::Result(ValType::I64)),
        at(REPLY.into(), reply.len()),
        Instruction::Else,
    ];
    let body = [&golden, failure, &[Instruction::Unreachable, Instruction::End]].concat();
    let blobs = BTreeMap::from([
        (BlobRole::Engine, guest(1, &reply, &body, false)),
        (BlobRole::Encoder, encoder.to_bytes()),
        (BlobRole::Policy, spec.policy.to_bytes()),
        (BlobRole::Model, Vec::new()),
        (BlobRole::Tables, tables.to_bytes()),
        (BlobRole::Golden, Golden { call, answers }.to_bytes()),
        (BlobRole::Profile, Profile::unknown(&encoder).to_bytes()),
    ]);
    Bundle::make(surface, "compact", Digest::of(b"data"), Sampling::default(), blobs).unwrap()
}

fn request(surface: &str, minutes: &[(&str, f64)]) -> RequestEvent {
    let fields =
        |m: f64| Attributes::from([("minutes".to_owned(), Some(shared_features::event::FieldValue::Number(m)))]);
    RequestEvent {
        id: String::new(),
        ts: 1_000,
        offset_min: 0,
        user: "u".into(),
        surface: surface.into(),
        attributes: Attributes::new(),
        context: Attributes::new(),
        candidates: minutes.iter().map(|(item, m)| Candidate { item: (*item).into(), fields: fields(*m) }).collect(),
        exclude: Vec::new(),
    }
}

#[tokio::test]
async fn after_a_trap_the_fallback_ranks_and_the_rows_say_so() {
    the_fallback_answers("trapping", &[]).await;
}

#[tokio::test]
async fn after_a_deadline_the_fallback_ranks_and_the_rows_say_so() {
    let forever = [Instruction::Loop(BlockType::Empty), Instruction::Br(0), Instruction::End];
    the_fallback_answers("hanging", &forever).await;
}

async fn the_fallback_answers(surface: &str, failure: &[Instruction<'static>]) {
    let metrics = metrics();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    keys::init(&at("keys")).unwrap();
    let key = keys::read_secret(&at("keys/publisher.key")).unwrap();
    let registry = Registry::open(&at("registry").display().to_string()).unwrap();
    let bundle = failing_bundle(surface, failure);
    registry.put_bundle(&bundle).await.unwrap();
    let release = Release {
        bundle: bundle.digest(),
        surface: surface.into(),
        created: 0,
        parent: None,
        data_range: [0, 0],
        code_version: "test".into(),
        spec: SPEC.replace("SURFACE", surface),
        report: serde_json::Value::Null,
        gate_passed: true,
        gate: serde_json::Value::Null,
        override_reason: None,
    };
    let arm = Arm { name: "stable".into(), bundle: bundle.digest(), release: "r".into(), tables: None, weight: 1 };
    let pointer = Channel {
        surface: surface.into(),
        channel: "stable".into(),
        sequence: 1,
        issued: 0,
        expires: i64::MAX,
        salt: "salt".into(),
        arms: vec![arm],
        shadow: None,
        revoked: Vec::new(),
    };
    let refused = Release { gate_passed: false, ..release.clone() };
    let error = registry.point(&pointer, &refused, "publish", &key).await.unwrap_err();
    assert!(matches!(error, RegistryError::Gate { .. }), "{error}");
    registry.point(&pointer, &release, "publish", &key).await.unwrap();

    let settings = Settings {
        registry: at("registry").display().to_string(),
        trust: std::fs::read(at("keys/root.json")).unwrap(),
        channel: "stable".into(),
        surfaces: Vec::new(),
        state: at("state"),
        limits: Limits { call: Duration::from_millis(50), ..Limits::serving() },
        spool: spool::Settings::default(),
        keep: Keep::default(),
        pseudonyms: None,
    };
    let runtime = Arc::new(Runtime::open(settings).await.unwrap());
    runtime.poll().await;
    assert_eq!(runtime.status()[surface].problem, None, "it passes its self-test");
    let error = runtime.explain(request(surface, &[("long", 60.0)])).await.unwrap_err();
    assert!(matches!(error, AnswerError::Explain(_)), "no fallback explains, and nothing is logged: {error}");
    for _ in 0..3 {
        let answer = runtime.rank(request(surface, &[("long", 60.0), ("short", 5.0), ("middle", 30.0)])).await.unwrap();
        let items: Vec<&str> = answer.items.iter().map(|i| i.item.as_str()).collect();
        assert_eq!(
            (answer.fallback, items),
            (true, vec!["short", "middle"]),
            "the heuristic's order, the policy's length"
        );
    }
    let counted = format!("hearth_fallback_total{{surface=\"{surface}\"}} 3");
    assert!(metrics.render().contains(&counted), "{counted}\n{}", metrics.render());
    runtime.close().await;
    let records = spool::read(&at("state/spool")).unwrap().records;
    assert_eq!(records.len(), 3);
    for record in records {
        assert!(record.fallback);
        assert_eq!(record.rows.items, ["short", "middle", "long"], "the unshown one is logged too");
        assert_eq!(record.rows.vectors, [5.0, 30.0, 60.0]);
    }
}
