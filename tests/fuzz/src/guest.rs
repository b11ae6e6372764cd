//! What the guest reads, natively: encoder, policy, tables, history, messages, model, spec, events.

use std::sync::OnceLock;

use serde::{Serialize, de::DeserializeOwned};
use shared_features::codec;
use shared_features::column::Kind;
use shared_features::encoder::{Encoder, Values};
use shared_features::event::{Attributes, Candidate, Event, FieldValue, RequestEvent};
use shared_features::history::{Entry, History, HistoryView};
use shared_features::policy::{CandidateSource, Exploration, Policy, Rules};
use shared_features::rank::{Parts, Scored};
use shared_features::request::Request;
use shared_features::schema::{Field, Schema};
use shared_features::spec::FeatureSpec;
use shared_features::tables::Tables;
use shared_features::wire::{Call, Load, Op, Reply};
use wasm_model::engine::{Engine, dispatch};
use wasm_model::onnx::Model;

/// An encoder, which then reads requests of its own schema.
pub fn encoder(data: &[u8]) {
    let Ok(read) = Encoder::from_bytes(data) else { return };
    assert_eq!(codec::encode(&Encoder::from_bytes(&read.to_bytes()).expect("what was read")), read.to_bytes());
    let Some(first) = read.baselines.first() else { return };
    let policy = plain_policy(&first.name);
    let tables = Tables::empty(&read.schema, &read.statistics);
    ranks(&read, &policy, &tables);
    let load = Load { encoder: data.to_vec(), policy: policy.to_bytes(), tables: Vec::new(), model: Vec::new() };
    let _ = Engine::load(&load);
}

/// A policy for the kept bundle's encoder.
pub fn policy(data: &[u8]) {
    let (encoder, tables) = (&kept().encoder, &kept().tables);
    let Ok(read) = Policy::from_bytes(data, encoder) else { return };
    assert_eq!(Policy::from_bytes(&read.to_bytes(), encoder).expect("what was read").to_bytes(), read.to_bytes());
    ranks(encoder, &read, tables);
}

/// A table snapshot of the kept bundle's schema.
pub fn tables(data: &[u8]) {
    let encoder = &kept().encoder;
    let read = |bytes: &[u8]| Tables::from_bytes(bytes, &encoder.schema, &encoder.statistics);
    let Ok(tables) = read(data) else { return };
    assert_eq!(read(&tables.to_bytes()).expect("what was read").to_bytes(), tables.to_bytes());
    ranks(encoder, &kept().policy, &tables);
}

/// A stored history, and the view of one that a host sends.
pub fn history(data: &[u8]) {
    if let Ok(mut history) = History::from_bytes(data) {
        assert_eq!(History::from_bytes(&history.to_bytes()).expect("what was read").to_bytes(), history.to_bytes());
        for ts in [i64::MIN, 0, i64::MAX] {
            assert!(history.view(ts, 1000).is_consistent());
        }
        if let Some(entry) = history.entries().first().cloned() {
            assert!(!history.insert(entry.clone()), "it is there already");
            history.insert(Entry { id: "one more".into(), ..entry });
            assert!(history.view(i64::MAX, u32::MAX).is_consistent());
        }
    }
    if let Ok(view) = codec::decode::<HistoryView>(data, "view")
        && view.is_consistent()
    {
        let encoder = &kept().encoder;
        let requests = events(&encoder.schema).iter().map(|e| (0, typed(e, &encoder.schema))).collect();
        let call = Call { histories: vec![view], requests, salt: "salt".into() };
        kept().engine.as_ref().expect("the kept bundle loads").rank(&call).expect("a consistent history");
    }
}

/// A message to a loaded engine: the first byte is the op; an op that there is not is a load.
pub fn message(data: &[u8]) {
    let Some((&op, message)) = data.split_first() else { return };
    if Op::from_u32(op.into()).is_some() {
        dispatch(&kept().engine, op.into(), message);
    } else if let Ok(load) = codec::decode::<Load>(message, "load") {
        let engine = Engine::load(&load).map_err(|e| e.to_string());
        dispatch(&engine, Op::Describe as u32, &[]);
    }
}

