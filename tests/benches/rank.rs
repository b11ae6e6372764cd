//! A whole request: decode history and request, extract, encode, score, sort, build the log row.
//!
//! 200 candidates, 40 features, a history of 1,000, the model of 300 trees x 31 leaves that `score/models.py` writes
//! (`HEARTH_HOSTS/models`). Natively, in an instance of its own for each request, and in a kept one;
//! interleaved, in one run. Then: how long an edge takes to start, and the memory that it stays with.

use std::path::{Path, PathBuf};
use std::time::Instant;

use edge_runtime::host::{Guest, Host, Limits};
use shared_features::codec;
use shared_features::column::Column;
use shared_features::encoder::Values;
use shared_features::event::{Attributes, Candidate, RequestEvent};
use shared_features::history::{Entry, History};
use shared_features::random::Random;
use shared_features::rank::Ranked;
use shared_features::request::Request;
use shared_features::spec::FeatureSpec;
use shared_features::tables::Tables;
use shared_features::transform::Training;
use shared_features::wire::{Call, Load, Op, Reply};
use wasm_model::engine::{Engine, dispatch};

const CANDIDATES: u32 = 200;
const HISTORY: u32 = 1_000;
/// Requests a run, and interleaved runs.
const REQUESTS: usize = 400;
const RUNS: usize = 5;

