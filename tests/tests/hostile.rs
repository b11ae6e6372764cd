//! What an edge refuses, by name, while it goes on serving what it had.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edge_runtime::bundle::{Bundle, Manifest, Role};
use edge_runtime::channel::{Arm, Channel};
use edge_runtime::golden::Golden;
use edge_runtime::host::Limits;
use edge_runtime::keys;
use edge_runtime::profile::{Profile, Spread};
use edge_runtime::registry::Registry;
use edge_runtime::runtime::{Keep, Runtime, Settings, Status};
use edge_runtime::sampling::Sampling;
use edge_runtime::sign::{self, DocumentType};
use edge_runtime::spool;
use hearth_tests::edge::Edge;
use hearth_tests::world::{self, copy};
use serde_json::{Value, json};
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::event::{Candidate, MAX_TS_MS, RequestEvent};
use shared_features::tables::Tables;
use trainer::spec::TrainerSpec;

const SURFACE: &str = "podcasts";

/// A registry with one good bundle on `podcasts/stable`, sequence 1; made once.
fn published() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        world::published(folder.path(), SURFACE);
        folder
    });
    folder.path()
}

/// A copy of the registry, an edge that serves its bundle, and what a publisher can do to it.
struct Scene {
    folder: tempfile::TempDir,
    registry: Registry,
    runtime: Arc<Runtime>,
    pointer: Channel,
    good: Bundle,
}

impl Scene {
    async fn new() -> Scene {
        let source = tokio::task::block_in_place(published);
        let folder = tempfile::tempdir().unwrap();
        copy(&source.join("registry"), &folder.path().join("registry"));
        copy(&source.join("keys"), &folder.path().join("keys"));
        let registry = Registry::open(&folder.path().join("registry").display().to_string()).unwrap();
        let pointer: Channel = sign::read_unverified(
            &registry.get("channels/podcasts/stable", 1 << 20).await.unwrap(),
            DocumentType::Channel,
        )
        .unwrap();
        let good = registry.bundle(pointer.arms[0].bundle).await.unwrap();
        let runtime = open(folder.path(), Duration::from_secs(10)).await;
        runtime.poll().await;
        let scene = Scene { folder, registry, runtime, pointer, good };
        assert_eq!(scene.status().problem, None);
        scene.still_serves().await;
        scene
    }

    fn status(&self) -> Status {
        self.runtime.status()[SURFACE].clone()
    }

    async fn still_serves(&self) {
        let answer = self.runtime.rank(request(12)).await.unwrap();
        assert_eq!((answer.bundle, answer.fallback), (self.good.digest(), false));
    }

