//! The spool: what an edge logs, in append-only segments on disk.
//!
//! What is acknowledged was written to the file, so a killed process loses nothing;
//! an `fsync` every [`Settings::sync`] bounds what a power failure can take.
//!
//! A segment is `spool-<number>.hearth`: the eight bytes `HEARTHS1`, then frames of
//! `length u32 LE, CRC-32 u32 LE, payload`. A payload is an [`Entry`] through the codec.
//! A torn last frame of the last segment is cut off when the spool is opened; anything else that does not check is
//! an error.
//!
//! A write that the disk does not take is refused and taken back, and the next one is tried again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared_features::codec;
use tokio::sync::{oneshot, watch};

pub use crate::entry::Entry;

mod piece;
mod reading;
mod segments;

pub use piece::{Piece, piece, piece_between};
use reading::Frames;
pub use reading::{Contents, read, read_from, read_segment};
pub(crate) use segments::{Segment, count_entries, list as segments_of};

const MAGIC: &[u8; 8] = b"HEARTHS1";
const HEADER: usize = 8;
/// Largest payload.
const MAX_PAYLOAD: u32 = 64 << 20;

/// How a spool writes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Time between two `fsync`s.
    pub sync: Duration,
    /// A segment ends when it is larger.
    pub segment_bytes: u64,
}

/// A place in a spool: everything before it has been written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Byte in it.
    pub offset: u64,
}

/// A spool that is written to.
#[derive(Debug)]
pub struct Spool {
    requests: Mutex<Option<Sender<Request>>>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    failed: Arc<Mutex<Option<String>>>,
    synced: watch::Receiver<Position>,
}

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A frame that does not check, before the end.
    #[error("{path}, byte {offset}: {reason}; move the file away to go on without it")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// An entry that no reader would take.
    #[error("an entry of {size} bytes is larger than the spool takes, {MAX_PAYLOAD}; log fewer rows of a request")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The writer has stopped.
    #[error("the spool cannot be written: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

struct Request {
    frames: Vec<u8>,
    written: oneshot::Sender<Result<Position, String>>,
}

struct Writer {
    folder: PathBuf,
    settings: Settings,
    file: File,
    position: Position,
    dirty: bool,
    /// Whether the file may be longer than `position` says, as a write failed in the middle.
    torn: bool,
    failed: Arc<Mutex<Option<String>>>,
    synced: watch::Sender<Position>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { sync: Duration::from_millis(100), segment_bytes: 64 << 20 }
    }
}

impl Spool {
    /// Opens a folder, cuts off a torn last frame, and starts the writer.
    ///
    /// # Errors
    /// A folder that cannot be written, or a segment that is corrupt before its end.
    pub fn open(folder: &Path, settings: Settings) -> Result<Spool, SpoolError> {
        Spool::open_after(folder, settings, Position::default())
    }

    /// Like [`Spool::open`], and writes after a place that somebody remembers, whatever has become of the files since:
    /// what is written then is not taken for something that was read before.
    ///
    /// # Errors
    /// See [`Spool::open`].
    pub fn open_after(folder: &Path, settings: Settings, used: Position) -> Result<Spool, SpoolError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let last = segments::list(folder)?.pop();
        let (path, segment) = match last {
            Some(last) => (last.path, last.number),
            None => (segments::path(folder, 1), 1),
        };
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(io(&path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io(&path))?;
        let whole = if bytes.len() < HEADER {
            file.set_len(0).map_err(io(&path))?;
            file.write_all(MAGIC).map_err(io(&path))?;
            HEADER as u64
        } else {
            let mut end = HEADER as u64;
            for frame in Frames::new(&path, &bytes)? {
                end = frame?.1;
            }
            file.set_len(end).map_err(io(&path))?;
            end
        };
        let cut = (bytes.len() as u64).saturating_sub(whole);
        if cut > 0 {
            tracing::warn!(path = %path.display(), bytes = cut, "cut off a torn frame that was never acknowledged");
        }
        let failed = Arc::new(Mutex::new(None));
        let (told, synced) = watch::channel(Position::default());
        let mut writer = Writer {
            folder: folder.to_owned(),
            settings,
            file,
            position: Position { segment, offset: whole },
            dirty: true,
            torn: false,
            failed: Arc::clone(&failed),
            synced: told,
        };
        if used > writer.position {
            writer.position.segment = used.segment;
            writer.next_segment().map_err(io(folder))?;
        }
        let (requests, receiver) = channel();
        let report = Arc::clone(&failed);
        let thread = std::thread::Builder::new()
            .name("hearth-spool".into())
            .spawn(move || {
                if let Err(e) = writer.run(&receiver) {
                    tracing::error!(error = %e, "the spool has stopped");
                    let reason = format!("{e}; make room for it and start the edge again");
                    *report.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                }
            })
            .map_err(io(folder))?;
        Ok(Spool { requests: Mutex::new(Some(requests)), writer: Mutex::new(Some(thread)), failed, synced })
    }

