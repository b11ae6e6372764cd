//! Native equals wasm: the same bits from `shared-features` linked natively and from the engine in wasmtime.

use edge_runtime::host::{Guest, Host, HostError, Limits};
use hearth_tests::cases::{self, Case};
use shared_features::codec;
use shared_features::encoder::Encoder;
use shared_features::event::{FieldValue, RequestEvent};
use shared_features::request::Request;
use shared_features::wire::{Call, Load};
use wasm_model::engine::Engine;

/// How many generated cases are compared.
const CASES: u64 = 10_000;
/// How many go into one call.
const PER_CALL: u64 = 250;

fn load() -> (Load, Encoder) {
    let spec = cases::spec();
    let tables = cases::tables(&spec);
    let encoder = cases::fitted(&spec, &tables);
    let load = Load {
        encoder: encoder.to_bytes(),
        policy: spec.policy.to_bytes(),
        tables: tables.to_bytes(),
        model: cases::linear_model(encoder.width.unwrap()),
    };
    (load, encoder)
}

fn call(cases: &[Case]) -> Call {
    Call {
        histories: cases.iter().map(|c| c.view.clone()).collect(),
        requests: cases.iter().enumerate().map(|(k, c)| (k as u32, c.request.clone())).collect(),
        salt: "salt".into(),
    }
}

#[test]
fn native_and_wasmtime_give_the_same_bits() {
    let (load, encoder) = load();
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
    let (load, encoder) = load();
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
    let (load, encoder) = load();
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
