//! Reading a spool: whole frames, entries, and what a trainer takes of them.

use std::collections::BTreeSet;
use std::path::Path;

use shared_features::codec;
use shared_features::event::{ImpressionEvent, InteractionEvent, RequestEvent};
use shared_features::feature_log::Record;

use super::{Entry, HEADER, MAGIC, MAX_PAYLOAD, Position, Segment, SpoolError, segments};

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
    /// Requests that were kept as they came.
    pub requests: Vec<RequestEvent>,
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
            Entry::Request(json) => {
                let event: RequestEvent = serde_json::from_str(&json).map_err(malformed)?;
                if new(3, &event.id) {
                    contents.requests.push(event);
                }
            }
        }
    }
    Ok(contents)
}

/// The whole frames of a segment, with the byte after each; a torn last frame ends them.
pub(super) struct Frames<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, SpoolError> {
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
            let looks_like_one = matches!(payload, [codec::VERSION, 0..=3, ..]);
            Some(looks_like_one && crc32fast::hash(payload) == u32::from_le_bytes(*crc))
        };
        frame(&bytes[at..]) == Some(true)
    })
}
