//! The corpus: generated requests for a spec that uses everything, and recorded ones of the simulated Home.
//!
//! Generated cases are ordinary, boundary and adversarial ([`crate::cases`]), every other one written as JSON text and
//! read again; one in twenty has a long history and many candidates. They are scored by a linear model and by trees of every kernel's size. Recorded cases are the requests of
//! a simulated week on the three surfaces, with each user's history up to then. Rows of numbers are scored by the models
//! of the fixtures: those of other exporters by the compact engine ([`corpus`]), graphs by the onnx engine ([`graphs`]),
//! which has no native answers, because tract's native kernels differ from those of WebAssembly by design.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shared_features::codec;
use shared_features::column::Column;
use shared_features::encoder::{Encoder, Values};
use shared_features::event::{Attributes, Event, RequestEvent};
use shared_features::floats::Floats;
use shared_features::history::{History, HistoryView};
use shared_features::policy::CandidateSource;
use shared_features::random::Random;
use shared_features::rank::Parts;
use shared_features::request::Request;
use shared_features::spec::FeatureSpec;
use shared_features::transform::Training;
use shared_features::wire::{Call, Load, Op};
use trainer::data::replay::histories;
use trainer::data::simulate::{World, simulate};
use trainer::data::tables::Snapshots;
use trainer::spec::TrainerSpec;
use wasm_model::engine::Engine;

use super::chunk::{Chunk, LOAD, digest};
use crate::cases::{self, Case};
use crate::world;

/// Of how many generated cases one has a long history and many candidates.
const LONG: u64 = 20;
/// Of how many generated cases one is ranked too, which extracts, encodes and scores once more.
const RANKED: u64 = 8;
/// Models of the onnx engine.
const GRAPHS: [&str; 3] = ["boosted.onnx", "dcn.onnx", "towers.onnx"];
/// Cases of a chunk.
const PER_CHUNK: u64 = 100;
/// Recorded requests that an encoder is fitted on.
const FITTED_ON: usize = 200;
/// The recorded week.
const WEEK: World = World { users: 400, items: 180, days: 7, seed: 11, null: false };
/// The surfaces of the simulated Home.
const SURFACES: [(&str, &str); 3] = [
    ("podcasts", include_str!("../../../trainer/specs/podcasts.toml")),
    ("playlists", include_str!("../../../trainer/specs/playlists.toml")),
    ("shortcuts", include_str!("../../../trainer/specs/shortcuts.toml")),
];

/// Cases that go to a host together, with the native digests of their replies.
pub struct Batch {
    /// The part of the corpus.
    pub part: &'static str,
    /// The messages, see [`super::chunk`].
    pub chunk: Vec<u8>,
    /// The native digest of every reply; none where the first host's answers are the ones to equal.
    pub expected: Vec<u64>,
    /// How long the native engine took.
    pub native_time: Duration,
    /// The case of each message, and what its reply is.
    frames: Vec<(u64, &'static str)>,
}

impl Batch {
    /// How many cases.
    pub fn cases(&self) -> u64 {
        let cases = |frame: Option<&(u64, &str)>| frame.map_or(0, |(case, _)| *case);
        cases(self.frames.last()) + 1 - cases(self.frames.first())
    }

    /// The case of a message.
    pub fn case_of(&self, frame: usize) -> u64 {
        self.frames[frame].0
    }

    /// A message in words.
    pub fn name(&self, frame: usize) -> String {
        let (case, what) = self.frames[frame];
        format!("{}, case {case}: {what}", self.part)
    }
}

/// One model over one encoder, and the cases it gets.
struct Section {
    part: &'static str,
    load: Load,
    cases: Cases,
    /// Whether the native engine answers first.
    native: bool,
}

enum Cases {
    Requests(Box<dyn Iterator<Item = Call>>),
    /// So many messages of rows of so many numbers.
    Rows(u64, usize),
}

/// A corpus of so many generated cases, and at most a tenth as many recorded ones of each surface.
pub fn corpus(generated: u64) -> impl Iterator<Item = Batch> {
    let everything = everything(generated);
    let recorded = std::iter::once_with(move || recorded((generated / 10) as usize)).flatten();
    everything.into_iter().chain(exported(generated / 50)).chain(recorded).flat_map(batches)
}

/// So many messages of rows for each graph that only the onnx engine runs.
pub fn graphs(each: u64) -> impl Iterator<Item = Batch> {
    let fixtures = world::workspace().join("wasm-model/fixtures");
    GRAPHS.into_iter().map(move |name| rows(name, &fixtures.join(name), each, false)).flat_map(batches)
}

/// The models of other exporters, with `cases` messages of rows among them.
fn exported(cases: u64) -> Vec<Section> {
    let folder = world::workspace().join("wasm-model/fixtures/exported");
    let files =
        std::fs::read_dir(folder).expect("the repository has fixtures").map(|file| file.expect("readable").path());
    // LightGBM's categories are refused.
    let mut models: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|e| e == "onnx") && !path.to_string_lossy().contains("categories"))
        .collect();
    models.sort();
    let each = cases.div_ceil(models.len() as u64);
    models.iter().map(|path| rows("exporters' models", path, each, true)).collect()
}

