//! Explanations are the same bits natively and in wasmtime, and an engine can be explained through the edge's host.

use edge_runtime::host::{Guest, Host, Limits};
use hearth_tests::cases::{self, Case};
use shared_features::codec;
use shared_features::encoder::Encoder;
use shared_features::wire::{Call, ExplainMethod, Load};
use wasm_model::engine::Engine;

/// LightGBM's 50 trees x 31 leaves over 12 numbers.
const TREES: &[u8] = include_bytes!("../../wasm-model/fixtures/contributions/lightgbm_50x31.onnx");
const WIDTH: u32 = 12;

fn explains(load: &Load, method: ExplainMethod) {
    let encoder = Encoder::from_bytes(&load.encoder).unwrap();
    let native = Engine::load(load).unwrap();
    let guest = Guest::new(Host::shared().unwrap(), trainer::ENGINE, load, Limits::batch()).unwrap();
    let cases: Vec<Case> = (0..100).map(|k| Case::generate(k, &encoder.schema)).collect();
    let call = Call {
        histories: cases.iter().map(|c| c.view.clone()).collect(),
        requests: cases.iter().enumerate().map(|(k, c)| (k as u32, c.request.clone())).collect(),
        salt: "salt".into(),
    };
    let (a, b) = (native.explain(&call).unwrap(), guest.explain(&call).unwrap());
    assert_eq!(codec::encode(&a), codec::encode(&b));
    assert_eq!((a.method, a.slots), (method, encoder.slots()));
    let extracted = native.extract(&call).unwrap();
    let mut rows = 0;
    for (explained, extracted) in a.requests.iter().zip(&extracted) {
        assert_eq!(explained.items, extracted.items);
        let scores = native.score(&native.encode(&extracted.values).unwrap()).unwrap();
        let known = |scores: &[f32]| scores.iter().map(|s| (!s.is_nan()).then(|| s.to_bits())).collect::<Vec<_>>();
        assert_eq!(known(&explained.scores), known(&scores));
        rows += explained.items.len();
    }
    assert!(rows > 100, "only {rows} rows were explained");
}

#[test]
fn trees_natively_and_in_wasmtime() {
    let (encoder, policy, tables) = cases::plain(WIDTH);
    explains(&Load { encoder, policy, tables, model: TREES.to_vec() }, ExplainMethod::TreeShap);
}

#[test]
fn linear_models_natively_and_in_wasmtime() {
    let (load, _) = cases::linear();
    explains(&load, ExplainMethod::Linear);
}
