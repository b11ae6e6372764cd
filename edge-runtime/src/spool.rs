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

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared_features::codec;
use shared_features::event::{ImpressionEvent, InteractionEvent};
use shared_features::feature_log::Record;
use tokio::sync::{oneshot, watch};

pub use crate::entry::Entry;

mod piece;
mod segments;

pub use piece::{Piece, piece, piece_between};
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

/// Reads all entries of a folder from a position on, in order, with the position after each.
///
/// # Errors
/// A segment that cannot be read, or is corrupt before its end; a torn end of the last segment ends the reading.
pub fn read_from(folder: &Path, from: Position) -> Result<Vec<(Entry, Position)>, SpoolError> {
    let mut entries = Vec::new();
    let segments = segments::list(folder)?;
    let last = segments.last().map(|s| s.number);
    for Segment { number: segment, path, .. } in segments {
        if segment < from.segment {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|source| SpoolError::Io { path: path.clone(), source })?;
        if bytes.len() < HEADER && last == Some(segment) {
            continue;
        }
        let (found, end) = read_segment(&path, &bytes)?;
        if end < bytes.len() as u64 && last != Some(segment) {
            let reason = "the segment ends within a frame, although another follows".to_owned();
            return Err(SpoolError::Corrupt { path, offset: end, reason });
        }
        let found = found.into_iter().map(|(entry, offset)| (entry, Position { segment, offset }));
        entries.extend(found.filter(|(_, position)| *position > from));
    }
    Ok(entries)
}

/// The whole entries of a segment's bytes, each with the byte after it, and the byte after the last of them;
/// `path` names the segment in errors.
///
/// # Errors
/// Bytes that are no segment, or are corrupt before the end.
pub fn read_segment(path: &Path, bytes: &[u8]) -> Result<(Vec<(Entry, u64)>, u64), SpoolError> {
    let mut end = HEADER as u64;
    let mut entries = Vec::new();
    for frame in Frames::new(path, bytes)? {
        let (payload, after) = frame?;
        let entry = codec::decode(payload, "spool entry").map_err(|e| SpoolError::Corrupt {
            path: path.to_owned(),
            offset: after - payload.len() as u64,
            reason: e.to_string(),
        })?;
        entries.push((entry, after));
        end = after;
    }
    Ok((entries, end))
}

/// What a spool holds, each request, impression and interaction once.
#[derive(Debug, Default)]
pub struct Contents {
    /// Rows, in the order of arrival.
    pub records: Vec<Record>,
    /// Impressions.
    pub impressions: Vec<ImpressionEvent>,
    /// Interactions.
    pub interactions: Vec<InteractionEvent>,
    /// Entries whose id was there before, such as a client's second try.
    pub duplicates: u64,
}

/// Reads a spool for a trainer: duplicates are dropped and counted.
///
/// # Errors
/// See [`read_from`].
pub fn read(folder: &Path) -> Result<Contents, SpoolError> {
    let mut contents = Contents::default();
    let mut seen: BTreeSet<(u8, String)> = BTreeSet::new();
    for (entry, _) in read_from(folder, Position::default())? {
        let malformed = |e: serde_json::Error| SpoolError::Corrupt {
            path: folder.to_owned(),
            offset: 0,
            reason: format!("an event is not JSON: {e}"),
        };
        let mut new = |kind: u8, id: &str| {
            let new = seen.insert((kind, id.to_owned()));
            contents.duplicates += u64::from(!new);
            new
        };
        match entry {
            Entry::Rows(record) if new(0, &record.request) => contents.records.push(*record),
            Entry::Rows(_) => {}
            Entry::Impression(json) => {
                let event: ImpressionEvent = serde_json::from_str(&json).map_err(malformed)?;
                if new(1, &event.id) {
                    contents.impressions.push(event);
                }
            }
            Entry::Interaction(json) => {
                let event: InteractionEvent = serde_json::from_str(&json).map_err(malformed)?;
                if new(2, &event.id) {
                    contents.interactions.push(event);
                }
            }
        }
    }
    Ok(contents)
}

/// The whole frames of a segment, with the byte after each; a torn last frame ends them.
struct Frames<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, SpoolError> {
        if bytes.get(..HEADER) != Some(MAGIC) {
            let reason = "this is no segment of a spool".to_owned();
            return Err(SpoolError::Corrupt { path: path.to_owned(), offset: 0, reason });
        }
        Ok(Frames { path, bytes, at: HEADER })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<(&'a [u8], u64), SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        let payload = rest.get(..length as usize);
        let corrupt = |reason: &str| {
            let (path, offset) = (self.path.to_owned(), self.at as u64);
            Some(Err(SpoolError::Corrupt { path, offset, reason: reason.into() }))
        };
        match payload {
            // Only the end of a file can be torn: a frame that reaches beyond it, and nothing whole after its start.
            None if length <= MAX_PAYLOAD && !holds_an_entry(rest) => None,
            None => corrupt("a frame's length is impossible"),
            Some(payload) if crc32fast::hash(payload) == u32::from_le_bytes(*crc) => {
                self.at += 8 + payload.len();
                Some(Ok((payload, self.at as u64)))
            }
            // The last frame of a file may have been written in part by a failing disk.
            Some(payload) if payload.len() == rest.len() => None,
            Some(_) => corrupt("a frame's checksum does not fit"),
        }
    }
}

/// Whether a whole entry begins anywhere in these bytes; checksums are computed only where it looks like one.
fn holds_an_entry(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| {
        let frame = |bytes: &[u8]| {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (crc, rest) = rest.split_first_chunk::<4>()?;
            let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
            let looks_like_one = matches!(payload, [codec::VERSION, 0..=2, ..]);
            Some(looks_like_one && crc32fast::hash(payload) == u32::from_le_bytes(*crc))
        };
        frame(&bytes[at..]) == Some(true)
    })
}

#[cfg(test)]
mod tests;
