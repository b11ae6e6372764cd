//! Pieces of a spool to send away: whole frames of one segment, as they lie in it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::{Frames, HEADER, MAGIC, Position, Segment, SpoolError, segments};

/// Whole frames of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The byte of the first frame.
    pub from: Position,
    /// The byte after the last frame.
    pub to: Position,
    /// The frames behind the magic of a segment: a segment of its own, which [`super::read_segment`] reads.
    pub segment: Vec<u8>,
}

/// The next frames from a position on and before another: one at least, and no more than about `bytes` bytes.
///
/// Segments that are gone are passed over. `None` where nothing is left before `until`.
///
/// # Errors
/// A segment that cannot be read, or is corrupt.
pub fn piece(folder: &Path, from: Position, until: Position, bytes: u64) -> Result<Option<Piece>, SpoolError> {
    for segment in segments::list(folder)? {
        if segment.number < from.segment || segment.number > until.segment {
            continue;
        }
        let start = if segment.number == from.segment { from.offset.max(HEADER as u64) } else { HEADER as u64 };
        let end = if segment.number == until.segment { until.offset } else { segment.bytes };
        if start >= end {
            continue;
        }
        // The length of a frame at least, so that a larger one is seen.
        let mut read = read_between(&segment, start, end.min(start.saturating_add(bytes.max(8))))?;
        let mut whole = whole_frames(&segment, &read)?;
        if whole == HEADER {
            // A frame that is larger than was asked for.
            let length = read.get(HEADER..HEADER + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            read = read_between(&segment, start, end.min(start + 8 + u64::from(length)))?;
            whole = whole_frames(&segment, &read)?;
        }
        if whole == HEADER {
            let reason = "there is no whole frame here, although one was written".to_owned();
            return Err(SpoolError::Corrupt { path: segment.path, offset: start, reason });
        }
        read.truncate(whole);
        let at = |offset| Position { segment: segment.number, offset };
        return Ok(Some(Piece { from: at(start), to: at(start + (whole - HEADER) as u64), segment: read }));
    }
    Ok(None)
}

/// The frames between two places of one segment; `None` where the segment is gone.
///
/// # Errors
/// A segment that cannot be read, or is corrupt.
pub fn piece_between(folder: &Path, from: Position, to: Position) -> Result<Option<Piece>, SpoolError> {
    let Some(segment) = segments::list(folder)?.into_iter().find(|s| s.number == from.segment) else {
        return Ok(None);
    };
    let read = read_between(&segment, from.offset, to.offset)?;
    if whole_frames(&segment, &read)? as u64 != HEADER as u64 + to.offset - from.offset {
        let reason = format!("what ended at byte {} does not any more", to.offset);
        return Err(SpoolError::Corrupt { path: segment.path, offset: from.offset, reason });
    }
    Ok(Some(Piece { from, to, segment: read }))
}

/// The magic, and the bytes of a segment from one byte up to another.
fn read_between(segment: &Segment, from: u64, to: u64) -> Result<Vec<u8>, SpoolError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(&segment.path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = MAGIC.to_vec();
        file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| SpoolError::Io { path: segment.path.clone(), source })
}

/// Where the whole frames of these bytes end; what was cut in the middle is left out.
fn whole_frames(segment: &Segment, bytes: &[u8]) -> Result<usize, SpoolError> {
    let mut end = HEADER;
    for frame in Frames::new(&segment.path, bytes)? {
        end = frame?.1 as usize;
    }
    Ok(end)
}
