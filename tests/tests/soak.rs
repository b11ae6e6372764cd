//! Many calls of one instance: its memory grows while the largest messages are new, and never again.
//!
//! `HEARTH_SOAK_CALLS` sets how many; `make soak` makes a million.

use edge_runtime::host::{Guest, Host, Limits};
use hearth_tests::cases::{self, Case};
use shared_features::wire::{Call, Load};

/// Calls where nothing else is said.
const CALLS: u64 = 2_000;
/// Different calls; they come again and again in an order that is never the same.
const CASES: u64 = 200;

fn call(k: u64, load: &Load) -> Call {
    let encoder = shared_features::encoder::Encoder::from_bytes(&load.encoder).unwrap();
    let case = Case::generate(k, &encoder.schema);
    Call { histories: vec![case.view], requests: vec![(0, case.request)], salt: format!("salt {k}") }
}

#[test]
fn memory_does_not_grow() {
    let calls: u64 = std::env::var("HEARTH_SOAK_CALLS").ok().map_or(CALLS, |n| n.parse().expect("a number of calls"));
    let (load, _) = cases::linear();
    let limits = Limits { keep: true, ..Limits::batch() };
    let guest = Guest::new(Host::shared().unwrap(), trainer::ENGINE, &load, limits).unwrap();
    let all: Vec<Call> = (0..CASES).map(|k| call(k, &load)).collect();
    let ask = |op: u64, call: &Call| match op {
        0 => drop(guest.explain(call).unwrap()),
        1 => drop(guest.extract(call).unwrap()),
        // A message that does not fit is refused, and leaves nothing behind.
        2 => drop(guest.score(&[0.5]).unwrap_err()),
        _ => drop(guest.rank(call).unwrap()),
    };
    // Steps that are prime to the number of calls, from another place each time round.
    let run = |k: u64| ask(k % 100, &all[((k * 7 + (k / CASES) * 3) % CASES) as usize]);
    // Each op sees each call, and then they are mixed.
    all.iter().for_each(|call| (0..4).for_each(|op| ask(op, call)));
    let warm = CASES * 5;
    (0..warm).for_each(run);
    let before = guest.kept_memory();
    assert!(before > 0, "one instance is kept");
    let started = std::time::Instant::now();
    for k in warm..warm + calls {
        run(k);
        if k % 10_000 == 0 {
            assert_eq!(guest.kept_memory(), before, "after {k} calls");
        }
    }
    assert_eq!(guest.kept_memory(), before, "after {calls} calls");
    println!("{calls} calls in {:.0} s: the memory stayed at {before} bytes", started.elapsed().as_secs_f64());
}