fn main() {
    let Some(hosts) = std::env::var_os("HEARTH_HOSTS").map(PathBuf::from) else {
        println!("skipped: HEARTH_HOSTS is not set; `make bench` sets it");
        return;
    };
    if let Some(folder) = std::env::var_os(RESIDENT) {
        return resident(&hosts, Path::new(&folder));
    }
    let (load, call) = (load(model(&hosts, "300x31"), 0), call());
    let host = Host::shared().expect("wasmtime works here");

    let start = |folder: &Path, at_once: bool| {
        let started = Instant::now();
        let host = host.with_cache(&folder.join("compiled")).expect("the folder is ours");
        let limits = Limits { at_once, ..Limits::serving() };
        let guest = Guest::new(&host, trainer::ENGINE, &load, limits).expect("the engine loads");
        guest.rank(&call).expect("the request is valid");
        (guest, started.elapsed().as_secs_f64() * 1e3)
    };
    let temporary = || tempfile::tempdir().expect("a temporary folder");
    let (mut cold, mut slow, mut compiled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let folder = temporary();
        let started = Instant::now();
        let (guest, ms) = start(folder.path(), true);
        cold.push(ms);
        // While the better code is made beside it.
        slow.push(microseconds(|| drop(guest.rank(&call))));
        while guest.is_provisional() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        compiled.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let folder = temporary();
    let (_, whole) = start(folder.path(), false);
    let mut warm: Vec<f64> = (0..20).map(|_| start(folder.path(), true).1).collect();
    let (guest, _) = start(folder.path(), true);
    let mut starts: Vec<f64> = (0..2_000).map(|_| microseconds(|| drop(guest.start().expect("it starts")))).collect();

    let kept = Limits { keep: true, ..Limits::serving() };
    let kept = Guest::new(host, trainer::ENGINE, &load, kept).expect("the engine loads");
    let native = Engine::load(&load).map_err(|e| e.to_string());
    let natively = || {
        let reply = dispatch(&native, Op::Rank as u32, &codec::encode(&call));
        codec::decode::<Reply<Vec<Ranked>>>(&reply, "reply").expect("a reply").expect("the request is valid")
    };
    assert_eq!(codec::encode(&natively()), codec::encode(&guest.rank(&call).expect("the request is valid")));

    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        times[0].extend((0..REQUESTS).map(|_| microseconds(|| drop(natively()))));
        times[1].extend((0..REQUESTS).map(|_| microseconds(|| drop(guest.rank(&call)))));
        times[2].extend((0..REQUESTS).map(|_| microseconds(|| drop(kept.rank(&call)))));
    }
    println!(
        "a request: {CANDIDATES} candidates, 40 features, a history of {HISTORY}, 300 trees x 31 leaves; microseconds"
    );
    let base = percentile(&mut times[0], 0.5);
    for (name, times) in ["native", "an instance a request", "a kept instance"].iter().zip(&mut times) {
        let (p50, p99) = (percentile(times, 0.5), percentile(times, 0.99));
        println!("{name:>24}  p50 {p50:8.1} [{:.2}x]  p99 {p99:8.1}", p50 / base);
    }
    let native = native.expect("the parts are valid");
    let mut extracted = native.extract(&call).expect("the request is valid");
    let values = extracted.remove(0).values;
    let vectors = native.encode(&values).expect("the values are valid");
    println!("of which, natively: {}", {
        let part = |name: &str, run: &dyn Fn()| {
            let mut times: Vec<f64> = (0..REQUESTS).map(|_| microseconds(run)).collect();
            format!("{name} {:.1}  ", percentile(&mut times, 0.5))
        };
        let message = codec::encode(&call);
        part("decode", &|| drop(codec::decode::<Call>(&message, "call")))
            + &part("extract", &|| drop(native.extract(&call)))
            + &part("encode", &|| drop(native.encode(&values)))
            + &part("score", &|| drop(native.score(&vectors)))
    });
    let started = Instant::now();
    drop(Engine::load(&load));
    println!("native load {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    let warm = percentile(&mut warm, 0.5);
    let [cold, slow, compiled] = [&mut cold, &mut slow, &mut compiled].map(|times| percentile(times, 0.5));
    println!("from bytes to the first answer {cold:.1} ms cold, {warm:.1} ms with the local cache");
    println!("a cold start's answers take {slow:.0} us until better code is there, after {compiled:.1} ms");
    println!("from bytes to the first answer, waiting for better code: {whole:.1} ms");
    println!(
        "an instance ready to rank      p50 {:.1} us, p99 {:.1} us",
        percentile(&mut starts, 0.5),
        percentile(&mut starts, 0.99)
    );
    // In a process of its own, which has done nothing else.
    let this = std::env::current_exe().expect("this bench is a file");
    for what in ["first start", "start from the local cache"] {
        let mut child = std::process::Command::new(&this);
        let status = child.env(RESIDENT, folder.path()).arg(what).status().expect("it starts again");
        assert!(status.success(), "{status}");
    }
}

/// Set for the process whose memory is measured: a folder for its caches.
const RESIDENT: &str = "HEARTH_BENCH_RESIDENT";

/// Prints the memory of a process with 3 surfaces x 2 arms, each of which has answered.
fn resident(hosts: &Path, folder: &Path) {
    let host = Host::shared().expect("wasmtime works here");
    let guests = || -> Vec<Guest> {
        let host = host.with_cache(&folder.join("resident")).expect("the folder is ours");
        ["100x31", "300x31", "500x31"]
            .iter()
            .flat_map(|name| [0, 1].map(|arm| load(model(hosts, name), arm)))
            .map(|load| Guest::new(&host, trainer::ENGINE, &load, Limits::serving()).expect("the engine loads"))
            .collect()
    };
    let call = call();
    let before = memory();
    let guests = guests();
    guests.iter().for_each(|guest| drop(guest.rank(&call).expect("the request is valid")));
    let [all, own] = memory();
    println!(
        "resident with 3 surfaces x 2 arms, {}: {all:.0} MB, of which {own:.0} are no mapped files; before them {:.0} and {:.0}",
        std::env::args().nth(1).unwrap_or_default(),
        before[0],
        before[1]
    );
}

/// Resident megabytes of this process, and those of them that are no mapped files; 0 where Linux does not say.
fn memory() -> [f64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["VmRSS:", "RssAnon:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    })
}

fn model(hosts: &Path, name: &str) -> Vec<u8> {
    std::fs::read(hosts.join(format!("models/{name}.onnx"))).expect("models.py wrote the model")
}

/// The parts of a bundle: 28 features of the history, 12 of the candidate and the context.
fn load(model: Vec<u8>, as_of: i64) -> Load {
    let mut features = String::new();
    let mut add = |name: &str, rest: &str| features += &format!("[[features]]\nname = \"{name}\"\n{rest}\n");
    for scope in ["item", "all", "item.category", "item.tags"] {
        let name = scope.replace('.', "_");
        for window in ["1d", "30d"] {
            add(
                &format!("count_{name}_{window}"),
                &format!("source = \"count\"\nscope = \"{scope}\"\nwindow = \"{window}\""),
            );
        }
        for half_life in ["1d", "7d", "30d"] {
            let rest = format!(
                "source = \"decayed_count\"\nscope = \"{scope}\"\nhalf_life = \"{half_life}\"\ntransforms = [\"log1p\"]"
            );
            add(&format!("decayed_{name}_{half_life}"), &rest);
        }
        add(&format!("since_{name}"), &format!("source = \"since_last\"\nscope = \"{scope}\""));
        add(&format!("habit_{name}"), &format!("source = \"count\"\nscope = \"{scope}\"\nsame = \"hour\""));
    }
    for k in 0..10 {
        add(&format!("field_{k}"), &format!("source = \"field\"\nfield = \"candidate.f{k}\""));
    }
    add("hour", "source = \"time\"\npart = \"hour\"");
    add("size", "source = \"list_size\"");
    let fields: String = (0..10).map(|k| format!("f{k} = \"number\"\n")).collect();
    let spec = format!(
        "surface = \"bench\"\nfallback = \"first\"\nslate = 20\n[schema.item]\ncategory = \"category\"\ntags = \"tags\"\n\
         [schema.candidate]\n{fields}[label]\ngrades = {{ play = 1 }}\n{features}[[baselines]]\nname = \"first\"\nscore = \"size\"\n"
    );
    let spec = FeatureSpec::parse(&spec).expect("the spec is valid");
    let values = Values { rows: 1, columns: vec![Column::Number(vec![0.0]); spec.features.len()] };
    let training = Training { users: &[0], min_users: 1 };
    let encoder = spec.unfitted.fit(&spec.features, &values, &training).expect("one row is enough");
    let items: Vec<String> = (0..400).map(|k| format!("item-{k:04}")).collect();
    let rows: Vec<Attributes> = (0..items.len())
        .map(|k| {
            let tags: Vec<String> = (0..3).map(|t| format!("tag-{}", (k * 7 + t * 13) % 60)).collect();
            serde_json::from_value(serde_json::json!({ "category": format!("category-{}", k % 25), "tags": tags }))
                .expect("attributes are JSON")
        })
        .collect();
    let rows: Vec<&Attributes> = rows.iter().collect();
    let attributes =
        encoder.schema.columns(shared_features::schema::Entity::Item, &rows).expect("the attributes fit the schema");
    let tables = Tables { as_of, items, attributes, ..Tables::empty(&encoder.schema, &encoder.statistics) };
    Load { encoder: encoder.to_bytes(), policy: spec.policy.to_bytes(), tables: tables.to_bytes(), model }
}

fn call() -> Call {
    let mut random = Random::keyed("rank", "bench");
    let now = 1_767_571_200_000i64;
    let entries: Vec<Entry> = (0..HISTORY)
        .map(|k| Entry {
            ts: now - random.below(60 * 86_400) as i64 * 1_000,
            id: k.to_string(),
            item: format!("item-{:04}", random.below(400)),
            action: ["play", "skip", "like"][random.below(3) as usize].into(),
            offset_min: 60,
            dwell_ms: 1_000.0,
            completion: 0.5,
        })
        .collect();
    let candidates = (0..CANDIDATES)
        .map(|k| Candidate {
            item: format!("item-{:04}", k * 2),
            fields: (0..10)
                .map(|f| (format!("f{f}"), Some(serde_json::from_value(random.below(1000).into()).expect("a number"))))
                .collect(),
        })
        .collect();
    let event = RequestEvent {
        id: "request".into(),
        ts: now,
        offset_min: 60,
        user: "user".into(),
        surface: "bench".into(),
        attributes: Attributes::new(),
        context: Attributes::new(),
        candidates,
        exclude: Vec::new(),
    };
    let encoder =
        shared_features::encoder::Encoder::from_bytes(&load(Vec::new(), 0).encoder).expect("it was just made");
    let request = Request::new(&event, None, &encoder.schema).expect("the request fits the schema");
    let view = History::from_entries(entries).view(now, encoder.history_length);
    Call { histories: vec![view], requests: vec![(0, request)], salt: "salt".into() }
}

fn microseconds(run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64() * 1e6
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}
