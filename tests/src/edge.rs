//! A real `edge-runtime serve`, as a child process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running edge; it is killed when dropped.
pub struct Edge {
    process: Mutex<Child>,
    url: String,
    client: reqwest::Client,
    _output: Mutex<BufReader<ChildStdout>>,
}

impl Edge {
    /// Starts an edge on a free port over `registry`, `keys/root.json` and `state` of a folder.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(folder: &Path, more: &[&str]) -> Edge {
        let mut process = Command::new(crate::binary::path("edge-runtime"))
            .current_dir(folder)
            .args(["serve", "--registry", "registry", "--trust", "keys/root.json", "--channel", "stable"])
            .args(["--state", "state", "--listen", "127.0.0.1:0", "--poll-ms", "20", "--deadline-ms", "20000"])
            .args(more)
            .env("RUST_LOG", "off")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the edge starts");
        let mut output = BufReader::new(process.stdout.take().expect("standard output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the edge prints UTF-8");
        let url =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("the edge printed `{line}`")).to_owned();
        Edge { process: Mutex::new(process), url, client: reqwest::Client::new(), _output: Mutex::new(output) }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn sigkill(&self) {
        let mut process = self.process.lock().expect("nobody panics with it");
        process.kill().expect("the edge can be killed");
        process.wait().expect("the edge can be waited for");
    }

    /// Asks it to stop with SIGTERM, and waits for its end; whether it ended well.
    ///
    /// # Panics
    /// It does not end within a minute.
    pub fn terminate(self) -> bool {
        let mut process = self.process.lock().expect("nobody panics with it");
        let asked = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "the edge can be asked to stop");
        let started = Instant::now();
        loop {
            if let Some(status) = process.try_wait().expect("the edge can be waited for") {
                return status.success();
            }
            assert!(started.elapsed() < PATIENCE, "the edge does not stop");
            std::thread::yield_now();
        }
    }

    /// Kills it for good.
    pub fn kill(self) {
        self.sigkill();
    }

    /// Posts JSON; the status and the body. `None` where the edge is gone.
    pub async fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let response = self.client.post(format!("{}{path}", self.url)).json(body).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    /// Deletes; the status and the body.
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        let response = self.client.delete(format!("{}{path}", self.url)).send().await.expect("the edge answers");
        (response.status().as_u16(), response.json().await.expect("the edge sends JSON"))
    }

    /// Posts text as JSON; the status, the content type and the body.
    pub async fn post_text(&self, path: &str, body: String) -> (u16, String, Value) {
        let request =
            self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json").body(body);
        let response = request.send().await.expect("the edge answers");
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        (status, kind, response.json().await.unwrap_or(Value::Null))
    }

    /// Sends bytes as they are, and reads up to the end of the first answer's head and body.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.begin(request);
        let mut answer = Vec::new();
        while !whole(&answer) {
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk).expect("the edge answers in time") {
                0 => break,
                n => answer.extend_from_slice(&chunk[..n]),
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Opens a connection and sends bytes as they are.
    pub fn begin(&self, request: &[u8]) -> TcpStream {
        let address = self.url.strip_prefix("http://").expect("the edge listens on HTTP");
        let mut stream = TcpStream::connect(address).expect("the edge takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a connection has a timeout");
        stream.write_all(request).expect("the edge reads");
        stream
    }

    /// Gets text.
    pub async fn get(&self, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.expect("the edge answers");
        response.text().await.expect("the edge sends text")
    }

    /// What `/readyz` says of a surface.
    pub async fn status(&self, surface: &str) -> Value {
        let ready: Value = serde_json::from_str(&self.get("/readyz").await).expect("/readyz is JSON");
        ready["surfaces"][surface].clone()
    }

    /// Waits until a surface's status fulfils a condition.
    ///
    /// # Panics
    /// It does not, for a minute.
    pub async fn wait_for(&self, surface: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let status = self.status(surface).await;
            if condition(&status) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{surface} stays at {status}");
            tokio::task::yield_now().await;
        }
    }
}

/// Whether these bytes are a whole answer, by its `content-length`.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
