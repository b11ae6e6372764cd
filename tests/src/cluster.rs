//! A real cluster on loopback: `trainer scheduler` and `trainer worker`, as child processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Seconds after which a scheduler of the tests gives a silent worker up.
const LOST_AFTER: &str = "10";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A scheduler and its workers; they are killed when dropped.
pub struct Cluster {
    scheduler: Child,
    address: String,
    /// The workers, in the order in which they were started.
    pub workers: Vec<Worker>,
}

/// A worker, which works on one piece at a time.
pub struct Worker {
    process: Child,
    log: Receiver<String>,
}

impl Cluster {
    /// Starts a scheduler and workers, which look at paths from `folder`, and waits until they have found each other.
    ///
    /// # Panics
    /// They do not start.
    pub fn start(folder: &Path, workers: usize) -> Cluster {
        let mut scheduler = Command::new(crate::binary::path("trainer"))
            .args(["scheduler", "--listen", "127.0.0.1:0", "--lost-after", LOST_AFTER])
            .env("RUST_LOG", "error,ballista_scheduler::display=off")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the scheduler starts");
        let line = first_line(&mut scheduler);
        let address = line.strip_prefix("listening on ballista://");
        let address = address.unwrap_or_else(|| panic!("the scheduler printed `{line}`")).to_owned();
        let workers = (0..workers).map(|_| Worker::start(folder, &address)).collect();
        let cluster = Cluster { scheduler, address, workers };
        let expected = format!("ready: {} executors", cluster.workers.len());
        let started = Instant::now();
        while !cluster.workers.is_empty() && !cluster.get("/readyz").contains(&expected) {
            assert!(started.elapsed() < PATIENCE, "the workers do not find the scheduler");
            std::thread::yield_now();
        }
        cluster
    }

    /// What `--engine` wants.
    pub fn engine(&self) -> String {
        format!("ballista://{}", self.address)
    }

    /// The scheduler's answer.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the scheduler listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("the scheduler takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the scheduler answers");
        answer
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.scheduler.kill();
        let _ = self.scheduler.wait();
    }
}

impl Worker {
    fn start(folder: &Path, scheduler: &str) -> Worker {
        let mut process = Command::new(crate::binary::path("trainer"))
            .current_dir(folder)
            .args(["worker", "--scheduler", scheduler, "--cores", "1", "--memory", "512MiB", "--spill", "."])
            .env("RUST_LOG", "error,ballista_executor::execution_loop=info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a worker starts");
        let line = first_line(&mut process);
        assert!(line.starts_with("serving on 127.0.0.1:"), "a worker printed `{line}`");
        let (send, log) = channel();
        let errors = BufReader::new(process.stderr.take().expect("standard error is piped"));
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Worker { process, log }
    }

    /// Waits until it has been given as many more pieces of work.
    ///
    /// # Panics
    /// It is given none.
    pub fn wait_for_work(&self, pieces: usize) {
        for _ in 0..pieces {
            while !self.log.recv_timeout(PATIENCE).expect("the worker is given work").contains("Received task") {}
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Panics
    /// It is gone already.
    pub fn sigkill(&mut self) {
        self.process.kill().expect("the worker can be killed");
        self.process.wait().expect("the worker can be waited for");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn first_line(process: &mut Child) -> String {
    let output = process.stdout.take().expect("standard output is piped");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("it prints UTF-8");
    line.trim().to_owned()
}
