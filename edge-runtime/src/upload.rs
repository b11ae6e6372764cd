//! Uploading: the spool goes to a collector, piece by piece, in order.
//!
//! A piece is whole frames of one segment; it is named by its place, and its place is on disk before it is sent, so
//! that a retry, also one after a crash, sends the same name and the same bytes. The position moves on only when the
//! collector has said that the piece is durable. Only what has been synced is sent: a power failure then never takes
//! back what a collector has.
//!
//! Retries wait a random time that doubles at most ("full jitter"), and no less than `Retry-After` says.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::runtime::{AnswerError, Runtime};
use crate::spool::{self, Piece, Position, SpoolError};
use crate::store::{StoreError, Upload};

pub mod batch;
mod client;

use client::{Client, Refusal};

/// First bound of the time between two tries; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Last bound of the time between two tries.
const LAST_WAIT: Duration = Duration::from_secs(60);
/// Longest `Retry-After` that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Where a spool goes, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The collector, such as `https://collector.example`.
    pub collector: String,
    /// The file that holds the token; read again for every try, so that a token can be changed.
    pub token: PathBuf,
    /// A batch has about so many bytes before compression; one entry may be larger.
    pub batch_bytes: u64,
    /// Longest time that a smaller batch waits for more.
    pub every: Duration,
}

/// How uploading goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Why the last try failed; `None` where it did not.
    pub problem: Option<String>,
    /// Tries since the last one that did not fail.
    pub failures: u32,
}

/// Why uploading cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// Not a collector's URL.
    #[error("--collector {url}: {reason}")]
    Url {
        /// What was passed.
        url: String,
        /// Why.
        reason: String,
    },
    /// No token.
    #[error("--collector-token-file {path}: {reason}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spool fails.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Sends a runtime's spool to a collector.
#[derive(Debug)]
pub struct Uploader {
    runtime: Arc<Runtime>,
    settings: Settings,
    client: Client,
    upload: Upload,
    /// Falls when the collector finds a batch too large.
    batch_bytes: u64,
}

/// What a step did.
enum Step {
    /// Sent a piece; whether a full one, so that more is waiting.
    Sent { full: bool },
    /// There was nothing to send before this place.
    Nothing { until: Position },
}

/// Why a step did not send.
enum Failure {
    Here(UploadError),
    There { problem: String, retry_after: Option<Duration> },
}

impl Uploader {
    /// Checks the settings and reads how far the spool has been uploaded.
    ///
    /// # Errors
    /// A URL or token that cannot be used, or a store that fails.
    pub fn new(runtime: Arc<Runtime>, settings: Settings) -> Result<Uploader, UploadError> {
        let client = Client::new(&settings.collector)?;
        client::token(&settings.token)?;
        let upload = runtime.store().upload()?;
        Ok(Uploader { batch_bytes: settings.batch_bytes, runtime, settings, client, upload })
    }

    /// Uploads for as long as it is polled.
    pub async fn run(mut self) {
        let mut failures = 0;
        loop {
            match self.step().await {
                Ok(step) => {
                    failures = 0;
                    self.runtime.report_upload(Status::default());
                    match step {
                        Step::Sent { full: true } => {}
                        Step::Sent { full: false } => self.gather(self.upload.position).await,
                        Step::Nothing { until } => self.gather(until).await,
                    }
                }
                Err(failure) => {
                    failures += 1;
                    let (problem, least) = match failure {
                        Failure::Here(error) => (error.to_string(), None),
                        Failure::There { problem, retry_after } => (problem, retry_after),
                    };
                    metrics::counter!("hearth_upload_failures_total").increment(1);
                    if failures == 1 {
                        tracing::warn!(problem, "an upload failed; it is tried again");
                    }
                    self.runtime.report_upload(Status { problem: Some(problem), failures });
                    tokio::time::sleep(backoff(failures, least)).await;
                }
            }
        }
    }

    /// Waits until more than what comes before a place has been synced, and then for more of it for a while.
    async fn gather(&self, before: Position) {
        let mut synced = self.runtime.synced();
        // The writer is gone only when the edge stops, which stops this too.
        if synced.wait_for(|p| *p > before).await.is_err() {
            return std::future::pending().await;
        }
        let (from, most) = (self.upload.position, self.batch_bytes);
        let is_much = |p: &Position| p.segment > from.segment || p.offset.saturating_sub(from.offset) >= most;
        drop(tokio::time::timeout(self.settings.every, synced.wait_for(is_much)).await);
    }

