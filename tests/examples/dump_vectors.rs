//! Writes the vectors that a run trained and judged on, so that another learner can be given the very same ones.
//!
//! `dump_vectors RUN LOG OUT` writes little-endian files: `x.TRAIN_OR_TEST.f32` (row-major), `y.*.f32`, `groups.*.u32`,
//! and `score.test.f32`, the run's own scores. `trainer/bench/lightgbm_same_vectors.py` reads them.

use std::path::Path;

use edge_runtime::host::{Guest, Host, Limits};
use shared_features::encoder::Encoder;
use trainer::data::labelled::Labelled;
use trainer::release::bundle::Bundle;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, log, out] = arguments.as_slice() else { return Err("usage: dump_vectors RUN LOG OUT".into()) };
    let bundle = Bundle::open(run)?;
    let spec = bundle.spec()?;
    let report = bundle.report().ok_or("pass a RUN folder")?;
    let labelled = Labelled::read(Path::new(log), &spec.features)?;
    let parts = labelled.split(&spec.split, spec.features.label.window.ms, report.settings.fold);
    let load = bundle.parts.load();
    let encoder = Encoder::from_bytes(&load.encoder)?;
    let guest = Guest::new(Host::shared()?, bundle.parts.engine(), &load, Limits::batch())?;
    let aligned = labelled.log.align(&encoder)?;
    let width = encoder.width.unwrap_or(0) as usize;
    std::fs::create_dir_all(out)?;
    for (name, indices) in [("train", &parts.train), ("test", &parts.test)] {
        let (mut x, mut y, mut groups, mut scores) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for &index in indices {
            let grades = &labelled.grades[index];
            // As training and judging do: shown rows of requests that have a positive label.
            if !grades.iter().any(|g| g.is_some_and(|g| g > 0)) {
                continue;
            }
            let vectors = guest.encode(&labelled.log.values(&[index], &aligned))?;
            let own = guest.score(&vectors)?;
            let shown: Vec<usize> = (0..grades.len()).filter(|&row| grades[row].is_some()).collect();
            for &row in &shown {
                x.extend_from_slice(&vectors[row * width..(row + 1) * width]);
                y.push(grades[row].unwrap_or(0) as f32);
                scores.push(own[row]);
            }
            groups.push(shown.len() as u32);
        }
        let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let write = |what: &str, bytes: Vec<u8>| std::fs::write(Path::new(out).join(what), bytes);
        write(&format!("x.{name}.f32"), floats(&x))?;
        write(&format!("y.{name}.f32"), floats(&y))?;
        write(&format!("groups.{name}.u32"), groups.iter().flat_map(|g| g.to_le_bytes()).collect())?;
        write(&format!("score.{name}.f32"), floats(&scores))?;
    }
    println!("{width} numbers a vector");
    Ok(())
}