    /// Looks at the channel; it must be refused with these words, and nothing else may change.
    #[track_caller]
    fn poll_refuses(&self, says: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            self.runtime.poll().await;
            let problem = self.status().problem.unwrap_or_default();
            assert!(problem.contains(says), "{place}: `{problem}` does not say `{says}`");
            assert_eq!(self.status().bundles, [self.good.digest()], "{place}");
            self.still_serves().await;
        }
    }

    /// A pointer with a higher sequence at another bundle.
    fn next(&self, bundle: Digest) -> Channel {
        let arm = Arm { bundle, ..self.pointer.arms[0].clone() };
        Channel { sequence: self.pointer.sequence + 1, arms: vec![arm], ..self.pointer.clone() }
    }

    async fn put_bytes(&self, bytes: &[u8]) {
        self.registry.put("channels/podcasts/stable", bytes.to_vec()).await.unwrap();
    }

    async fn put_channel(&self, pointer: &Channel) {
        self.put_bytes(&self.sealed(DocumentType::Channel, pointer, &["publisher"])).await;
    }

    /// The pointer that is served, changed, with a higher sequence.
    async fn put_changed(&self, change: impl FnOnce(&mut Channel)) {
        let mut pointer = self.next(self.good.digest());
        change(&mut pointer);
        self.put_channel(&pointer).await;
    }

    /// A newer pointer as a document of some type, signed by some of the keys.
    async fn put_signed(&self, document: DocumentType, keys: &[&str]) {
        let pointer = self.next(self.good.digest());
        self.put_bytes(&self.sealed(document, &pointer, keys)).await;
    }

    /// A newer pointer with another pointer's payload.
    async fn put_swapped(&self) {
        let json = |pointer: &Channel| -> Value {
            serde_json::from_slice(&self.sealed(DocumentType::Channel, pointer, &["publisher"])).unwrap()
        };
        let mut sealed = json(&self.next(self.good.digest()));
        sealed["payload"] = json(&self.pointer)["payload"].clone();
        self.put_bytes(sealed.to_string().as_bytes()).await;
    }

    /// A newer pointer at other tables.
    async fn put_tables(&self, bytes: &[u8]) {
        let tables = self.registry.put_blob(bytes).await.unwrap();
        self.put_changed(|p| p.arms[0].tables = Some(tables)).await;
    }

    /// A newer pointer at a bundle that no publisher's tool would make.
    async fn put_forged(&self, role: Role, blob: impl FnOnce(&[u8]) -> Vec<u8>, change: impl FnOnce(&mut Manifest)) {
        let digest = self.forged(role, &blob(self.good.blob(role)), change).await;
        self.put_channel(&self.next(digest)).await;
    }

    fn sealed(&self, document: DocumentType, pointer: &Channel, keys: &[&str]) -> Vec<u8> {
        let secret = |name: &&str| keys::read_secret(&self.folder.path().join(format!("keys/{name}.key"))).unwrap();
        let keys: Vec<_> = keys.iter().map(secret).collect();
        sign::seal(document, pointer, &keys.iter().collect::<Vec<_>>())
    }

    /// Another good bundle: with fewer golden requests.
    async fn other(&self) -> Bundle {
        let mut golden: Golden = codec::decode(self.good.blob(Role::Golden), "golden").unwrap();
        golden.call.requests.truncate(3);
        golden.answers.truncate(3);
        let mut blobs: BTreeMap<Role, Vec<u8>> =
            edge_runtime::bundle::ROLES.iter().map(|&role| (role, self.good.blob(role).to_vec())).collect();
        blobs.insert(Role::Golden, golden.to_bytes());
        let bundle =
            Bundle::make(SURFACE, "compact", self.good.manifest().training_data, Sampling::default(), blobs).unwrap();
        self.registry.put_bundle(&bundle).await.unwrap();
        bundle
    }

    /// A bundle that no publisher's tool would make: the good one's manifest, changed, with one other blob.
    async fn forged(&self, role: Role, blob: &[u8], change: impl FnOnce(&mut Manifest)) -> Digest {
        let digest = self.registry.put_blob(blob).await.unwrap();
        let mut manifest = self.good.manifest().clone();
        for named in manifest.blobs.iter_mut().filter(|b| b.role == role) {
            (named.size, named.sha256) = (blob.len() as u64, digest);
        }
        change(&mut manifest);
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let digest = Digest::of(&bytes);
        self.registry.put(&format!("bundles/{digest}"), bytes).await.unwrap();
        digest
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.folder.path().join(format!("registry/blobs/sha256/{digest}"))
    }
}

async fn open(folder: &Path, call: Duration) -> Arc<Runtime> {
    let settings = Settings {
        registry: folder.join("registry").display().to_string(),
        trust: std::fs::read(folder.join("keys/root.json")).unwrap(),
        channel: "stable".into(),
        surfaces: vec![SURFACE.into()],
        state: folder.join("state"),
        limits: Limits { call, ..Limits::serving() },
        spool: spool::Settings::default(),
        keep: Keep::default(),
        pseudonyms: None,
    };
    Arc::new(Runtime::open(settings).await.unwrap())
}

