//! The onnx engine in wasmtime on models that the compact engine refuses, beside what onnxruntime answers.

use edge_runtime::host::{Guest, Host, HostError, Limits};
use hearth_tests::cases;
use hearth_tests::foreign::{Model, constant, node, node_with};
use hearth_tests::world::workspace;
use shared_features::wire::Load;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

/// Largest difference to onnxruntime, as a share of the larger of 1 and its score: other kernels sum in another order.
const RELATIVE: f32 = 1e-5;
const FEATURES: u32 = 16;
const ROWS: usize = 100;

fn guest(engine: &[u8], model: &[u8]) -> Result<Guest, HostError> {
    let (encoder, policy, tables) = cases::plain(FEATURES);
    Guest::new(Host::shared()?, engine, &Load { encoder, policy, tables, model: model.to_vec() }, Limits::batch())
}

/// A model of `wasm-model/fixtures`, its rows, and the scores that onnxruntime gave them.
fn fixture(name: &str) -> (Vec<u8>, Vec<f32>, Vec<f32>) {
    let read = |ending: &str| std::fs::read(workspace().join(format!("wasm-model/fixtures/{name}.{ending}"))).unwrap();
    let bytes = read("f32");
    let mut numbers: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let scores = numbers.split_off(ROWS * FEATURES as usize);
    (read("onnx"), numbers, scores)
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|s| s.to_bits()).collect()
}

#[test]
fn graphs_agree_with_onnxruntime() {
    for name in ["towers", "dcn", "boosted"] {
        let (model, x, expected) = fixture(name);
        let guest = guest(trainer::ENGINE_ONNX, &model).unwrap();
        let description = guest.describe().unwrap();
        assert_eq!(description.kind, "onnx");
        assert!(description.model.starts_with("graph"), "{name}: {}", description.model);
        let scores = guest.score(&x).unwrap();
        assert_eq!(scores.len(), ROWS);
        for (row, (own, other)) in scores.iter().zip(&expected).enumerate() {
            let scale = if other.abs() > 1.0 { other.abs() } else { 1.0 };
            assert!((own - other).abs() <= RELATIVE * scale, "{name} row {row}: {own}, onnxruntime {other}");
        }
    }
}

#[test]
fn a_rows_score_does_not_depend_on_how_many_are_with_it() {
    for name in ["towers", "dcn", "boosted"] {
        let (model, x, _) = fixture(name);
        let guest = guest(trainer::ENGINE_ONNX, &model).unwrap();
        let together = guest.score(&x).unwrap();
        let alone: Vec<f32> = x.chunks(FEATURES as usize).flat_map(|row| guest.score(row).unwrap()).collect();
        assert_eq!(bits(&alone), bits(&together), "{name}");
    }
}

/// Scores that come of the rows' places, or of the rows beside them.
#[test]
fn a_model_whose_rows_are_not_on_their_own_is_refused() {
    let width = i64::from(FEATURES);
    let first = || node("MatMul", &["X", "w"], "first");
    let weights = || constant("w", &[width, 1], &[0.25; FEATURES as usize]);
    let zero = TensorProto { name: "zero".into(), data_type: 7, int64_data: vec![0], ..Default::default() };
    let places: Vec<f32> = (0..64).map(|k| k as f32).collect();
    let model = |last: NodeProto, constant: TensorProto| {
        Model::new(width, vec![first(), last], vec![weights(), constant], &[("y", &[0, 1])]).to_bytes()
    };
    let mut largest = node_with("ReduceMax", &["first"], "largest", "keepdims", 1);
    // AttributeProto.INTS
    largest.attribute.push(AttributeProto { name: "axes".into(), r#type: 7, ints: vec![0], ..Default::default() });
    let nodes = vec![first(), largest, node("Sub", &["first", "largest"], "y")];
    let beside = Model::new(width, nodes, vec![weights()], &[("y", &[0, 1])]).to_bytes();
    for (name, model, says) in [
        ("a sum of the rows before", model(node("CumSum", &["first", "zero"], "y"), zero), "its place among the rows"),
        (
            "a number for each row",
            model(node("Add", &["first", "p"], "y"), constant("p", &[64, 1], &places)),
            "its place",
        ),
        ("the difference to the largest", beside, "the rows beside it"),
    ] {
        match guest(trainer::ENGINE_ONNX, &model) {
            Err(HostError::Refused { reason }) => assert!(reason.contains(says), "{name}: {reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let sound = model(node("Add", &["first", "p"], "y"), constant("p", &[1, 1], &[1.0]));
    assert_eq!(guest(trainer::ENGINE_ONNX, &sound).unwrap().score(&[1.0; FEATURES as usize]), Ok(vec![5.0]));
}

#[test]
fn the_compact_engine_refuses_them_and_its_own_models_give_the_same_bits_in_both() {
    for name in ["towers", "dcn", "boosted"] {
        let refused = guest(trainer::ENGINE, &fixture(name).0);
        assert!(matches!(refused, Err(HostError::Refused { .. })), "{name}: {refused:?}");
    }
    let model = cases::linear_model(FEATURES);
    let (_, x, _) = fixture("towers");
    let scores = |engine| guest(engine, &model).unwrap().score(&x).unwrap();
    assert_eq!(bits(&scores(trainer::ENGINE)), bits(&scores(trainer::ENGINE_ONNX)));
}

/// A model with the last occurrence of some bytes replaced by as many others.
fn altered(model: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = model.windows(from.len()).rposition(|w| w == from).expect("the model has these bytes");
    [&model[..at], to, &model[at + to.len()..]].concat()
}

#[test]
fn a_refusal_names_what_is_wrong() {
    let towers = fixture("towers").0;
    let dcn = fixture("dcn").0;
    for (name, model, says) in [
        ("an operator nobody has", altered(&towers, b"\x22\x07Sigmoid", b"\x22\x07Sigmoix"), "operator Sigmoix"),
        // OperatorSetIdProto.version
        ("an operator set of the future", altered(&towers, &[0x10, 17], &[0x10, 99]), "operator set 99"),
        ("another width", altered(&dcn, &[0x08, 16], &[0x08, 15]), "f32[n, 16]"),
        ("another output", altered(&towers, b"\x0a\x05score", b"\x0a\x05scorf"), "scorf"),
        ("half a file", towers[..towers.len() / 2].to_vec(), "ONNX"),
    ] {
        match guest(trainer::ENGINE_ONNX, &model) {
            Err(HostError::Refused { reason }) => assert!(reason.contains(says), "{name}: {reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
