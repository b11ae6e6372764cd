//! `make parity`: compares every host on a large corpus and writes the table of `docs/parity.md`.
//!
//! `parity [--cases N] [--engine FILE] [--write PAGE]`; it fails where a host differs in one bit, or is not there.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use hearth_tests::parity::compare::{Outcome, Worker, compare};
use hearth_tests::parity::corpus::{Batch, corpus, graphs};
use hearth_tests::parity::{report, sandbox, web};

/// Of how many generated cases one is a message of rows for each graph of the onnx engine.
const GRAPHS: u64 = 100;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (mut cases, mut engine, mut page) = (1_000_000, trainer::ENGINE.to_vec(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--cases" => cases = value.parse()?,
            "--engine" => engine = std::fs::read(value)?,
            "--write" => page = Some(value),
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    let date = String::from_utf8(Command::new("date").args(["-u", "+%F"]).output()?.stdout)?;
    let compact = run(corpus(cases), hosts(&engine)?)?;
    let onnx = run(graphs(cases / GRAPHS), hosts(trainer::ENGINE_ONNX)?)?;
    let [compact_table, onnx_table] = [&compact, &onnx].map(|outcome| report::table(outcome, date.trim()));
    let table = format!("### Compact engine\n\n{compact_table}\n### Onnx engine\n\n{onnx_table}");
    println!("{table}");
    if let Some(page) = page {
        std::fs::write(&page, report::replace(&std::fs::read_to_string(&page)?, &table)?)?;
    }
    Ok(if compact.is_clean() && onnx.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every WebAssembly host, which must be there.
fn hosts(engine: &[u8]) -> Result<Vec<Worker>, String> {
    let mut hosts = vec![sandbox::cranelift(engine), sandbox::winch(engine), sandbox::pulley(engine)];
    for (name, host) in
        [("node", web::node(engine)), ("chromium", web::chromium(engine)), ("firefox-esr", web::firefox(engine))]
    {
        hosts.push(host.ok_or_else(|| format!("{name} is not in the PATH; run: make hosts"))?);
    }
    Ok(hosts)
}

fn run(corpus: impl Iterator<Item = Batch>, hosts: Vec<Worker>) -> Result<Outcome, String> {
    let started = Instant::now();
    let mut told = Duration::ZERO;
    compare(corpus, hosts, |done| {
        if started.elapsed() > told + Duration::from_secs(10) {
            told = started.elapsed();
            eprintln!("{done} cases in {} s", told.as_secs());
        }
    })
}
