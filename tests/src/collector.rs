//! A real `trainer serve`, as a child process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;
use shared_features::digest::Digest;

/// The token that [`tokens`] writes.
pub const TOKEN: &str = "a-token-of-the-tests";

/// A running collector; it is killed when dropped.
pub struct Collector {
    process: Mutex<Child>,
    url: String,
    _output: Mutex<BufReader<ChildStdout>>,
}

/// Writes `token`, for an edge, and `tokens`, for a collector, into a folder.
///
/// # Panics
/// The folder cannot be written.
pub fn tokens(folder: &Path) {
    std::fs::write(folder.join("token"), format!("{TOKEN}\n")).expect("the token is written");
    let line = format!("tests {}\n", Digest::of(TOKEN.as_bytes()));
    std::fs::write(folder.join("tokens"), line).expect("the tokens are written");
}

/// An address of this machine that nobody listens on.
///
/// # Panics
/// There is none.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a listener has an address").to_string()
}

impl Collector {
    /// Starts a collector over `store`, `tokens`, `registry` and `keys/root.json` of a folder.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(folder: &Path, address: &str) -> Collector {
        Collector::start_over(folder, address, ["store", "registry"], &[])
    }

    /// [`Collector::start`] with a store and a registry that are elsewhere, and variables of its environment.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_over(
        folder: &Path,
        address: &str,
        [store, registry]: [&str; 2],
        environment: &[(&str, &str)],
    ) -> Collector {
        let mut process = Command::new(crate::binary::path("trainer"))
            .current_dir(folder)
            .args(["serve", "--store", store, "--tokens", "tokens", "--registry", registry])
            .args(["--trust", "keys/root.json", "--listen", address, "--compact-ms", "20"])
            .envs(environment.iter().copied())
            .env("RUST_LOG", std::env::var("HEARTH_COLLECTOR_LOG").unwrap_or_else(|_| "off".into()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the collector starts");
        let mut output = BufReader::new(process.stdout.take().expect("standard output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the collector prints UTF-8");
        let url = line.trim().strip_prefix("listening on ");
        let url = url.unwrap_or_else(|| panic!("the collector printed `{line}`")).to_owned();
        Collector { process: Mutex::new(process), url, _output: Mutex::new(output) }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn sigkill(&self) {
        let mut process = self.process.lock().expect("nobody panics with it");
        process.kill().expect("the collector can be killed");
        process.wait().expect("the collector can be waited for");
    }

    /// Sends a batch; the status and the body.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn post(&self, token: &str, edge: &str, batch: &str, body: Vec<u8>) -> (u16, Value) {
        let request = reqwest::Client::new()
            .post(format!("{}/v1/logs", self.url))
            .bearer_auth(token)
            .header("content-encoding", "zstd")
            .header("hearth-edge", edge)
            .header("hearth-batch", batch)
            .body(body);
        let response = request.send().await.expect("the collector answers");
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    /// Gets text.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn get(&self, path: &str) -> String {
        let response = reqwest::get(format!("{}{path}", self.url)).await.expect("the collector answers");
        response.text().await.expect("the collector sends text")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
