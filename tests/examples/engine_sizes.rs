//! What an edge downloads: both engines, and a model of 300 trees x 31 leaves with its encoder; `make engine`.
//!
//! Fails where one is over its budget. The model is the one that `make peers` and `score/models.py` leave in
//! `HEARTH_HOSTS/models`; without it that line says `skipped:`.

use std::io::Write;
use std::process::ExitCode;

use flate2::{Compression, write::GzEncoder};
use hearth_tests::cases;
use shared_features::digest::Digest;

/// Bytes after brotli that the compact engine may have.
const COMPACT: usize = 120_000;
/// Likewise a model of 300 trees x 31 leaves with its encoder.
const MODEL: usize = 150_000;
/// Bytes of onnxruntime-web 1.30's WebAssembly, plain and after gzip: the onnx engine is to be smaller.
const ONNXRUNTIME_WEB: [usize; 2] = [14_200_000, 3_660_000];

fn main() -> ExitCode {
    println!("{:<28} {:>11} {:>10} {:>10}  sha256", "", "raw", "gzip", "brotli");
    let [_, _, compact] = line("engine, compact", trainer::ENGINE);
    let [raw, gzip, _] = line("engine, onnx", trainer::ENGINE_ONNX);
    let mut within = compact <= COMPACT && raw < ONNXRUNTIME_WEB[0] && gzip < ONNXRUNTIME_WEB[1];
    let model = std::env::var_os("HEARTH_HOSTS").map(|hosts| std::path::Path::new(&hosts).join("models/300x31.onnx"));
    match model.and_then(|path| std::fs::read(path).ok()) {
        Some(model) => {
            let (encoder, ..) = cases::plain(40);
            let [.., model] = line("300 x 31 model and encoder", &[encoder, model].concat());
            within &= model <= MODEL;
        }
        None => println!("skipped: the 300 x 31 model is not there; `make bench` trains it"),
    }
    if within {
        return ExitCode::SUCCESS;
    }
    println!(
        "over budget: brotli {COMPACT} for compact, {MODEL} for the model; {ONNXRUNTIME_WEB:?} raw and gzip for onnx"
    );
    ExitCode::FAILURE
}

/// Prints the sizes of some bytes: raw, gzip 9, brotli 11.
fn line(name: &str, bytes: &[u8]) -> [usize; 3] {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).expect("memory takes any bytes");
    let gzip = gzip.finish().expect("memory takes any bytes").len();
    let mut brotli = Vec::new();
    let settings = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut brotli, &settings).expect("memory takes any bytes");
    let sizes = [bytes.len(), gzip, brotli.len()];
    println!("{name:<28} {:>11} {:>10} {:>10}  {}", sizes[0], sizes[1], sizes[2], Digest::of(bytes));
    sizes
}
