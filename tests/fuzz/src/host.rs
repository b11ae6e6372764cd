//! What the host reads: manifests, signed documents, engine files, profiles, spools, batches; and whether host and guest agree.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use edge_runtime::bundle::{Bundle, Manifest, check_engine};
use edge_runtime::channel::Channel;
use edge_runtime::drift::{Drift, MIN_REQUESTS};
use edge_runtime::host::{Guest, Host, HostError, Limits};
use edge_runtime::keys::{Role, Root};
use edge_runtime::profile::Profile;
use edge_runtime::registry::{Audit, Release};
use edge_runtime::sign::{self, DocumentType};
use edge_runtime::upload::batch;
use serde::{Serialize, de::DeserializeOwned};
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::encoder::Values;
use shared_features::floats::Floats;
use shared_features::wire::{Call, Load, Op, Reply};
use wasm_model::engine::{Engine, dispatch};

use super::guest::{json_again, kept, values};

/// A bundle's manifest.
pub fn manifest(data: &[u8]) {
    let Ok(read) = Manifest::parse(data) else { return };
    let written = serde_json::to_vec(&read).expect("a manifest is plain data");
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&read));
    // Its blobs are not here.
    assert!(Bundle::open(data.to_vec(), BTreeMap::new()).is_err());
}

/// Signed documents: the envelope, and what may be in it.
pub fn document(data: &[u8]) {
    if let Ok(root) = Root::pinned(data) {
        for role in [Role::Root, Role::Publisher] {
            if let Ok(trusted) = root.trusted(role) {
                let _ = sign::open::<Channel>(data, DocumentType::Channel, &trusted);
            }
        }
    }
    let channel = sign::read_unverified::<Channel>(data, DocumentType::Channel).ok();
    // The payload itself, which no fuzzer would find behind base64.
    for channel in channel.into_iter().chain(serde_json::from_slice(data).ok()) {
        json_again(&channel);
        if channel.accept(&channel.surface, &channel.channel, Some(channel.sequence), channel.issued).is_ok() {
            let _ = channel.arm_for("user");
        }
    }
    serde_json::from_slice::<Root>(data).iter().for_each(json_again);
    serde_json::from_slice::<Release>(data).iter().for_each(json_again);
    serde_json::from_slice::<Audit>(data).iter().for_each(json_again);
}

/// A profile of the kept bundle's encoder, and values that are counted against it.
pub fn profile(data: &[u8]) {
    let encoder = &kept().encoder;
    let Ok(read) = Profile::from_bytes(data, encoder) else { return };
    assert_eq!(Profile::from_bytes(&read.to_bytes(), encoder).as_ref(), Ok(&read));
    let drift = Drift::new(encoder, read);
    let values = values();
    for _ in 0..MIN_REQUESTS {
        drift.count(&values);
    }
    for feature in drift.measure() {
        let distances = [feature.missing, feature.distribution];
        assert!(distances.into_iter().flatten().all(|distance| (0.0..=1.0).contains(&distance)), "{feature:?}");
    }
}

/// An engine file: the check, the host's taking apart, loading and a call.
pub fn engine(data: &[u8]) {
    if check_engine(data).is_err() {
        return;
    }
    let limits = Limits {
        memory_bytes: 16 << 20,
        call: Duration::from_millis(20),
        load: Duration::from_millis(50),
        ..Limits::serving()
    };
    let parts = Load { encoder: Vec::new(), policy: Vec::new(), tables: Vec::new(), model: Vec::new() };
    if let Ok(guest) = Guest::new(host(), data, &parts, limits) {
        let _ = guest.describe();
        let _ = guest.rank(&Call { histories: Vec::new(), requests: Vec::new(), salt: String::new() });
    }
}

/// A segment of a spool.
pub fn spool(data: &[u8]) {
    let Ok((entries, end)) = edge_runtime::spool::read_segment(Path::new("segment"), data) else { return };
    assert!(end as usize <= data.len());
    let whole = edge_runtime::spool::read_segment(Path::new("segment"), &data[..end as usize])
        .expect("up to the last whole entry");
    assert_eq!((whole.0.len(), whole.1), (entries.len(), end), "a torn end changes nothing before it");
}