/// A model for as many features as the first byte says; it scores the same in a batch and row by row.
pub fn onnx(data: &[u8]) {
    let Some((&width, bytes)) = data.split_first() else { return };
    let width = usize::from(width).max(1);
    let Ok(model) = Model::load(bytes, width as u32) else { return };
    let _ = model.describe().to_string();
    // More than one block of any kernel.
    let rows = 70;
    let x: Vec<f32> = (0..rows * width).map(|k| NUMBERS[(k * 7 + k / width) % NUMBERS.len()]).collect();
    let mut batch = Vec::new();
    model.score(&x, &mut batch);
    assert_eq!(batch.len(), rows, "a score a row");
    for (row, score) in x.chunks_exact(width).zip(&batch) {
        let mut alone = Vec::new();
        model.score(row, &mut alone);
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].to_bits(), score.to_bits(), "{} alone, {score} in a batch", alone[0]);
    }
}

/// A feature spec's text.
pub fn spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match FeatureSpec::parse(text) {
        Ok(spec) => {
            let encoder = spec.unfitted;
            ranks(&encoder, &spec.policy, &Tables::empty(&encoder.schema, &encoder.statistics));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// An event as JSON; a request is ranked by the kept bundle.
pub fn event(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(data) else { return };
    if event.check().is_err() {
        return;
    }
    json_again(&event);
    let encoder = &kept().encoder;
    if let Event::Request(request) = event
        && let Ok(request) = Request::new(&request, None, &encoder.schema)
    {
        let call = Call { histories: vec![HistoryView::default()], requests: vec![(0, request)], salt: String::new() };
        kept().engine.as_ref().expect("the kept bundle loads").rank(&call).expect("a typed request");
    }
}

/// The parts of `bundle`, loaded.
pub struct Kept {
    /// Their bytes.
    pub load: Load,
    /// The native engine over them.
    pub engine: Reply<Engine>,
    /// The encoder.
    pub encoder: Encoder,
    policy: Policy,
    tables: Tables,
}

/// The bundle in the folder `bundle`.
pub fn kept() -> &'static Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    KEPT.get_or_init(|| {
        let load = Load {
            encoder: include_bytes!("../bundle/encoder").to_vec(),
            policy: include_bytes!("../bundle/policy").to_vec(),
            tables: include_bytes!("../bundle/tables").to_vec(),
            model: include_bytes!("../bundle/model.onnx").to_vec(),
        };
        let of_this_build = "the kept bundle is of this build; run `cargo run --example fuzz_corpus`";
        let encoder = Encoder::from_bytes(&load.encoder).expect(of_this_build);
        let policy = Policy::from_bytes(&load.policy, &encoder).expect(of_this_build);
        let tables = Tables::from_bytes(&load.tables, &encoder.schema, &encoder.statistics).expect(of_this_build);
        let engine = Engine::load(&load).map_err(|e| e.to_string());
        assert!(engine.is_ok(), "{of_this_build}");
        Kept { load, encoder, policy, tables, engine }
    })
}

/// Values of a request, by the kept bundle's encoder.
pub fn values() -> Values {
    let Kept { encoder, policy, tables, .. } = kept();
    let (history, request) = (a_history(tables), typed(&events(&encoder.schema)[0], &encoder.schema));
    encoder.extract(&Parts { encoder, policy, tables }.scene(&history, &request).0)
}

/// Numbers that find bugs.
const NUMBERS: [f32; 13] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    f32::NAN,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-40,
    3.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

/// A policy that takes the request's candidates as they are.
fn plain_policy(fallback: &str) -> Policy {
    Policy {
        surface: "surface".into(),
        candidates: vec![CandidateSource::Request],
        rules: Rules::default(),
        exploration: Exploration::None,
        fallback: fallback.to_owned(),
        slate: 3,
        log_unshown: 1,
    }
}