fn rows(part: &'static str, model: &Path, cases: u64, native: bool) -> Section {
    let model = std::fs::read(model).expect("the repository has fixtures");
    // What the scripts of the fixtures have.
    let width = if native { 8 } else { 16 };
    let (encoder, policy, tables) = cases::plain(width);
    Section { part, load: Load { encoder, policy, tables, model }, cases: Cases::Rows(cases, width as usize), native }
}

fn everything(cases: u64) -> Vec<Section> {
    let spec = cases::spec();
    let tables = cases::tables(&spec);
    let encoder = cases::fitted(&spec, &tables);
    let width = encoder.width.unwrap_or(0);
    let parts = Parts { encoder: &encoder, policy: &spec.policy, tables: &tables };
    let sample: Vec<f32> = (0..100)
        .map(|k| Case::generate(k, &encoder.schema))
        .flat_map(|case| {
            encoder.encode(&encoder.extract(&parts.scene(&case.view, &case.request).0)).unwrap_or_default()
        })
        .collect();
    let models = [
        (["generated, linear model", "brief, linear model"], cases::linear_model(width)),
        (["generated, trees of 16 leaves", "brief, trees of 16 leaves"], cases::tree_model(width, 60, 16, &sample)),
        (["generated, trees of 200 leaves", "brief, trees of 200 leaves"], cases::tree_model(width, 20, 200, &sample)),
        (
            ["generated, trees of 1,000 leaves", "brief, trees of 1,000 leaves"],
            cases::tree_model(width, 10, 1_000, &sample),
        ),
    ];
    // Brief cases have no candidates but the request's, so that many can be compared.
    let mut brief = spec.clone();
    brief.policy.candidates = vec![CandidateSource::Request];
    let each = cases.div_ceil(models.len() as u64);
    let long = each.div_ceil(LONG);
    let sections = (0..).zip(models).flat_map(|(index, ([long_part, brief_part], model))| {
        let from = index * each;
        [(long_part, false, from..from + long, model.clone()), (brief_part, true, from + long..from + each, model)]
    });
    sections
        .map(|(part, is_brief, range, model)| {
            let load = load(&encoder, if is_brief { &brief } else { &spec }, tables.to_bytes(), model);
            let schema = encoder.schema.clone();
            let calls = range.map(move |k| {
                let case = if is_brief { Case::brief(k, &schema) } else { Case::generate(k, &schema) };
                let case = if k / 4 % 2 == 1 { case.through_text(&schema) } else { case };
                call(case.view, case.request)
            });
            Section { part, load, cases: Cases::Requests(Box::new(calls)), native: true }
        })
        .collect()
}

fn recorded(most: usize) -> Vec<Section> {
    let mut events = Vec::new();
    let kept = &mut |event| {
        events.push(event);
        Ok(())
    };
    simulate(&WEEK, &|_, _| {}, kept, &mut |_| Ok(())).expect("a world in memory can always be written");
    SURFACES.into_iter().map(|(surface, spec)| surface_of(&events, surface, spec, most)).collect()
}

/// The first requests of a surface, and a tree model over an encoder that is fitted on them.
fn surface_of(events: &[Event], surface: &'static str, spec: &str, most: usize) -> Section {
    let spec = TrainerSpec::parse(spec).expect("a shipped spec is valid").features;
    let histories = histories(events, trainer::data::shard::Shard::WHOLE);
    let mut users: BTreeMap<&str, &Attributes> = BTreeMap::new();
    let mut calls = Vec::new();
    let mut last = 0;
    for event in events {
        match event {
            Event::User(user) => drop(users.insert(&user.id, &user.attributes)),
            Event::Request(request) if request.surface == surface && calls.len() < most => {
                last = request.ts;
                calls.push(recorded_call(request, &users, histories.get(request.user.as_str()), &spec.unfitted));
            }
            _ => {}
        }
    }
    let snapshots = Snapshots::new(&spec, events).expect("the simulator's items fit the shipped specs");
    let tables = snapshots.at(snapshots.as_of_for(last));
    let parts = Parts { encoder: &spec.unfitted, policy: &spec.policy, tables: &tables };
    let fitted_on: Vec<Values> = calls
        .iter()
        .take(FITTED_ON)
        .map(|call| spec.unfitted.extract(&parts.scene(&call.histories[0], &call.requests[0].1).0))
        .collect();
    let columns = (0..spec.features.len()).map(|k| {
        let columns: Vec<&Column> = fitted_on.iter().map(|v| &v.columns[k]).collect();
        Column::concat(&columns).expect("one feature has one kind")
    });
    let values = Values { rows: fitted_on.iter().map(|v| v.rows).sum(), columns: columns.collect() };
    let rows: Vec<u32> = (0..values.rows).collect();
    let training = Training { users: &rows, min_users: 1 };
    let encoder = spec.unfitted.fit(&spec.features, &values, &training).expect("recorded rows can be fitted");
    let sample = encoder.encode(&values).expect("the values are this encoder's");
    let model = cases::tree_model(encoder.width.unwrap_or(0), 100, 31, &sample);
    let load = load(&encoder, &spec, tables.to_bytes(), model);
    Section { part: surface, load, cases: Cases::Requests(Box::new(calls.into_iter())), native: true }
}

