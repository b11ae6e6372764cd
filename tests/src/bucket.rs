//! A real server of buckets: moto's S3, as a child process. `make hosts` installs it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A bucket on a server of its own, which is killed when dropped.
pub struct Bucket {
    process: Child,
    endpoint: String,
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Its name.
const NAME: &str = "hearth";

impl Bucket {
    /// Starts a server with an empty bucket; `None` where moto is not installed.
    ///
    /// # Panics
    /// It is installed and does not start.
    pub async fn start() -> Option<Bucket> {
        let hosts = std::env::var_os("HEARTH_HOSTS")?;
        let program = Path::new(&hosts).join("hosts/bin/moto_server");
        if !program.is_file() {
            return None;
        }
        let mut process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto starts");
        let mut log = BufReader::new(process.stderr.take().expect("standard error is piped"));
        let endpoint = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("moto prints UTF-8") > 0, "moto ended");
            if let Some((_, at)) = line.split_once("Running on ") {
                break at.trim().to_owned();
            }
        };
        // It stops where nobody reads what it says.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let bucket = Bucket { process, endpoint };
        bucket.put("", Vec::new()).await;
        Some(bucket)
    }

    /// Where a place in it is.
    pub fn url(&self, place: &str) -> String {
        format!("s3://{NAME}/{place}")
    }

    /// What a process needs to know to use it.
    pub fn environment(&self) -> [(&str, &str); 5] {
        [
            ("AWS_ENDPOINT", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "tests"),
            ("AWS_SECRET_ACCESS_KEY", "tests"),
        ]
    }

    /// Copies all files of a folder.
    ///
    /// # Panics
    /// They cannot be read, or not be written.
    pub async fn copy(&self, folder: &Path, place: &str) {
        for entry in std::fs::read_dir(folder).expect("there is such a folder") {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
            let to = format!("{place}/{name}");
            match path.is_dir() {
                true => Box::pin(self.copy(&path, &to)).await,
                false => self.put(&to, std::fs::read(&path).expect("the file can be read")).await,
            }
        }
    }

    /// Waits until nothing is in a place.
    ///
    /// # Panics
    /// Something stays there.
    pub async fn wait_for_none_in(&self, place: &str) {
        let url = format!("{}/{NAME}?list-type=2&prefix={place}/", self.endpoint);
        let started = Instant::now();
        loop {
            let answer = reqwest::get(&url).await.expect("moto answers");
            assert!(answer.status().is_success(), "moto answers {} for the list of {place}", answer.status());
            if !answer.text().await.expect("moto sends text").contains("<Key>") {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "something stays in {place}");
        }
    }

    /// Writes an object, or the bucket itself where it has no name.
    async fn put(&self, object: &str, bytes: Vec<u8>) {
        let url = format!("{}/{NAME}/{object}", self.endpoint);
        let answer = reqwest::Client::new().put(url).body(bytes).send().await.expect("moto answers");
        assert!(answer.status().is_success(), "moto answers {} for {object}", answer.status());
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