/// Ranks requests of the encoder's own schema, by scores of every kind.
fn ranks(encoder: &Encoder, policy: &Policy, tables: &Tables) {
    if policy.check(encoder).is_err() {
        return;
    }
    let parts = Parts { encoder, policy, tables };
    let history = a_history(tables);
    for event in events(&encoder.schema) {
        let request = typed(&event, &encoder.schema);
        let ranked = parts.rank(&history, &request, "salt", |values| {
            encoder.check_values(values).expect("what was extracted fits");
            for baseline in &encoder.baselines {
                assert_eq!(encoder.baseline(baseline, values).len(), values.rows as usize);
            }
            let scores = (0..values.rows as usize).map(|k| NUMBERS[k % NUMBERS.len()]).collect();
            Scored { scores, vectors: encoder.encode(values).unwrap_or_default() }
        });
        let rows = ranked.rows.items.len();
        assert!(ranked.rows.ranks.len() == rows && ranked.rows.propensity.len() == rows, "a row an item");
        assert!(ranked.rows.propensity.iter().all(|p| p.is_nan() || (*p > 0.0 && *p <= 1.0)), "{:?}", ranked.rows);
    }
}

fn a_history(tables: &Tables) -> HistoryView {
    let items = ["a", "b", ""].into_iter().chain(tables.items.iter().map(String::as_str).take(20));
    let entries = items.enumerate().map(|(k, item)| Entry {
        ts: k as i64 * 3_600_000,
        id: k.to_string(),
        item: item.to_owned(),
        action: ["play", "hide", "skip"][k % 3].into(),
        offset_min: 60,
        dwell_ms: 1000.0 * k as f32,
        completion: 0.5,
    });
    HistoryView::of(History::from_entries(entries.collect()).entries())
}

/// Three requests with values of every kind, and with none.
fn events(schema: &Schema) -> Vec<RequestEvent> {
    let event = |k: usize, ts: i64, candidates: usize| RequestEvent {
        id: k.to_string(),
        ts,
        offset_min: -840,
        user: "user".into(),
        surface: "surface".into(),
        attributes: attributes(&schema.user, k),
        context: attributes(&schema.context, k),
        candidates: (0..candidates)
            .map(|c| Candidate {
                item: ["a", "b", "item-1", "item-2", ""][c].into(),
                fields: attributes(&schema.candidate, k + c),
            })
            .collect(),
        exclude: vec!["b".into()],
    };
    vec![event(0, 90_000_000, 5), event(1, i64::MAX, 1), event(2, i64::MIN, 0)]
}

fn typed(event: &RequestEvent, schema: &Schema) -> Request {
    let request = Request::new(event, None, schema).expect("values are of the declared kinds");
    request.check(schema).expect("typed by this schema");
    request
}

fn attributes(fields: &[Field], seed: usize) -> Attributes {
    let value = |(k, field): (usize, &Field)| {
        let number = |k: usize| f64::from(NUMBERS[k % 5]) * 1e9;
        let word = |k: usize| ["a", "", "news é"][k % 3].to_owned();
        let at = seed + k;
        let value = match field.kind {
            Kind::Number | Kind::Timestamp => FieldValue::Number(number(at)),
            Kind::Boolean => FieldValue::Boolean(at.is_multiple_of(2)),
            Kind::Category | Kind::Text => FieldValue::String(word(at)),
            Kind::Tags => FieldValue::Strings((0..at % 3).map(word).collect()),
            Kind::Vector(width) => FieldValue::Numbers((0..width as usize).map(number).collect()),
        };
        (field.name.clone(), (at % 4 != 3).then_some(value))
    };
    fields.iter().enumerate().map(value).collect()
}

/// What is written as JSON is read as the same.
pub fn json_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("plain data");
    assert_eq!(&serde_json::from_str::<T>(&text).expect("what was written"), value);
}
