//! Feeds chunks to hosts and holds their digests against the native ones.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use shared_features::digest::Digest;

use super::corpus::Batch;

/// Longest time that a host may take for a chunk, its own start included.
const PATIENCE: Duration = Duration::from_secs(300);
/// Chunks that wait for a host.
const WAITING: usize = 4;
/// Differences that are kept in words, of each host.
const NAMED: usize = 5;

/// A host at work: chunks go in, digests of their replies come out in order.
pub struct Worker {
    /// What it is.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Chunks; dropping it ends the host.
    pub chunks: SyncSender<Arc<Vec<u8>>>,
    /// Digests of each chunk's replies, or why the host fails.
    pub digests: Receiver<Result<Vec<u64>, String>>,
    /// What must live as long as the host.
    pub keep: Box<dyn Send>,
}

/// How one host did.
pub struct Tally {
    /// The host.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Cases with a reply of other bytes than the native one.
    pub differing: u64,
    /// The first of them, in words.
    pub named: Vec<String>,
    /// Digest over all digests.
    pub digest: Digest,
    /// How long it took, from the first chunk to the last digest.
    pub time: Duration,
}

/// What was compared, and how every host did; the first, which the others must equal, is the native engine if it answers.
pub struct Outcome {
    /// Cases of each part of the corpus.
    pub cases: Vec<(&'static str, u64)>,
    /// The hosts.
    pub hosts: Vec<Tally>,
}

impl Outcome {
    /// Cases, all in all.
    pub fn total(&self) -> u64 {
        self.cases.iter().map(|(_, cases)| cases).sum()
    }

    /// Whether every host gave every bit.
    pub fn is_clean(&self) -> bool {
        self.hosts.iter().all(|host| host.differing == 0)
    }
}

impl Worker {
    /// A host that is a function from chunks to digests, on a thread of its own.
    pub fn on_thread(
        name: &str,
        version: String,
        start: impl FnOnce() -> Result<Box<dyn FnMut(&[u8]) -> Result<Vec<u64>, String>>, String> + Send + 'static,
    ) -> Worker {
        let (chunks, incoming) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let (outgoing, digests) = sync_channel(WAITING);
        std::thread::spawn(move || {
            let mut answer = match start() {
                Ok(answer) => answer,
                Err(reason) => return drop(outgoing.send(Err(reason))),
            };
            for chunk in incoming {
                if outgoing.send(answer(&chunk)).is_err() {
                    return;
                }
            }
        });
        Worker { name: name.to_owned(), version, chunks, digests, keep: Box::new(()) }
    }
}

/// Feeds a corpus to hosts; `progress` is told how many cases are done.
///
/// # Errors
/// A host that fails or takes longer than five minutes for a chunk, by name.
pub fn compare(
    corpus: impl Iterator<Item = Batch>,
    hosts: Vec<Worker>,
    mut progress: impl FnMut(u64),
) -> Result<Outcome, String> {
    let started = Instant::now();
    let mut native = Tally::new("native".into(), native_version());
    let mut tallies: Vec<Tally> =
        hosts.iter().map(|host| Tally::new(host.name.clone(), host.version.clone())).collect();
    let mut cases: Vec<(&'static str, u64)> = Vec::new();
    let mut behind: Vec<Batch> = Vec::new();
    let mut done = 0;
    let mut settle = |mut batch: Batch, tallies: &mut [Tally]| -> Result<(), String> {
        for (host, tally) in hosts.iter().zip(tallies) {
            let fails = |reason: String| format!("{} at {}: {reason}", host.name, batch.name(0));
            let digests = host.digests.recv_timeout(PATIENCE).map_err(|e| fails(e.to_string()))?.map_err(fails)?;
            if batch.expected.is_empty() {
                batch.expected.clone_from(&digests);
            }
            tally.count(&batch, &digests)?;
            tally.time = started.elapsed();
        }
        done += batch.cases();
        progress(done);
        Ok(())
    };
    let mut answered = true;
    for mut batch in corpus {
        answered &= !batch.expected.is_empty();
        native.count(&batch, &batch.expected)?;
        native.time += batch.native_time;
        match cases.last_mut() {
            Some((part, count)) if *part == batch.part => *count += batch.cases(),
            _ => cases.push((batch.part, batch.cases())),
        }
        let chunk = Arc::new(std::mem::take(&mut batch.chunk));
        behind.push(batch);
        for host in &hosts {
            // A host that is gone has left its reason with the digests.
            let _ = host.chunks.send(Arc::clone(&chunk));
        }
        // As many as fit into every queue stay under way.
        if behind.len() > WAITING / 2 {
            settle(behind.remove(0), &mut tallies)?;
        }
    }
    for batch in behind {
        settle(batch, &mut tallies)?;
    }
    if answered {
        tallies.insert(0, native);
    }
    Ok(Outcome { cases, hosts: tallies })
}

impl Tally {
    fn new(name: String, version: String) -> Tally {
        let digest = Digest::of(&[]);
        Tally { name, version, differing: 0, named: Vec::new(), digest, time: Duration::ZERO }
    }

    fn count(&mut self, batch: &Batch, digests: &[u64]) -> Result<(), String> {
        if digests.len() != batch.expected.len() {
            let (got, expected) = (digests.len(), batch.expected.len());
            return Err(format!("{} gave {got} digests for {expected} messages", self.name));
        }
        let mut last = None;
        for (at, _) in digests.iter().zip(&batch.expected).enumerate().filter(|(_, (got, expected))| got != expected) {
            let case = batch.case_of(at);
            self.differing += u64::from(last != Some(case));
            last = Some(case);
            if self.named.len() < NAMED {
                self.named.push(batch.name(at));
            }
        }
        let bytes = digests.iter().flat_map(|d| d.to_le_bytes());
        self.digest = Digest::of(&self.digest.as_bytes().iter().copied().chain(bytes).collect::<Vec<u8>>());
        Ok(())
    }
}

fn native_version() -> String {
    let build = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!("{}-{}, {build} build", std::env::consts::ARCH, std::env::consts::OS)
}
