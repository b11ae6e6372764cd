//! Writes the bundle and the first corpus of the fuzz targets, through the real encoders; again after a format changes.
//!
//! `cargo run --package hearth-tests --example fuzz_corpus`. Files that fuzzers found stay; names are digests, so that
//! the same bytes are one file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edge_runtime::bundle::{Bundle, Role};
use edge_runtime::channel::{Arm, Channel};
use edge_runtime::keys::{self, Root};
use edge_runtime::profile::Profile;
use edge_runtime::registry::{Audit, Release};
use edge_runtime::sampling::Sampling;
use edge_runtime::sign::{self, DocumentType};
use edge_runtime::spool::{self, Entry, Spool};
use edge_runtime::upload::batch;
use hearth_tests::cases::{self, Case};
use hearth_tests::world;
use serde_json::json;
use shared_features::codec;
use shared_features::column::Column;
use shared_features::digest::Digest;
use shared_features::encoder::Values;
use shared_features::event::{Event, ImpressionEvent, InteractionEvent, ItemEvent, Shown, UserEvent};
use shared_features::feature_log::Record;
use shared_features::floats::Floats;
use shared_features::history::{Entry as HistoryEntry, History};
use shared_features::policy::{Exploration, Policy, Rules};
use shared_features::rank::LogRows;
use shared_features::tables::Tables;
use shared_features::transform::Training;
use shared_features::wire::{Call, Description, Load, Op, Reply};
use trainer::experiment::onnx_export;
use trainer::release::profile;
use wasm_model::engine::Engine;

mod models;