fn recorded_call(
    event: &RequestEvent,
    users: &BTreeMap<&str, &Attributes>,
    history: Option<&History>,
    encoder: &Encoder,
) -> Call {
    let user = users.get(event.user.as_str()).copied();
    let request = Request::new(event, user, &encoder.schema).expect("the simulator's requests fit the shipped specs");
    let view = history.map_or_else(HistoryView::default, |h| h.view(event.ts, encoder.history_length));
    call(view, request)
}

fn load(encoder: &Encoder, spec: &FeatureSpec, tables: Vec<u8>, model: Vec<u8>) -> Load {
    Load { encoder: encoder.to_bytes(), policy: spec.policy.to_bytes(), tables, model }
}

fn call(view: HistoryView, request: Request) -> Call {
    Call { histories: vec![view], requests: vec![(0, request)], salt: "salt".into() }
}

/// Natively answered chunks of a section; the first one loads its bundle.
fn batches(section: Section) -> impl Iterator<Item = Batch> {
    let Section { part, load, mut cases, native } = section;
    let engine = native.then(|| Engine::load(&load).expect("the corpus has valid bundles"));
    let mut first = 0;
    std::iter::from_fn(move || {
        let mut writer = Writer::default();
        if first == 0 {
            writer.frame(0, "loading", LOAD, &codec::encode(&load), native.then_some(&[0]));
        }
        let from = first;
        match (&mut cases, &engine) {
            (Cases::Requests(calls), Some(engine)) => {
                for call in calls.by_ref().take(PER_CHUNK as usize) {
                    writer.case(first, engine, &call);
                    first += 1;
                }
            }
            (Cases::Requests(_), None) => {}
            (Cases::Rows(cases, width), engine) => {
                while first < *cases && first < from + PER_CHUNK {
                    writer.score(first, "scores", engine.as_ref(), numbers(part, first, *width));
                    first += 1;
                }
            }
        }
        (first > from).then_some(Batch {
            part,
            chunk: writer.chunk.0,
            expected: writer.expected,
            native_time: writer.time,
            frames: writer.frames,
        })
    })
}

/// Rows of numbers: most as vectors have them, some of any bits.
fn numbers(part: &str, case: u64, width: usize) -> Vec<f32> {
    let mut random = Random::keyed(part, &case.to_string());
    let rows = 1 + random.below(70) as usize;
    (0..rows * width)
        .map(|_| match random.below(16) {
            0 => f32::from_bits(random.next_u64() as u32),
            1 => f32::NAN,
            2 => random.below(4) as f32,
            _ => (random.below(1 << 24) as f32 - (1 << 23) as f32) / (1 << 21) as f32,
        })
        .collect()
}

#[derive(Default)]
struct Writer {
    chunk: Chunk,
    expected: Vec<u64>,
    frames: Vec<(u64, &'static str)>,
    time: Duration,
}

impl Writer {
    /// Values, vectors, scores and slate of one request; and scores of rows of any bits, NaNs with a payload among them.
    fn case(&mut self, case: u64, engine: &Engine, call: &Call) {
        let message = codec::encode(call);
        let extracted = self.timed(|| engine.extract(call));
        self.frame(case, "values", Op::Extract as u32, &message, Some(&codec::encode(&extracted)));
        let Ok([extracted]) = extracted.map(|all| <[_; 1]>::try_from(all).expect("one answer to one request")) else {
            return;
        };
        let vectors = self.timed(|| engine.encode(&extracted.values)).map(Floats);
        let values = codec::encode(&extracted.values);
        self.frame(case, "vectors", Op::Encode as u32, &values, Some(&codec::encode(&vectors)));
        let Ok(Floats(vectors)) = vectors else { return };
        self.score(case, "scores", Some(engine), vectors.clone());
        if case.is_multiple_of(16) {
            let mut random = Random::keyed("bits", &case.to_string());
            let bits = vectors.iter().map(|_| f32::from_bits(random.next_u64() as u32)).collect();
            self.score(case, "scores of any bits", Some(engine), bits);
        }
        if case.is_multiple_of(RANKED) {
            let ranked = self.timed(|| engine.rank(call));
            self.frame(case, "slate", Op::Rank as u32, &message, Some(&codec::encode(&ranked)));
        }
    }

    fn score(&mut self, case: u64, what: &'static str, engine: Option<&Engine>, vectors: Vec<f32>) {
        let scores = engine.map(|engine| codec::encode(&self.timed(|| engine.score(&vectors)).map(Floats)));
        self.frame(case, what, Op::Score as u32, &codec::encode(&Floats(vectors)), scores.as_deref());
    }

    fn frame(&mut self, case: u64, what: &'static str, op: u32, message: &[u8], reply: Option<&[u8]>) {
        self.chunk.push(op, message);
        self.expected.extend(reply.map(digest));
        self.frames.push((case, what));
    }

    fn timed<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let result = run();
        self.time += started.elapsed();
        result
    }
}