/// A batch as a collector reads it.
pub fn batch(data: &[u8]) {
    const LIMIT: usize = 1 << 20;
    let Ok(read) = batch::decode(data, LIMIT) else { return };
    let segment = edge_runtime::spool::segment_of(&read.entries);
    let written = batch::encode(&segment).expect("there is memory");
    let again = batch::decode(&written, segment.len()).expect("what was read is a batch");
    assert_eq!((again.digest, again.entries.len()), (Digest::of(&segment), read.entries.len()));
}

/// The kept bundle in a sandbox and natively: equal bytes, or equal errors. The first byte is the op, as in [`super::guest::message`].
///
/// The engine file is that of `HEARTH_ENGINE`, which `make fuzz` sets.
pub fn parity(data: &[u8]) {
    static ENGINE: OnceLock<Vec<u8>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let path = std::env::var_os("HEARTH_ENGINE").expect("HEARTH_ENGINE names an engine file; run `make fuzz`");
        std::fs::read(path).expect("HEARTH_ENGINE can be read")
    });
    same_in_a_sandbox(engine, data);
}

/// What [`parity`] does, with an engine file.
pub fn same_in_a_sandbox(engine: &[u8], data: &[u8]) {
    static GUEST: OnceLock<Guest> = OnceLock::new();
    let Some((&op, message)) = data.split_first() else { return };
    let guest =
        || GUEST.get_or_init(|| Guest::new(host(), engine, &kept().load, limits()).expect("the kept bundle loads"));
    match Op::from_u32(op.into()) {
        Some(Op::Describe) => same(Op::Describe, &(), guest().describe()),
        Some(Op::Extract) => with(message, |call: &Call| same(Op::Extract, call, guest().extract(call))),
        Some(Op::Rank) => with(message, |call: &Call| same(Op::Rank, call, guest().rank(call))),
        Some(Op::Explain) => with(message, |call: &Call| same(Op::Explain, call, guest().explain(call))),
        Some(Op::Encode) => with(message, |v: &Values| same(Op::Encode, v, guest().encode(v).map(Floats))),
        Some(Op::Score) => with(message, |v: &Floats| same(Op::Score, v, guest().score(&v.0).map(Floats))),
        None => with(message, |load: &Load| {
            let native = Engine::load(load).map(|engine| engine.describe()).map_err(|e| e.to_string());
            match Guest::new(host(), engine, load, limits()).and_then(|guest| guest.describe()) {
                Ok(describes) => assert_eq!(native, Ok(describes)),
                Err(HostError::Refused { reason }) => assert_eq!(native, Err(reason)),
                // The sandbox has less memory and time than this process.
                Err(HostError::Memory { .. } | HostError::Deadline { .. }) => {}
                Err(other) => panic!("the guest fails where the native engine says {native:?}: {other}"),
            }
        }),
    }
}

fn with<T: DeserializeOwned>(message: &[u8], run: impl FnOnce(&T)) {
    if let Ok(message) = codec::decode(message, "message") {
        run(&message);
    }
}

fn same<M: Serialize, T: Serialize>(op: Op, message: &M, guest: Result<T, HostError>) {
    let native = dispatch(&kept().engine, op as u32, &codec::encode(message));
    let reply: Reply<T> = match guest {
        Ok(reply) => Ok(reply),
        Err(HostError::Refused { reason }) => Err(reason),
        Err(HostError::Memory { .. } | HostError::Deadline { .. }) => return,
        Err(other) => panic!("the guest fails where the native engine does not: {other}"),
    };
    assert!(codec::encode(&reply) == native, "the guest's reply to {op:?} is not the native engine's");
}

fn host() -> &'static Host {
    Host::shared().expect("this machine runs wasmtime")
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 256 << 20,
        call: Duration::from_secs(2),
        load: Duration::from_secs(2),
        keep: true,
        at_once: false,
    }
}
