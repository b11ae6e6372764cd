//! Native equals wasm: the same bits from `shared-features` linked natively and from the engine in every host.
//!
//! `make parity` compares as many cases as one has patience for; here a few thousand, so that a break is seen at once.

use std::path::{Path, PathBuf};
use std::process::Command;

use edge_runtime::host::{Guest, Host, HostError, Limits};
use hearth_tests::cases::{self, Case};
use hearth_tests::parity::compare::{Worker, compare};
use hearth_tests::parity::corpus::{corpus, graphs};
use hearth_tests::parity::{child, report, sandbox, web};
use hearth_tests::world;
use shared_features::codec;
use shared_features::event::{FieldValue, RequestEvent};
use shared_features::request::Request;
use shared_features::wire::Call;
use wasm_model::engine::Engine;

/// How many generated cases are compared with the edge's own host.
const CASES: u64 = 10_000;
/// How many generated cases are compared between all hosts.
const COMPARED: u64 = 1_000;
/// How many go into one call.
const PER_CALL: u64 = 250;

fn call(cases: &[Case]) -> Call {
    Call {
        histories: cases.iter().map(|c| c.view.clone()).collect(),
        requests: cases.iter().enumerate().map(|(k, c)| (k as u32, c.request.clone())).collect(),
        salt: "salt".into(),
    }
}

#[test]
fn native_and_wasmtime_give_the_same_bits() {
    let (load, encoder) = cases::linear();
    let native = Engine::load(&load).unwrap();
    let guest = Guest::new(Host::shared().unwrap(), trainer::ENGINE, &load, Limits::batch()).unwrap();
    let mut rows = 0;
    for from in (0..CASES).step_by(PER_CALL as usize) {
        let cases: Vec<Case> = (from..from + PER_CALL).map(|k| Case::generate(k, &encoder.schema)).collect();
        let call = call(&cases);
        let (a, b) = (native.extract(&call).unwrap(), guest.extract(&call).unwrap());
        // Encoded, so that NaN equals NaN only where the bits do.
        assert_eq!(codec::encode(&a), codec::encode(&b), "values of cases {from}..");
        for (k, extracted) in a.iter().enumerate() {
            let (a, b) = (native.encode(&extracted.values).unwrap(), guest.encode(&extracted.values).unwrap());
            assert_eq!(bits(&a), bits(&b), "vectors of case {}", from + k as u64);
            let (a, b) = (native.score(&a).unwrap(), guest.score(&b).unwrap());
            assert_eq!(bits(&a), bits(&b), "scores of case {}", from + k as u64);
            rows += extracted.values.rows;
        }
        let (a, b) = (native.rank(&call).unwrap(), guest.rank(&call).unwrap());
        assert_eq!(codec::encode(&a), codec::encode(&b), "slates of cases {from}..");
    }
    assert!(rows > 100_000, "only {rows} rows were compared");
}

#[test]
fn requests_keep_every_bit_as_json_text() {
    let (load, encoder) = cases::linear();
    let guest = Guest::new(Host::shared().unwrap(), trainer::ENGINE, &load, Limits::batch()).unwrap();
    let native = Engine::load(&load).unwrap();
    for k in 0..CASES {
        let case = Case::generate(k, &encoder.schema);
        let text = serde_json::to_string(&case.event).unwrap();
        let read: RequestEvent = serde_json::from_str(&text).unwrap();
        let request = Request::new(&read, None, &encoder.schema).unwrap();
        assert_eq!(codec::encode(&request), codec::encode(&case.request), "case {k}: {text}");
        if k % 100 == 0 {
            let case = Case { request, ..case };
            let call = call(std::slice::from_ref(&case));
            let (a, b) = (native.rank(&call).unwrap(), guest.rank(&call).unwrap());
            assert_eq!(codec::encode(&a), codec::encode(&b), "case {k}");
        }
    }
}

