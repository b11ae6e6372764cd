//! What a request costs: values, vectors, scores and the slate, natively and in the sandbox, side by side in one run.

use std::time::Instant;

use edge_runtime::host::{Guest, Host, Limits};
use hearth_tests::cases::{self, Case};
use shared_features::wire::{Call, Load};
use wasm_model::engine::Engine;

/// Requests in each run.
const REQUESTS: u64 = 2_000;
/// Interleaved runs; the median counts.
const RUNS: usize = 5;

fn main() {
    let spec = cases::spec();
    let tables = cases::tables(&spec);
    let encoder = cases::fitted(&spec, &tables);
    let load = Load {
        encoder: encoder.to_bytes(),
        policy: spec.policy.to_bytes(),
        tables: tables.to_bytes(),
        model: cases::linear_model(encoder.width.expect("the encoder is fitted")),
    };
    let native = Engine::load(&load).expect("the bundle's parts are valid");
    let host = Host::shared().expect("wasmtime works here");
    let started = Instant::now();
    let guest = Guest::new(host, trainer::ENGINE, &load, Limits::serving()).expect("the engine loads");
    let start_ms = started.elapsed().as_secs_f64() * 1e3;
    let calls: Vec<Call> = (0..REQUESTS)
        .map(|k| {
            let case = Case::generate(k, &encoder.schema);
            Call { histories: vec![case.view], requests: vec![(0, case.request)], salt: "salt".into() }
        })
        .collect();
    let rows: u32 = calls.iter().map(|c| native.rank(c).expect("cases are valid")[0].candidates).sum();
    let (mut native_us, mut guest_us) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        native_us.push(microseconds(|| calls.iter().all(|c| native.rank(c).is_ok())));
        guest_us.push(microseconds(|| calls.iter().all(|c| guest.rank(c).is_ok())));
    }
    let (native_us, guest_us) = (median(&mut native_us), median(&mut guest_us));
    println!(
        "{REQUESTS} requests, {:.1} candidates each, {} features",
        f64::from(rows) / REQUESTS as f64,
        encoder.features.len()
    );
    println!("compile, load and check an engine  {start_ms:9.1} ms");
    println!("a request, natively                {native_us:9.1} us");
    println!("a request, in the sandbox          {guest_us:9.1} us, {:.2} times as long", guest_us / native_us);
}

/// Microseconds a request.
fn microseconds(run: impl FnOnce() -> bool) -> f64 {
    let started = Instant::now();
    assert!(run(), "a request failed");
    started.elapsed().as_secs_f64() * 1e6 / REQUESTS as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