    /// Writes entries; when this returns they are in the file.
    ///
    /// # Errors
    /// The disk does not take them.
    pub async fn append(&self, entries: &[Entry]) -> Result<Position, SpoolError> {
        let mut frames = Vec::new();
        for entry in entries {
            let payload = codec::encode(entry);
            if payload.len() > MAX_PAYLOAD as usize {
                return Err(SpoolError::TooLarge { size: payload.len() });
            }
            push_frame(&mut frames, &payload);
        }
        let (written, done) = oneshot::channel();
        let sent = match &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(requests) => requests.send(Request { frames, written }).is_ok(),
            None => false,
        };
        if sent && let Ok(answer) = done.await {
            return answer.map_err(|reason| SpoolError::Stopped { reason });
        }
        Err(SpoolError::Stopped { reason: self.problem().unwrap_or_else(|| "it is closed".into()) })
    }

    /// Up to where everything has been synced: what a power failure cannot take any more.
    pub fn synced(&self) -> watch::Receiver<Position> {
        self.synced.clone()
    }

    /// Why the last write was refused; `None` where it was not.
    pub fn problem(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what is waiting, syncs and stops.
    pub fn close(&self) {
        drop(self.requests.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic of the writer has been reported by its thread.
            let _ = writer.join();
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Writer {
    fn run(mut self, requests: &Receiver<Request>) -> io::Result<()> {
        let mut next_sync = Instant::now() + self.settings.sync;
        loop {
            let first = match requests.recv_timeout(next_sync.saturating_duration_since(Instant::now())) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            };
            // Everything that waits goes into one write.
            let waiting: Vec<Request> = first.into_iter().chain(requests.try_iter()).collect();
            let bytes: Vec<u8> = waiting.iter().flat_map(|r| r.frames.iter().copied()).collect();
            let written = if bytes.is_empty() { Ok(()) } else { self.write(&bytes) };
            for request in waiting {
                // Whoever asked may have gone away. Asking for the position alone needs no room.
                let answer = if request.frames.is_empty() { Ok(()) } else { written.clone() };
                let _ = request.written.send(answer.map(|()| self.position));
            }
            if Instant::now() >= next_sync {
                self.sync()?;
                next_sync = Instant::now() + self.settings.sync;
            }
            if self.position.offset > self.settings.segment_bytes && !self.torn {
                self.sync()?;
                // A segment that cannot be begun is tried again with the next write.
                let begun = self.next_segment();
                self.report(begun.as_ref().err());
            }
        }
    }

    /// Writes frames; where the disk does not take them, takes back what it took.
    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = if self.torn { self.file.set_len(self.position.offset) } else { Ok(()) }
            .and_then(|()| self.file.write_all(bytes));
        self.torn = written.is_err() && self.file.set_len(self.position.offset).is_err();
        self.report(written.as_ref().err());
        written.map_err(|e| e.to_string())?;
        self.position.offset += bytes.len() as u64;
        self.dirty = true;
        Ok(())
    }

    fn report(&self, error: Option<&io::Error>) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = error.map(|e| format!("{e}; make room for it"));
        if let (Some(reason), None) = (&reason, &*failed) {
            tracing::error!(reason, "the spool does not take what is logged");
        }
        *failed = reason;
    }

    fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.file.sync_data()?;
            self.synced.send_replace(self.position);
        }
        Ok(())
    }

    /// Begins the next segment; what is in this one has been synced.
    fn next_segment(&mut self) -> io::Result<()> {
        let segment = self.position.segment + 1;
        let path = segments::path(&self.folder, segment);
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        // One that was begun when there was no room is begun again.
        file.set_len(0)?;
        file.write_all(MAGIC)?;
        File::open(&self.folder)?.sync_all()?;
        self.file = file;
        self.position = Position { segment, offset: HEADER as u64 };
        self.dirty = true;
        Ok(())
    }
}

fn push_frame(frames: &mut Vec<u8>, payload: &[u8]) {
    frames.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frames.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    frames.extend_from_slice(payload);
}

/// A segment of these entries, which [`read_segment`] reads.
pub fn segment_of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    let mut segment = MAGIC.to_vec();
    entries.into_iter().for_each(|entry| push_frame(&mut segment, &codec::encode(entry)));
    segment
}

#[cfg(test)]
mod tests;