fn request(candidates: u32) -> RequestEvent {
    RequestEvent {
        id: String::new(),
        ts: 1_768_000_000_000,
        offset_min: 0,
        user: "u".into(),
        surface: SURFACE.into(),
        attributes: BTreeMap::new(),
        context: BTreeMap::new(),
        candidates: (0..candidates)
            .map(|k| Candidate { item: format!("show-{k:04}"), fields: BTreeMap::new() })
            .collect(),
        exclude: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_newer_bundle_is_served() {
    let scene = Scene::new().await;
    let other = scene.other().await;
    scene.put_channel(&scene.next(other.digest())).await;
    scene.runtime.poll().await;
    assert_eq!((scene.status().bundles, scene.status().problem), (vec![other.digest()], None));
}

/// Damages a file of another good bundle, points the channel at it, and gives the file with its whole bytes.
async fn damaged(
    scene: &Scene,
    blob: Option<Role>,
    damage: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> (PathBuf, Vec<u8>) {
    let other = scene.other().await;
    let path = match blob {
        Some(role) => scene.blob_path(other.manifest().blob(role).sha256),
        None => scene.folder.path().join(format!("registry/bundles/{}", other.digest())),
    };
    let whole = std::fs::read(&path).unwrap();
    match damage(&whole) {
        Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        None => std::fs::remove_file(&path).unwrap(),
    }
    scene.put_channel(&scene.next(other.digest())).await;
    (path, whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_blob() {
    let scene = Scene::new().await;
    damaged(&scene, Some(Role::Golden), |whole| Some(whole[..whole.len() - 1].to_vec())).await;
    scene.poll_refuses("truncated or altered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_blob() {
    let scene = Scene::new().await;
    let flip = |whole: &[u8]| Some(whole.iter().enumerate().map(|(i, b)| b ^ u8::from(i == whole.len() / 2)).collect());
    damaged(&scene, Some(Role::Golden), flip).await;
    scene.poll_refuses("it was altered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_manifest() {
    let scene = Scene::new().await;
    let rename = |whole: &[u8]| Some(String::from_utf8_lossy(whole).replace("compact", "Compact").into_bytes());
    damaged(&scene, None, rename).await;
    scene.poll_refuses("the manifest has digest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_manifest_may_still_come() {
    let scene = Scene::new().await;
    let (path, whole) = damaged(&scene, None, |_| None).await;
    scene.poll_refuses("has no bundles/").await;
    std::fs::write(&path, whole).unwrap();
    scene.runtime.poll().await;
    assert_eq!((scene.status().bundles, scene.status().problem), (vec![scene.other().await.digest()], None));
}

/// One test a refusal: what a publisher does to the channel, and what the edge says to it.
macro_rules! refused {
    ($($name:ident: |$scene:ident| $publish:expr => $says:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let $scene = Scene::new().await;
            $publish.await;
            $scene.poll_refuses($says).await;
        }
    )*};
}

refused! {
    a_pointer_signed_by_another_key: |scene| scene.put_signed(DocumentType::Channel, &["root"]) => "0 valid signatures";
    a_pointer_signed_by_nobody: |scene| scene.put_signed(DocumentType::Channel, &[]) => "signed by: nobody";
    a_document_of_another_type: |scene| scene.put_signed(DocumentType::Release, &["publisher"])
        => "type `release`, expected `channel`";
    a_payload_under_anothers_signature: |scene| scene.put_swapped() => "0 valid signatures";
    a_pointer_that_is_no_document: |scene| scene.put_bytes(b"{}") => "not a signed document";
    a_pointer_of_another_channel: |scene| scene.put_changed(|p| p.channel = "canary".into())
        => "podcasts/canary, expected podcasts/stable";
    a_pointer_of_another_surface: |scene| scene.put_changed(|p| p.surface = "shortcuts".into())
        => "shortcuts/stable, expected podcasts/stable";
    an_expired_pointer: |scene| scene.put_changed(|p| p.expires = 1_000) => "expired";
    a_pointer_at_a_revoked_bundle: |scene| scene.put_changed(|p| p.revoked = vec![p.arms[0].bundle]) => "revoked";
    a_pointer_at_nothing: |scene| scene.put_changed(|p| p.arms.clear()) => "no arm";
    a_pointer_with_a_sequence_that_was_used: |scene| scene.put_changed(|p| (p.sequence, p.salt) = (1, "other".into()))
        => "sequence 1 is served, and now says something else";
    a_bundle_of_another_abi: |scene| scene.put_forged(Role::Golden, same, |m| m.engine.abi = 2) => "ABI version 2";
    a_bundle_of_another_format: |scene| scene.put_forged(Role::Golden, same, |m| m.format = 9)
        => "bundle format version 9";
    an_engine_cut_in_half: |scene| scene.put_forged(Role::Engine, |engine| engine[..engine.len() / 2].to_vec(), keep)
        => "not valid WebAssembly";
    an_engine_with_an_import: |scene| scene.put_forged(Role::Engine, |_| importing(), keep) => "imports `env.clock`";
    a_model_that_is_none: |scene| scene.put_forged(Role::Model, |_| b"not a model".to_vec(), keep)
        => "not an ONNX file";
    tables_that_are_none: |scene| scene.put_forged(Role::Tables, |_| b"not tables".to_vec(), keep) => "tables";
    an_encoder_that_is_none: |scene| scene.put_forged(Role::Encoder, |_| b"not it".to_vec(), |m| {
        m.encoder = Digest::of(b"not it");
    }) => "encoder";
    a_profile_that_is_none: |scene| scene.put_forged(Role::Profile, |_| b"not it".to_vec(), keep) => "profile: ";
    a_profile_with_cuts_in_disorder: |scene| scene.put_forged(Role::Profile, |bytes| {
        let mut profile: Profile = codec::decode(bytes, "profile").unwrap();
        let cuts = profile.features.iter_mut().find_map(|feature| match &mut feature.spread {
            Spread::Numbers { cuts, .. } if cuts.len() > 1 => Some(cuts),
            _ => None,
        });
        cuts.unwrap().reverse();
        profile.to_bytes()
    }, keep) => "cut points are not finite and rising";
    a_golden_request_with_another_answer: |scene| scene.put_forged(Role::Golden, |golden| {
        let mut golden: Golden = codec::decode(golden, "golden").unwrap();
        golden.answers[1].candidates += 1;
        golden.to_bytes()
    }, keep) => "golden request 1 has another answer";
    a_bundle_of_another_surface: |scene| scene.put_forged(Role::Golden, same, |m| m.surface = "shortcuts".into())
        => "serves a bundle of surface `shortcuts`";
    a_bundle_without_a_blob: |scene| scene.put_forged(Role::Golden, same, |m| m.blobs.truncate(5))
        => "0 blobs with role Golden";
    a_blob_of_a_terabyte: |scene| scene.put_forged(Role::Golden, same, |m| m.blobs[3].size = 1 << 40) => "at most";
    a_snapshot_that_is_none: |scene| scene.put_tables(b"no snapshot") => "tables";
    a_snapshot_of_another_schema: |scene| scene.put_tables(&tables_of("shortcuts"))
        => "tables do not fit the encoder";
    a_snapshot_that_is_not_there: |scene| scene.put_changed(|p| p.arms[0].tables = Some(Digest::of(b"not there")))
        => "has no blobs/";
}

fn same(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn keep(_: &mut Manifest) {}

fn tables_of(surface: &str) -> Vec<u8> {
    let spec = TrainerSpec::read(Path::new(&world::spec(surface))).unwrap().features.unfitted;
    Tables::empty(&spec.schema, &spec.statistics).to_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_older_than_one_that_was_seen_over_a_restart_too() {
    let scene = Scene::new().await;
    scene.put_changed(|p| p.sequence = 9).await;
    scene.runtime.poll().await;
    assert_eq!((scene.status().sequence, scene.status().problem), (Some(9), None));
    scene.put_changed(|p| p.sequence = 8).await;
    scene.poll_refuses("sequence 8 is older than 9").await;
    // What was served last is served at once.
    scene.runtime.close().await;
    let Scene { folder, runtime, good, .. } = scene;
    drop(runtime);
    let again = open(folder.path(), Duration::from_secs(10)).await;
    assert_eq!(again.status()[SURFACE].bundles, [good.digest()], "from the state folder, before the registry is read");
    again.poll().await;
    assert!(again.status()[SURFACE].problem.clone().unwrap().contains("sequence 8 is older than 9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_that_has_passed_is_no_longer_said() {
    let scene = Scene::new().await;
    let path = scene.folder.path().join("registry/channels/podcasts/stable");
    let pointer = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    scene.poll_refuses("has no channels/").await;
    std::fs::write(&path, &pointer).unwrap();
    scene.runtime.poll().await;
    assert_eq!(scene.status().problem, None);
    // A refusal stays, whatever is met in between.
    scene.put_forged(Role::Model, |_| b"not a model".to_vec(), keep).await;
    scene.poll_refuses("not an ONNX file").await;
    let refused = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    scene.poll_refuses("has no channels/").await;
    std::fs::write(&path, &refused).unwrap();
    scene.poll_refuses("not an ONNX file").await;
}

/// The smallest module with an import.
fn importing() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend([1, 4, 1, 0x60, 0, 0]);
    module.extend([2, 13, 1, 3, b'e', b'n', b'v', 5, b'c', b'l', b'o', b'c', b'k', 0, 0]);
    module
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_a_bundle_says_so() {
    let source = tokio::task::block_in_place(published);
    let folder = tempfile::tempdir().unwrap();
    copy(&source.join("keys"), &folder.path().join("keys"));
    let edge = Edge::start(folder.path(), &[]);
    let (status, kind, problem) = edge.post_text("/v1/podcasts/rank", json!({ "user": "u" }).to_string()).await;
    assert_eq!(
        (status, kind.as_str(), &problem["code"]),
        (503, "application/problem+json", &json!("no_bundle")),
        "{problem}"
    );
    assert!(edge.get("/readyz").await.contains("\"ready\":false"));
    assert!(edge.get("/healthz").await.contains("ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_named() {
    let source = tokio::task::block_in_place(published);
    let folder = tempfile::tempdir().unwrap();
    copy(&source.join("registry"), &folder.path().join("registry"));
    copy(&source.join("keys"), &folder.path().join("keys"));
    let edge = Edge::start(folder.path(), &[]);
    let rank = "/v1/podcasts/rank";
    let many = |n: usize| (0..n).map(|k| json!({ "item": format!("i{k}") })).collect::<Vec<_>>();
    let future = 4_102_444_800_000i64;
    for (path, body, status, code, says) in [
        (rank, json!({ "user": "u", "usr": 1 }), 400, "malformed_body", "usr"),
        (rank, json!({ "user": 7 }), 400, "malformed_body", "string"),
        (rank, json!({}), 400, "malformed_body", "user"),
        (rank, json!([]), 400, "malformed_body", ""),
        (rank, json!({ "user": "x".repeat(129) }), 422, "invalid_event", "129 bytes"),
        (rank, json!({ "user": "" }), 422, "invalid_event", "0 bytes"),
        (rank, json!({ "user": "u", "ts": future }), 422, "future_timestamp", "in the future"),
        (rank, json!({ "user": "u", "ts": -MAX_TS_MS - 1 }), 422, "invalid_event", "`ts` is -8640000000000001"),
        (rank, json!({ "user": "u", "offset_min": 9999 }), 422, "invalid_event", "offset_min"),
        (rank, json!({ "user": "u", "candidates": many(4097) }), 422, "invalid_event", "4097"),
        (rank, json!({ "user": "u", "candidates": [{ "item": "a" }, { "item": "a" }] }), 422, "invalid_event", "twice"),
        (rank, json!({ "user": "u", "attributes": { "contry": "us" } }), 422, "schema_mismatch", "contry"),
        (rank, json!({ "user": "u", "attributes": { "country": 7 } }), 422, "schema_mismatch", "country"),
        ("/v1/nothing/rank", json!({ "user": "u" }), 404, "unknown_surface", "podcasts"),
        ("/v1/nothing", json!({}), 404, "not_found", "openapi"),
        ("/v1/interactions", json!([{ "id": "i" }]), 400, "malformed_body", "entry 0"),
        (
            "/v1/interactions",
            json!({ "id": "i", "ts": 1, "user": "u", "item": "x", "action": "play", "completion": 7 }),
            422,
            "invalid_event",
            "completion",
        ),
        (
            "/v1/impressions",
            json!({ "id": "m", "ts": 1, "request": "r", "shown": [{ "item": "a", "position": 0, "propensity": 0 }] }),
            422,
            "invalid_event",
            "propensity",
        ),
    ] {
        let (got, kind, problem) = edge.post_text(path, body.to_string()).await;
        let body: String = body.to_string().chars().take(80).collect();
        assert_eq!(
            (got, kind.as_str(), &problem["code"]),
            (status, "application/problem+json", &json!(code)),
            "{path} {body}: {problem}"
        );
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path} {body}: {problem}");
        assert_eq!(problem["status"], status);
    }
    let (status, _, problem) = edge.post_text(rank, "{ not json".into()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("malformed_body")));
    // It still answers, and numbers at the edge of f64 and odd strings are only data.
    let odd = json!({ "user": "\u{0}é", "ts": -MAX_TS_MS, "candidates": [{ "item": "\u{1F3A7}" }], "context": { "device": "" } });
    assert_eq!(edge.post(rank, &odd).await.unwrap().0, 200);
    let (status, explained) = edge.post(&rank.replace("/rank", "/explain"), &odd).await.unwrap();
    assert_eq!((status, &explained["method"]), (200, &json!("tree_shap")), "{explained}");
    let item = &explained["items"][0];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number: {explained}"));
    let features = item["features"].as_array().unwrap();
    let sum = features.iter().map(|f| number(&f["contribution"])).sum::<f64>() + number(&explained["base"]);
    assert!((sum - number(&item["raw"])).abs() < 1e-4, "contributions sum to the score: {explained}");
    let document: Value = serde_json::from_str(&edge.get("/openapi.json").await).unwrap();
    for path in [
        "/v1/{surface}/rank",
        "/v1/{surface}/explain",
        "/v1/impressions",
        "/v1/interactions",
        "/v1/users/{user}/history",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    assert!(edge.get("/metrics").await.contains("hearth_requests_total{surface=\"podcasts\""));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_end_keep_no_edge_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let source = tokio::task::block_in_place(published);
    copy(&source.join("registry"), &folder.path().join("registry"));
    copy(&source.join("keys"), &folder.path().join("keys"));
    let edge = Edge::start(folder.path(), &[]);
    let begun = [
        "",
        "POST /v1/podcasts/rank HTTP/1.1\r\nhost: x\r\nx: ",
        "POST /v1/podcasts/rank HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    ];
    let clients: Vec<std::net::TcpStream> = begun.iter().map(|request| edge.begin(request.as_bytes())).collect();
    // Connections are taken in their order, so those before this one are there.
    assert_eq!(edge.post("/v1/podcasts/rank", &json!({ "user": "u" })).await.unwrap().0, 200);
    assert!(tokio::task::block_in_place(|| edge.terminate()), "it ends well");
    drop(clients);
    let spool = spool::read(&folder.path().join("state/spool")).unwrap();
    assert_eq!(spool.records.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_any_size_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let source = tokio::task::block_in_place(published);
    copy(&source.join("keys"), &folder.path().join("keys"));
    let edge = Edge::start(folder.path(), &[]);
    for size in [4 << 20, (4 << 20) + 1, 100 << 20] {
        for path in ["/v1/podcasts/rank", "/v1/interactions", "/nowhere"] {
            let (status, _, problem) = edge.post_text(path, "x".repeat(size)).await;
            let (expected, code) = match (size <= 4 << 20, path) {
                (false, _) => (413, "body_too_large"),
                (true, "/nowhere") => (404, "not_found"),
                (true, _) => (400, "malformed_body"),
            };
            assert_eq!((status, &problem["code"]), (expected, &json!(code)), "{size} bytes to {path}: {problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = tokio::task::block_in_place(published);
    copy(&source.join("keys"), &folder.path().join("keys"));
    let edge = Edge::start(folder.path(), &[]);
    let length = "content-length: 2\r\n";
    let json = "content-type: application/json\r\n";
    for (request, status, says) in [
        (format!("POST /v1/a/rank HTTP/1.1\r\n{length}\r\n{{}}"), 415, "unsupported_media_type"),
        (format!("POST /v1/%ff/rank HTTP/1.1\r\n{length}{json}\r\n{{}}"), 404, "not_found"),
        (format!("POST /v1/a/rank HTTP/1.1\r\n{length}{json}\r\n\u{7f}\u{1}"), 400, "malformed_body"),
        ("GET /v1/a/rank HTTP/1.1\r\n\r\n".to_owned(), 405, "method_not_allowed"),
        (format!("POST /v1/a/rank HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\nzz\r\n"), 400, "malformed_body"),
        (
            format!("POST /v1/a/rank HTTP/1.1\r\nexpect: 100-continue\r\n{json}content-length: 9000000000\r\n\r\n"),
            413,
            "body_too_large",
        ),
    ] {
        let answer = edge.raw(request.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nhost: x\r\n", 1).as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(says), "{request}: {answer}");
        assert!(answer.contains("application/problem+json"), "{request}: {answer}");
    }
}
