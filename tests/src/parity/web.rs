//! Hosts that run JavaScript: Node, Chromium and Firefox, each a process that works through a loopback server.
//!
//! The server hands out `worker.mjs` and `docs/examples/host.mjs`; the worker fetches chunks and posts digests.
//! A browser opens one page and needs no driver.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::compare::Worker;

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>parity</title><link rel=icon href=data:,><script type=module src=/tests/src/parity/worker.mjs></script>";
const WORKER: &str = include_str!("worker.mjs");
const HOST: &str = include_str!("../../../docs/examples/host.mjs");

/// Keeps a browser from talking to anyone but this process.
const CHROMIUM: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
/// The same, as Firefox's preferences.
pub const FIREFOX: &str = r#"
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.healthreport.uploadEnabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
"#;

/// Node; `None` where it is not in the PATH.
pub fn node(wasm: &[u8]) -> Option<Worker> {
    let program = found("node")?;
    let version = Command::new(&program).args(["-p", "`${process.version}, V8 ${process.versions.v8}`"]).output();
    Some(start("Node", text(version), wasm, |url, folder| {
        // Modules find each other by their places in the repository.
        for (path, content) in [("tests/src/parity/worker.mjs", WORKER), ("docs/examples/host.mjs", HOST)] {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            std::fs::write(path, content)?;
        }
        run(&program, [folder.join("tests/src/parity/worker.mjs").as_os_str(), url.as_ref()])
    }))
}

/// Headless Chromium; `None` where it is not in the PATH.
pub fn chromium(wasm: &[u8]) -> Option<Worker> {
    let program = found("chromium")?;
    let version = Command::new(&program).arg("--version").output();
    Some(start("Chromium", text(version), wasm, |url, folder| {
        let profile = format!("--user-data-dir={}", folder.display());
        run(&program, CHROMIUM.iter().map(OsStr::new).chain([profile.as_ref(), url.as_ref()]))
    }))
}

/// Headless Firefox; `None` where it is not in the PATH.
pub fn firefox(wasm: &[u8]) -> Option<Worker> {
    let program = found("firefox-esr")?;
    let version = Command::new(&program).arg("--version").output();
    Some(start("Firefox", text(version), wasm, |url, folder| {
        std::fs::write(folder.join("user.js"), FIREFOX)?;
        let arguments = [OsStr::new("--headless"), "--no-remote".as_ref(), "--profile".as_ref(), folder.as_os_str()];
        run(&program, arguments.into_iter().chain([url.as_ref()]))
    }))
}

/// What lives as long as the host: its process, its folder, and the server.
struct Running {
    process: Option<Child>,
    _folder: TempDir,
    server: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}

struct Shared {
    wasm: Vec<u8>,
    chunks: Mutex<std::sync::mpsc::Receiver<Arc<Vec<u8>>>>,
    digests: SyncSender<Result<Vec<u64>, String>>,
}

fn start(
    name: &str,
    version: String,
    wasm: &[u8],
    launch: impl FnOnce(&str, &std::path::Path) -> std::io::Result<Child>,
) -> Worker {
    let (chunks, incoming) = sync_channel(4);
    let (outgoing, digests) = sync_channel(64);
    let shared = Arc::new(Shared { wasm: wasm.to_vec(), chunks: Mutex::new(incoming), digests: outgoing.clone() });
    let folder = TempDir::new().expect("a temporary folder can be made");
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let server = server.expect("a runtime can be started");
    let listener = server.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let script = |text: &'static str| get(async move || ([(header::CONTENT_TYPE, "text/javascript")], text));
    let app = axum::Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/tests/src/parity/worker.mjs", script(WORKER))
        .route("/docs/examples/host.mjs", script(HOST))
        .route("/engine.wasm", get(engine))
        .route("/next", post(next))
        .route("/failed", post(failed))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared);
    server.spawn(async move { axum::serve(listener, app).await });
    let process = launch(&url, folder.path());
    if let Err(e) = &process {
        let _ = outgoing.send(Err(format!("it cannot be started: {e}")));
    }
    let keep = Box::new(Running { process: process.ok(), _folder: folder, server: Some(server) });
    Worker { name: name.to_owned(), version, chunks, digests, keep }
}

async fn engine(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/wasm")], shared.wasm.clone())
}

/// Takes the digests of the chunk before, where there was one, and gives the next chunk; no content when all are done.
async fn next(State(shared): State<Arc<Shared>>, digests: Bytes) -> impl IntoResponse {
    let waited = tokio::task::spawn_blocking(move || {
        if !digests.is_empty() {
            let digests = digests.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
            shared.digests.send(Ok(digests)).ok()?;
        }
        shared.chunks.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    });
    match waited.await {
        Ok(Some(chunk)) => (StatusCode::OK, chunk.to_vec()),
        _ => (StatusCode::NO_CONTENT, Vec::new()),
    }
}

async fn failed(State(shared): State<Arc<Shared>>, reason: String) {
    let _ = shared.digests.try_send(Err(reason));
}

fn run(program: &std::path::Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> std::io::Result<Child> {
    Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// Where a program is in the PATH.
pub fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn text(output: std::io::Result<std::process::Output>) -> String {
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}
