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
use edge_runtime::registry::Registry;
use edge_runtime::runtime::{Runtime, Settings, Status};
use edge_runtime::sign::{self, DocumentType};
use edge_runtime::spool;
use hearth_tests::edge::Edge;
use hearth_tests::world::{self, copy};
use serde_json::{Value, json};
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::event::{Candidate, RequestEvent};
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

    async fn put_channel(&self, pointer: &Channel) {
        let key = keys::read_secret(&self.folder.path().join("keys/publisher.key")).unwrap();
        self.registry
            .put("channels/podcasts/stable", sign::seal(DocumentType::Channel, pointer, &[&key]))
            .await
            .unwrap();
    }

    /// Another good bundle: with fewer golden requests.
    async fn other(&self) -> Bundle {
        let mut golden: Golden = codec::decode(self.good.blob(Role::Golden), "golden").unwrap();
        golden.call.requests.truncate(3);
        golden.answers.truncate(3);
        let mut blobs: BTreeMap<Role, Vec<u8>> =
            edge_runtime::bundle::ROLES.iter().map(|&role| (role, self.good.blob(role).to_vec())).collect();
        blobs.insert(Role::Golden, golden.to_bytes());
        let bundle = Bundle::make(SURFACE, "compact", self.good.manifest().training_data, blobs).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn truncated_and_altered_bytes() {
    let scene = Scene::new().await;
    let other = scene.other().await;
    let path = scene.blob_path(other.manifest().blob(Role::Golden).sha256);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    scene.put_channel(&scene.next(other.digest())).await;
    scene.poll_refuses("truncated or altered").await;

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    scene.put_channel(&Channel { sequence: 3, ..scene.next(other.digest()) }).await;
    scene.poll_refuses("it was altered").await;

    std::fs::write(&path, &whole).unwrap();
    let manifest = scene.folder.path().join(format!("registry/bundles/{}", other.digest()));
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("compact", "Compact")).unwrap();
    scene.put_channel(&Channel { sequence: 4, ..scene.next(other.digest()) }).await;
    scene.poll_refuses("the manifest has digest").await;

    std::fs::remove_file(&manifest).unwrap();
    scene.put_channel(&Channel { sequence: 5, ..scene.next(other.digest()) }).await;
    scene.poll_refuses("has no bundles/").await;
    // What is missing may still come: the same pointer is tried again.
    std::fs::write(&manifest, text).unwrap();
    scene.runtime.poll().await;
    assert_eq!((scene.status().bundles, scene.status().problem), (vec![other.digest()], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_missing_signatures() {
    let scene = Scene::new().await;
    let other = scene.other().await;
    let pointer = scene.next(other.digest());
    let root = keys::read_secret(&scene.folder.path().join("keys/root.key")).unwrap();
    let channel = "channels/podcasts/stable";
    scene.registry.put(channel, sign::seal(DocumentType::Channel, &pointer, &[&root])).await.unwrap();
    scene.poll_refuses("0 valid signatures").await;
    scene.registry.put(channel, sign::seal(DocumentType::Channel, &pointer, &[])).await.unwrap();
    scene.poll_refuses("signed by: nobody").await;
    let publisher = keys::read_secret(&scene.folder.path().join("keys/publisher.key")).unwrap();
    scene.registry.put(channel, sign::seal(DocumentType::Release, &pointer, &[&publisher])).await.unwrap();
    scene.poll_refuses("type `release`, expected `channel`").await;
    let mut sealed: Value =
        serde_json::from_slice(&sign::seal(DocumentType::Channel, &pointer, &[&publisher])).unwrap();
    let other_payload: Value =
        serde_json::from_slice(&sign::seal(DocumentType::Channel, &scene.pointer, &[&publisher])).unwrap();
    sealed["payload"] = other_payload["payload"].clone();
    scene.registry.put(channel, sealed.to_string().into_bytes()).await.unwrap();
    scene.poll_refuses("0 valid signatures").await;
    scene.registry.put(channel, b"{}".to_vec()).await.unwrap();
    scene.poll_refuses("not a signed document").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pointers_of_another_channel_older_or_expired() {
    let scene = Scene::new().await;
    let other = scene.other().await;
    let pointer = scene.next(other.digest());
    scene.put_channel(&Channel { channel: "canary".into(), ..pointer.clone() }).await;
    scene.poll_refuses("podcasts/canary, expected podcasts/stable").await;
    scene.put_channel(&Channel { surface: "shortcuts".into(), ..pointer.clone() }).await;
    scene.poll_refuses("shortcuts/stable, expected podcasts/stable").await;
    scene.put_channel(&Channel { expires: 1_000, ..pointer.clone() }).await;
    scene.poll_refuses("expired").await;
    scene.put_channel(&Channel { revoked: vec![other.digest()], ..pointer.clone() }).await;
    scene.poll_refuses("revoked").await;
    scene.put_channel(&Channel { arms: Vec::new(), ..pointer.clone() }).await;
    scene.poll_refuses("no arm").await;
    scene.put_channel(&Channel { sequence: 9, ..scene.pointer.clone() }).await;
    scene.runtime.poll().await;
    assert_eq!((scene.status().sequence, scene.status().problem), (Some(9), None));
    scene.put_channel(&Channel { sequence: 8, ..pointer.clone() }).await;
    scene.poll_refuses("sequence 8 is older than 9").await;
    // Over a restart too, and what was served last is served at once.
    scene.runtime.close().await;
    let Scene { folder, runtime, good, .. } = scene;
    drop(runtime);
    let again = open(folder.path(), Duration::from_secs(10)).await;
    assert_eq!(again.status()[SURFACE].bundles, [good.digest()], "from the state folder, before the registry is read");
    again.poll().await;
    assert!(again.status()[SURFACE].problem.clone().unwrap().contains("sequence 8 is older than 9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_no_tool_would_make() {
    let scene = Scene::new().await;
    let mut sequence = 1;
    let mut engine = scene.good.engine().to_vec();
    engine.truncate(engine.len() / 2);
    let golden = scene.good.blob(Role::Golden).to_vec();
    let mut other_answers: Golden = codec::decode(&golden, "golden").unwrap();
    other_answers.answers[1].candidates += 1;
    let forged = [
        (scene.forged(Role::Golden, &golden, |m| m.engine.abi = 2).await, "ABI version 2"),
        (scene.forged(Role::Golden, &golden, |m| m.format = 9).await, "bundle format version 9"),
        (scene.forged(Role::Engine, &engine, |_| ()).await, "not valid WebAssembly"),
        (scene.forged(Role::Engine, &importing(), |_| ()).await, "imports `env.clock`"),
        (scene.forged(Role::Model, b"not a model", |_| ()).await, "not an ONNX file"),
        (scene.forged(Role::Tables, b"not tables", |_| ()).await, "tables"),
        (scene.forged(Role::Encoder, b"not it", |m| m.encoder = Digest::of(b"not it")).await, "encoder"),
        (scene.forged(Role::Golden, &other_answers.to_bytes(), |_| ()).await, "golden request 1 has another answer"),
        (
            scene.forged(Role::Golden, &golden, |m| m.surface = "shortcuts".into()).await,
            "serves a bundle of surface `shortcuts`",
        ),
        (scene.forged(Role::Golden, &golden, |m| m.blobs.truncate(5)).await, "0 blobs with role Golden"),
        (scene.forged(Role::Golden, &golden, |m| m.blobs[3].size = 1 << 40).await, "at most"),
    ];
    for (digest, says) in forged {
        sequence += 1;
        scene.put_channel(&Channel { sequence, ..scene.next(digest) }).await;
        scene.poll_refuses(says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_do_not_fit() {
    let scene = Scene::new().await;
    let of_another = TrainerSpec::read(Path::new(&world::spec("shortcuts"))).unwrap().features.unfitted;
    let of_another = Tables::empty(&of_another.schema, &of_another.statistics).to_bytes();
    for (k, (bytes, says)) in
        [(&b"no snapshot"[..], "tables"), (&of_another, "tables do not fit the encoder")].into_iter().enumerate()
    {
        let mut pointer = Channel { sequence: 2 + k as u64, ..scene.pointer.clone() };
        pointer.arms[0].tables = Some(scene.registry.put_blob(bytes).await.unwrap());
        scene.put_channel(&pointer).await;
        scene.poll_refuses(says).await;
    }
    let mut pointer = Channel { sequence: 4, ..scene.pointer.clone() };
    pointer.arms[0].tables = Some(Digest::of(b"not there"));
    scene.put_channel(&pointer).await;
    scene.poll_refuses("has no blobs/").await;
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
    let odd = json!({ "user": "\u{0}é", "ts": i64::MIN + 1, "candidates": [{ "item": "\u{1F3A7}" }], "context": { "device": "" } });
    assert_eq!(edge.post(rank, &odd).await.unwrap().0, 200);
    let document: Value = serde_json::from_str(&edge.get("/openapi.json").await).unwrap();
    for path in [
        "/v1/{surface}/rank",
        "/v1/impressions",
        "/v1/interactions",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    assert!(edge.get("/metrics").await.contains("hearth_requests_total{surface=\"podcasts\""));
    // Last, as the edge ends the connection.
    let (status, _, problem) = edge.post_text(rank, format!("\"{}\"", "x".repeat(5 << 20))).await;
    assert_eq!((status, &problem["code"]), (413, &json!("body_too_large")));
}
