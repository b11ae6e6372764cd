//! Scoring beside its peers, on the same models and rows, in one run: `make bench`.
//!
//! 200 rows of 40 features a call, one thread each; medians of interleaved runs, microseconds a row.
//! `HEARTH_HOSTS` names the folder where `make peers` installs the peers and `score/models.py` writes models and rows;
//! a peer that is not there is left out and said so.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use edge_runtime::host::{Guest, Host, Limits};
use hearth_tests::cases;
use shared_features::wire::Load;

/// Interleaved runs; the median counts.
const RUNS: usize = 5;
/// Rows a run scores at least, so that a run takes about as long for every peer.
const CALLS: usize = 300;
const FEATURES: u32 = 40;
const ROWS: usize = 200;

/// A peer's process: a line starts a run.
struct Peer {
    name: &'static str,
    process: Child,
    start: ChildStdin,
    answers: BufReader<ChildStdout>,
    scores: Vec<f64>,
}

fn main() {
    let Some(hosts) = std::env::var_os("HEARTH_HOSTS").map(PathBuf::from) else {
        println!("skipped: HEARTH_HOSTS is not set; `make bench` sets it");
        return;
    };
    let folder = hosts.join("models");
    let bytes = std::fs::read(folder.join("x.f32")).expect("models.py wrote the rows");
    let x: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let host = Host::shared().expect("wasmtime works here");
    let kept = Limits { keep: true, ..Limits::serving() };
    println!(
        "microseconds a row, {ROWS} rows of {FEATURES} features a call; in brackets how many times longer than ours"
    );
    for shape in ["100x31", "300x8", "500x31", "300x31", "200x127"] {
        let model = std::fs::read(folder.join(format!("{shape}.onnx"))).expect("models.py wrote the models");
        let guest = Guest::new(host, trainer::ENGINE, &load(model), kept).expect("the model loads");
        let mut peers: Vec<Peer> = ["lightgbm", "onnxruntime", "tl2cgen", "onnxruntime-web"]
            .iter()
            .filter_map(|n| start(n, &hosts, shape))
            .collect();
        let own: Vec<f32> = guest.score(&x).expect("the model scores");
        for peer in &peers {
            for (own, other) in own.iter().zip(&peer.scores) {
                let close = (f64::from(*own) - other).abs() <= 1e-4 * other.abs().max(1.0);
                assert!(close, "{shape}: {} says {other}, the engine {own}", peer.name);
            }
        }
        let mut times = vec![Vec::new(); peers.len() + 1];
        for _ in 0..RUNS {
            let started = Instant::now();
            for _ in 0..CALLS {
                guest.score(&x).expect("the model scores");
            }
            times[0].push(started.elapsed().as_secs_f64() * 1e6 / (CALLS * ROWS) as f64);
            for (peer, times) in peers.iter_mut().zip(&mut times[1..]) {
                times.push(peer.run());
            }
        }
        let medians: Vec<f64> = times.iter_mut().map(|t| median(t)).collect();
        print!("{shape:>8}  ours in wasmtime {:6.3}", medians[0]);
        for (peer, time) in peers.iter().zip(&medians[1..]) {
            print!("   {} {time:6.3} [{:.2}x]", peer.name, time / medians[0]);
        }
        println!();
    }
}

/// The parts of a bundle with this model; scoring needs nothing of the rest but its width.
fn load(model: Vec<u8>) -> Load {
    let (encoder, policy, tables) = cases::plain(FEATURES);
    Load { encoder, policy, tables, model }
}

fn start(name: &'static str, hosts: &Path, shape: &str) -> Option<Peer> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/score");
    let mut command = if name == "onnxruntime-web" {
        let mut node = Command::new("node");
        node.arg(scripts.join("peer.mjs")).arg(hosts);
        node
    } else {
        let mut python = Command::new(hosts.join("peers/bin/python"));
        python.arg(scripts.join("peers.py")).arg(name);
        python
    };
    command.arg(hosts.join("models")).args([shape, &CALLS.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().ok()?;
    let (start, mut answers) = (process.stdin.take()?, BufReader::new(process.stdout.take()?));
    let mut line = String::new();
    answers.read_line(&mut line).ok()?;
    let scores: Vec<f64> = line.split_whitespace().filter_map(|s| s.parse().ok()).collect();
    if scores.len() != ROWS {
        println!("left out: {name} does not start");
        return None;
    }
    Some(Peer { name, process, start, answers, scores })
}

impl Peer {
    fn run(&mut self) -> f64 {
        writeln!(self.start).expect("the peer runs");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the peer answers");
        line.trim().parse().expect("the peer prints a number")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