    /// Sends the next piece.
    async fn step(&mut self) -> Result<Step, Failure> {
        let until = *self.runtime.synced().borrow();
        let Some(piece) = self.next_piece(until).await? else { return Ok(Step::Nothing { until }) };
        let started = Instant::now();
        let size = piece.segment.len() as u64;
        let batch = name(&piece);
        let body = batch::encode(&piece.segment)
            .map_err(|source| Failure::Here(SpoolError::Io { path: self.runtime.spool_folder(), source }.into()))?;
        let sent = body.len() as u64;
        let token = client::token(&self.settings.token).map_err(Failure::Here)?;
        match self.client.post(&self.upload.installation, &batch, &token, body).await {
            Ok(()) => {}
            Err(Refusal::Reused) => {
                // Another edge, or this one before its state was put back, has used the name: be someone new.
                tracing::warn!(installation = self.upload.installation, "another edge uploads under this name");
                self.remember(Upload::new(piece.from)).await?;
                return Err(there("the collector has another batch of this name; it is sent under a new one".into()));
            }
            Err(Refusal::TooLarge) => {
                self.batch_bytes = (self.batch_bytes / 2).max(1);
                self.remember(Upload { piece: None, ..self.upload.clone() }).await?;
                return Err(there(format!(
                    "the collector takes no batch of {size} bytes; smaller ones are tried, raise its limits"
                )));
            }
            Err(Refusal::Other { problem, retry_after }) => {
                return Err(Failure::There { problem, retry_after });
            }
        }
        self.remember(Upload { position: piece.to, piece: None, ..self.upload.clone() }).await?;
        metrics::counter!("hearth_upload_batches_total").increment(1);
        metrics::counter!("hearth_upload_bytes_total").increment(size);
        metrics::counter!("hearth_upload_sent_bytes_total").increment(sent);
        metrics::histogram!("hearth_upload_seconds").record(started.elapsed());
        self.trim().await?;
        Ok(Step::Sent { full: size >= self.batch_bytes })
    }

    /// The piece that is on its way, or the next one before a place, which then is.
    async fn next_piece(&mut self, until: Position) -> Result<Option<Piece>, Failure> {
        let folder = self.runtime.spool_folder();
        if let Some((from, to)) = self.upload.piece {
            let read = {
                let folder = folder.clone();
                blocking(move || Ok(spool::piece_between(&folder, from, to)?)).await?
            };
            if read.is_some() {
                return Ok(read);
            }
            // The bound of the spool took it.
        }
        let (from, bytes) = (self.upload.position, self.batch_bytes);
        let piece = blocking(move || Ok(spool::piece(&folder, from, until, bytes)?)).await?;
        if let Some(piece) = &piece {
            self.remember(Upload { piece: Some((piece.from, piece.to)), ..self.upload.clone() }).await?;
        }
        Ok(piece)
    }

    async fn remember(&mut self, upload: Upload) -> Result<(), Failure> {
        let (runtime, stored) = (Arc::clone(&self.runtime), upload.clone());
        blocking(move || Ok(runtime.store().set_upload(&stored)?)).await?;
        self.upload = upload;
        Ok(())
    }

    async fn trim(&self) -> Result<(), Failure> {
        let runtime = Arc::clone(&self.runtime);
        let trimmed = tokio::task::spawn_blocking(move || runtime.trim()).await;
        match trimmed {
            Ok(Err(AnswerError::Spool(error))) => Err(Failure::Here(error.into())),
            Ok(Err(AnswerError::Store(error))) => Err(Failure::Here(error.into())),
            _ => Ok(()),
        }
    }
}

/// Reads and writes off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Failure::Here),
        // The edge is stopping.
        Err(_) => std::future::pending().await,
    }
}

fn there(problem: String) -> Failure {
    Failure::There { problem, retry_after: None }
}

/// A batch's name: its segment, and its first and last byte there.
fn name(piece: &Piece) -> String {
    format!("{:08}-{:010}-{:010}", piece.from.segment, piece.from.offset, piece.to.offset)
}

/// A random time of at most `FIRST_WAIT * 2^(failures - 1)`, and no less than was asked for.
///
/// # Source
/// "Exponential Backoff and Jitter", AWS Architecture Blog, 2015: "full jitter".
fn backoff(failures: u32, least: Option<Duration>) -> Duration {
    let bound = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16)).min(LAST_WAIT);
    // The last 80 bits of a ULID are random.
    let random = ulid::Ulid::new().random() as u32;
    let wait = bound.mul_f64(f64::from(random) / f64::from(u32::MAX));
    wait + least.unwrap_or_default().min(LONGEST_WAIT)
}

impl Runtime {
    /// How uploading goes.
    pub fn upload_status(&self) -> Status {
        self.upload.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn report_upload(&self, status: Status) {
        *self.upload.write().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

#[cfg(test)]
mod tests;