fn main() {
    let fuzz = world::workspace().join("tests/fuzz");
    let spec = cases::spec();
    let mut tables = cases::tables(&spec);
    let encoder = cases::fitted(&spec, &tables);
    let load = Load {
        encoder: encoder.to_bytes(),
        policy: spec.policy.to_bytes(),
        tables: tables.to_bytes(),
        model: cases::linear_model(encoder.width.expect("a fitted encoder has a width")),
    };
    std::fs::create_dir_all(fuzz.join("bundle")).expect("the folder can be made");
    for (name, bytes) in
        [("encoder", &load.encoder), ("policy", &load.policy), ("tables", &load.tables), ("model.onnx", &load.model)]
    {
        std::fs::write(fuzz.join("bundle").join(name), bytes).expect("the bundle can be written");
    }
    let corpus = Corpus(fuzz.join("corpus"));
    let (small_encoder, small_policy, small_tables) = cases::plain(3);
    let small =
        Load { encoder: small_encoder, policy: small_policy, tables: small_tables, model: cases::linear_model(3) };

    corpus.put("encoder", &load.encoder);
    corpus.put("encoder", &small.encoder);
    corpus.put("encoder", &spec.unfitted.to_bytes());
    corpus.put("policy", &load.policy);
    let fallback = spec.policy.fallback.clone();
    let plain = Policy { rules: Rules::default(), exploration: Exploration::None, fallback, ..spec.policy.clone() };
    corpus.put("policy", &plain.to_bytes());
    corpus.put("tables", &Tables::empty(&encoder.schema, &encoder.statistics).to_bytes());
    tables.items.truncate(2);
    let two = [Some(0), Some(1)];
    tables.attributes = tables.attributes.iter().map(|column| column.take(&two)).collect();
    for statistic in &mut tables.statistics {
        statistic.data = vec![1.5; 2 * statistic.segments.len()];
    }
    corpus.put("tables", &tables.to_bytes());

    let engine = Engine::load(&load).expect("the bundle is good");
    let tagged = |op: u8, message: Vec<u8>| [vec![op], message].concat();
    let few: Vec<Case> =
        (0..200).map(|k| Case::generate(k, &encoder.schema)).filter(|c| c.view.ts.len() < 6).take(2).collect();
    let one = few.first().expect("some generated history is short");
    let call = call(std::slice::from_ref(one));
    let values = engine.extract(&call).expect("a generated case").remove(0).values;
    let values = Values { rows: 1, columns: values.columns.iter().map(|c| c.take(&[Some(0)])).collect() };
    let vectors = engine.encode(&values).expect("the engine's own values");
    for target in ["message", "parity"] {
        corpus.put(target, &tagged(Op::Describe as u8, codec::encode(&())));
        corpus.put(target, &tagged(Op::Extract as u8, codec::encode(&call)));
        corpus.put(target, &tagged(Op::Rank as u8, codec::encode(&self::call(&few))));
        corpus.put(target, &tagged(Op::Encode as u8, codec::encode(&values)));
        corpus.put(target, &tagged(Op::Score as u8, codec::encode(&Floats(vectors.clone()))));
        corpus.put(target, &tagged(5, codec::encode(&small)));
    }

    let view = codec::encode(&one.view);
    corpus.put("history", &view);
    let mut history = History::default();
    history.insert(HistoryEntry::from(&interaction(1)));
    history.insert(HistoryEntry::from(&interaction(2)));
    corpus.put("history", &history.to_bytes());

    corpus.put("onnx", &tagged(3, cases::linear_model(3)));
    corpus.put("onnx", &tagged(2, onnx_export::trees(2, &[], 0.5)));
    corpus.put("onnx", &tagged(2, models::trees()));
    corpus.put("onnx", &tagged(2, models::dense()));

    for spec in ["podcasts", "shortcuts", "playlists"] {
        let text = std::fs::read_to_string(world::spec(spec)).expect("the spec can be read");
        // What the trainer reads of a spec beside its features is no part of a feature spec.
        let ends = ["[learner]", "[split]", "[gate]"].iter().filter_map(|section| text.find(section));
        let text = &text[..ends.min().unwrap_or(text.len())];
        corpus.put("spec", text.as_bytes());
    }
    corpus.put("spec", cases::EVERYTHING.as_bytes());

    let events = [
        Event::Item(ItemEvent { id: "a".into(), ts: 1, attributes: one.event.attributes.clone() }),
        Event::User(UserEvent { id: "u".into(), ts: i64::MIN, attributes: one.event.attributes.clone() }),
        Event::Request(one.event.clone()),
        Event::Impression(impression()),
        Event::Interaction(interaction(1)),
    ];
    events.iter().for_each(|event| corpus.put("event", &serde_json::to_vec(event).expect("plain data")));

    let training = Training { users: &[0], min_users: 1 };
    corpus.put("profile", &profile::of(&values, &training).to_bytes());
    corpus.put("profile", &Profile::unknown(&encoder).to_bytes());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let segment = segment(folder.path());
    corpus.put("spool", &segment);
    corpus.put("batch", &batch::encode(&segment).expect("a segment is compressed"));
    documents(&corpus, folder.path(), small);
    corpus.put("engine", &guest(""));
    corpus.put("engine", &guest(r#"(table 2 funcref) (elem (i32.const 0) 0 1) (global i64 (i64.const 7))"#));
}

/// The folder of corpora.
struct Corpus(PathBuf);

impl Corpus {
    fn put(&self, target: &str, bytes: &[u8]) {
        let folder = self.0.join(target);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let name = Digest::of(bytes).to_string();
        std::fs::write(folder.join(&name[..16]), bytes).expect("the corpus can be written");
    }
}

fn call(cases: &[Case]) -> Call {
    Call {
        histories: cases.iter().map(|c| c.view.clone()).collect(),
        requests: cases.iter().enumerate().map(|(k, c)| (k as u32, c.request.clone())).collect(),
        salt: "salt".into(),
    }
}

fn interaction(k: i64) -> InteractionEvent {
    InteractionEvent {
        id: format!("i{k}"),
        ts: 1_767_571_200_000 + k,
        offset_min: Some(60),
        user: "user".into(),
        item: "item-1".into(),
        action: "play".into(),
        surface: Some("everything".into()),
        request: Some("r".into()),
        dwell_ms: Some(1500.5),
        completion: Some(0.25),
    }
}

fn impression() -> ImpressionEvent {
    let shown = vec![Shown { item: "item-1".into(), position: 0, propensity: Some(0.5) }];
    ImpressionEvent { id: "m".into(), ts: 1, request: "r".into(), shown }
}

/// A segment with an entry of each kind; the rows are small.
fn segment(folder: &Path) -> Vec<u8> {
    let spool = Spool::open(folder, spool::Settings::default()).expect("a new spool");
    let rows = Record {
        request: "r".into(),
        user: "u".into(),
        surface: "everything".into(),
        ts: 1,
        offset_min: 0,
        arrived: 2,
        bundle: None,
        encoder: Digest::of(b"encoder"),
        tables: Digest::of(b"tables"),
        arm: "stable".into(),
        weight: 1,
        history_length: 50,
        fallback: true,
        rows: LogRows {
            items: vec!["a".into()],
            sources: vec![0],
            ranks: vec![0],
            scores: vec![1.5],
            propensity: vec![1.0],
            sampling: vec![1.0],
            history_entries: 0,
            values: Values { rows: 1, columns: vec![Column::Number(vec![2.5])] },
            vectors: vec![2.5],
        },
    };
    let entries = [
        Entry::Rows(Box::new(rows)),
        Entry::from(&interaction(1)),
        Entry::from(&impression()),
        Entry::Request(json!({ "id": "r", "ts": 1, "user": "u", "surface": "everything" }).to_string()),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(spool.append(&entries)).expect("a new spool takes entries");
    drop(spool);
    std::fs::read(folder.join("spool-00000001.hearth")).expect("the first segment")
}

/// A manifest, and a signed document of each type with its payload alone.
fn documents(corpus: &Corpus, folder: &Path, load: Load) {
    let blobs = BTreeMap::from([
        (Role::Engine, guest("")),
        (Role::Encoder, load.encoder),
        (Role::Policy, load.policy),
        (Role::Model, load.model),
        (Role::Tables, load.tables),
        (Role::Golden, vec![0]),
        (Role::Profile, vec![0]),
    ]);
    let bundle = Bundle::make("plain", "compact", Digest::of(b"data"), Sampling::default(), blobs).expect("a bundle");
    corpus.put("manifest", bundle.manifest_bytes());
    // A fixed key, so that the same bytes come out again.
    let key = folder.join("publisher.key");
    std::fs::write(&key, format!("hearth ed25519 secret key v1\n{}=\n", "A".repeat(43))).expect("a temporary file");
    let key = keys::read_secret(&key).expect("a key file");
    let roles = [keys::Role::Root, keys::Role::Publisher];
    let root = Root { version: 1, threshold: 1, keys: roles.map(|role| keys::public(&key, role)).to_vec() };
    let arm = Arm {
        name: "a".into(),
        bundle: bundle.digest(),
        release: "r".into(),
        tables: Some(bundle.digest()),
        weight: 3,
    };
    let pointer = Channel {
        surface: "plain".into(),
        channel: "stable".into(),
        sequence: 1,
        issued: 0,
        expires: 10,
        salt: "salt".into(),
        arms: vec![arm.clone(), Arm { name: "b".into(), tables: None, ..arm }],
        shadow: Some(bundle.digest()),
        revoked: vec![Digest::of(b"bad")],
    };
    corpus.put("document", &serde_json::to_vec(&pointer).expect("plain data"));
    corpus.put("document", &sign::seal(DocumentType::Channel, &pointer, &[&key]));
    corpus.put("document", &sign::seal(DocumentType::Root, &root, &[&key]));
    let release = Release {
        bundle: bundle.digest(),
        surface: "plain".into(),
        created: 1,
        parent: None,
        data_range: [0, 1],
        code_version: "0".into(),
        spec: "surface = 1".into(),
        report: json!({ "a": 0.1 }),
        gate_passed: false,
        gate: json!(null),
        override_reason: Some("a test".into()),
    };
    corpus.put("document", &serde_json::to_vec(&release).expect("plain data"));
    let audit = Audit {
        at: 1,
        action: "publish".into(),
        channel: "c".into(),
        bundle: bundle.digest(),
        reason: "r".into(),
        tables: Vec::new(),
    };
    corpus.put("document", &serde_json::to_vec(&audit).expect("plain data"));
}

/// An engine of a few instructions that loads anything and describes itself; `more` goes into the module.
fn guest(more: &str) -> Vec<u8> {
    let description = Description { abi: 1, kind: "k".into(), features: 0, width: 0, items: 0, model: String::new() };
    let reply = codec::encode(&Reply::Ok(description));
    let data: String = reply.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        r#"(module
             (memory (export "memory") 2)
             (global (mut i32) (i32.const 1024))
             (func (export "hearth_abi") (result i32) i32.const 1)
             (func (export "hearth_alloc") (param i32) (result i32) i32.const 4096)
             (func (export "hearth_free") (param i32 i32))
             (func (export "hearth_load") (param i32 i32) (result i32)
               (i32.store (i32.const 8) (local.get 1)) i32.const 0)
             (func (export "hearth_call") (param i32 i32 i32) (result i64) i64.const {})
             {more}
             (data (i32.const 16) "{data}"))"#,
        16i64 << 32 | reply.len() as i64
    );
    wat::parse_str(text).expect("valid text")
}
