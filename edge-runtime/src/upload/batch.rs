//! Batches as edges send them and collectors read them: a segment of a spool, compressed with zstd.

use std::io::Read;
use std::path::Path;

use shared_features::digest::Digest;

use crate::spool::{self, Entry};

/// What a decoder may need for its window, as a power of two; edges need 2 MiB.
const WINDOW_LOG: u32 = 24;

/// What a batch holds.
#[derive(Debug)]
pub struct Batch {
    /// Digest of the segment.
    pub digest: Digest,
    /// In order.
    pub entries: Vec<Entry>,
}

/// Why bytes are no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// It is larger than it may be when it is whole.
    #[error("the batch has more than {limit} bytes before compression; send smaller ones")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not a compressed segment.
    #[error("the body is no zstd frame of a spool's segment: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
}

/// Whether an edge or a batch may have this name: letters, digits and `-`.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A segment as it is sent: the same bytes for the same segment.
///
/// # Errors
/// No memory.
pub fn encode(segment: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3)?;
    encoder.include_checksum(true)?;
    std::io::Write::write_all(&mut encoder, segment)?;
    encoder.finish()
}

/// Reads a batch whose segment has at most `limit` bytes.
///
/// # Errors
/// Bytes that are no batch, or a larger one; no more than `limit` bytes are ever unpacked.
pub fn decode(body: &[u8], limit: usize) -> Result<Batch, BatchError> {
    let malformed = |reason: String| BatchError::Malformed { reason };
    let io = |e: std::io::Error| malformed(e.to_string());
    let mut decoder = zstd::stream::Decoder::new(body).map_err(io)?;
    decoder.window_log_max(WINDOW_LOG).map_err(io)?;
    let mut segment = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut segment).map_err(io)?;
    if segment.len() > limit {
        return Err(BatchError::TooLarge { limit });
    }
    let name = Path::new("the batch");
    let (found, end) = spool::read_segment(name, &segment).map_err(|e| malformed(e.to_string()))?;
    if end != segment.len() as u64 {
        return Err(malformed(format!("it breaks off at byte {end}")));
    }
    let entries = found.into_iter().map(|(entry, _)| entry).collect();
    Ok(Batch { digest: Digest::of(&segment), entries })
}