#[test]
fn a_request_of_another_schema_is_refused_alike() {
    let (load, encoder) = cases::linear();
    let native = Engine::load(&load).unwrap();
    let guest = Guest::new(Host::shared().unwrap(), trainer::ENGINE, &load, Limits::batch()).unwrap();
    let mut case = Case::generate(1, &encoder.schema);
    case.request.user.pop();
    let call = call(&[case]);
    let refused = native.extract(&call).unwrap_err();
    assert_eq!(guest.extract(&call), Err(HostError::Refused { reason: refused.clone() }));
    assert!(refused.contains("request-1"), "{refused}");
    // It goes on working.
    assert!(guest.describe().is_ok());
    let text = FieldValue::String("text".into());
    let mut event = Case::generate(2, &encoder.schema).event;
    event.attributes.insert("age".into(), Some(text));
    assert!(Request::new(&event, None, &encoder.schema).unwrap_err().to_string().contains("`age`"));
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// The hosts that are here; those that are not are named.
fn hosts(engine: &[u8]) -> Vec<Worker> {
    let mut hosts = vec![sandbox::cranelift(engine), sandbox::winch(engine), sandbox::pulley(engine)];
    for (name, host) in
        [("node", web::node(engine)), ("chromium", web::chromium(engine)), ("firefox-esr", web::firefox(engine))]
    {
        match host {
            Some(host) => hosts.push(host),
            None => println!("skipped: {name} is not in the PATH; run: make hosts"),
        }
    }
    hosts
}

#[test]
fn every_host_gives_the_same_bits() {
    let outcome = compare(corpus(COMPARED), hosts(trainer::ENGINE), |_| {}).unwrap();
    println!("{}", report::table(&outcome, "this run"));
    assert!(outcome.is_clean());
    assert!(outcome.total() > COMPARED && outcome.cases.iter().all(|(_, cases)| *cases > 10), "{:?}", outcome.cases);
    let first = outcome.hosts[0].digest;
    assert!(outcome.hosts.iter().all(|host| host.digest == first));
}

#[test]
fn graphs_give_the_same_bits_in_wasm_hosts() {
    let engine = trainer::ENGINE_ONNX;
    let Some(node) = web::node(engine) else {
        return println!("skipped: node is not in the PATH; run: make hosts");
    };
    let outcome = compare(graphs(20), vec![sandbox::cranelift(engine), node], |_| {}).unwrap();
    assert!(outcome.is_clean(), "{}", report::table(&outcome, "this run"));
    assert_eq!((outcome.total(), outcome.hosts.len()), (60, 2));
    assert_eq!(outcome.hosts[0].digest, outcome.hosts[1].digest);
}

/// Builds `native_host` against a copy of the guest's crates.
fn native_host(copy: &Path) -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--package", "native-host"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .unwrap();
    assert!(status.success(), "the copy does not build");
    copy.join("target/debug/native_host")
}

/// A workspace of the guest's crates alone, and the host that links them natively.
fn copied(to: &Path) {
    let root = world::workspace();
    for name in ["shared-features", "wasm-model"] {
        world::copy(&root.join(name), &to.join(name));
    }
    for name in ["Cargo.lock", "rust-toolchain.toml", "tests/examples/native_host.rs", "tests/src/parity/chunk.rs"] {
        std::fs::create_dir_all(to.join(name).parent().unwrap()).unwrap();
        std::fs::copy(root.join(name), to.join(name)).unwrap();
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = r#"["shared-features", "wasm-model", "wasm-model/kernels", "edge-runtime", "trainer", "tests"]"#;
    assert!(manifest.contains(members));
    let manifest = manifest.replace(members, r#"["shared-features", "wasm-model", "wasm-model/kernels", "tests"]"#);
    std::fs::write(to.join("Cargo.toml"), manifest).unwrap();
    let package = "[package]\nname = \"native-host\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
        [[bin]]\nname = \"native_host\"\npath = \"examples/native_host.rs\"\n\
        [dependencies]\nshared-features.workspace = true\nwasm-model.workspace = true\n";
    std::fs::write(to.join("tests/Cargo.toml"), package).unwrap();
}

#[test]
fn std_ln_in_place_of_libm_is_found() {
    let folder = tempfile::tempdir().unwrap();
    copied(folder.path());
    let check = |name: &str, program: &Path| {
        let hosts = vec![sandbox::cranelift(trainer::ENGINE), child::start(name, program)];
        compare(corpus(400), hosts, |_| {}).unwrap()
    };
    // The copy itself changes nothing.
    let sound = check("native, a copy", &native_host(folder.path()));
    assert!(sound.is_clean(), "{}", report::table(&sound, "this run"));

    let path = folder.path().join("shared-features/src/transform/log1p.rs");
    let text = std::fs::read_to_string(&path).unwrap();
    let altered = text.replace("libm::log1p(libm::fabs(x))", "(1.0 + x.abs()).ln()");
    assert_ne!(text, altered, "log1p.rs calls libm otherwise; adapt this test");
    std::fs::write(&path, altered).unwrap();
    let found = check("native, std's ln", &native_host(folder.path()));
    println!("{}", report::table(&found, "this run"));
    let [native, wasmtime, altered] = &found.hosts[..] else { panic!("three hosts were compared") };
    assert_eq!((native.differing, wasmtime.differing), (0, 0));
    assert!(altered.differing > 50, "only {} cases differ", altered.differing);
    assert!(altered.digest != native.digest);
    // Named by case, where the difference arises: values are equal, vectors are not.
    assert!(altered.named[0].ends_with(": vectors"), "{:?}", altered.named);
    let table = report::table(&found, "this run");
    assert!(table.contains("native, std's ln differs, first in: ") && table.contains("linear model, case"), "{table}");
    assert!(!found.is_clean());
}
