//! What stays of the spool: segments that a collector has are deleted, and a bound on the rest holds.
//!
//! The oldest go first. What nobody has is dropped only where the bound asks for it; that is counted on disk before
//! it happens, and said in `/readyz` and `/metrics`. A segment that histories still need is never touched,
//! nor the one that is written.

use std::sync::PoisonError;

use serde::Serialize;

use super::{AnswerError, Runtime};
use crate::spool::{self, Position};
use crate::store::Dropped;

/// What may stay of a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Whether it is uploaded, so that what a collector has can go.
    pub uploaded: bool,
    /// Largest size on disk; no bound where absent.
    pub bytes: Option<u64>,
}

/// What there is of a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes of it that no collector has.
    pub waiting_bytes: u64,
    /// Entries that were dropped for the bound before a collector had them, ever.
    pub dropped_entries: u64,
    /// Bytes that were.
    pub dropped_bytes: u64,
}

impl Runtime {
    /// Deletes segments that are uploaded, and the oldest of a spool that is larger than it may be.
    ///
    /// # Errors
    /// The store or the spool fails.
    pub fn trim(&self) -> Result<(), AnswerError> {
        let _alone = self.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.spool_folder();
        let needed = self.store.position()?.segment.min(self.spool.synced().borrow().segment);
        let sent = self.uploaded()?;
        let mut segments = spool::segments_of(&folder)?;
        let mut bytes: u64 = segments.iter().map(|s| s.bytes).sum();
        segments.retain(|s| s.number < needed);
        for segment in segments {
            let is_sent = segment.number < sent.segment;
            let is_over = self.settings.keep.bytes.is_some_and(|most| bytes > most);
            if !is_sent && !is_over {
                break;
            }
            if !is_sent {
                let from = if segment.number == sent.segment { sent.offset } else { 0 };
                let entries = spool::count_entries(&segment, from)?;
                let before = self.store.dropped()?;
                let lost = segment.bytes.saturating_sub(from);
                self.store.set_dropped(&Dropped { entries: before.entries + entries, bytes: before.bytes + lost })?;
                metrics::counter!("hearth_spool_dropped_entries_total").increment(entries);
                metrics::counter!("hearth_spool_dropped_bytes_total").increment(lost);
                tracing::error!(entries, bytes = lost, "the spool is full: its oldest logs are dropped");
            }
            std::fs::remove_file(&segment.path)
                .map_err(|source| spool::SpoolError::Io { path: segment.path.clone(), source })?;
            bytes -= segment.bytes;
        }
        Ok(())
    }

    /// What there is of the spool.
    ///
    /// # Errors
    /// The store or the spool fails.
    pub fn kept(&self) -> Result<Kept, AnswerError> {
        let sent = self.uploaded()?;
        let Dropped { entries, bytes: dropped_bytes } = self.store.dropped()?;
        let mut kept = Kept { dropped_entries: entries, dropped_bytes, ..Kept::default() };
        for segment in spool::segments_of(&self.spool_folder())? {
            kept.bytes += segment.bytes;
            kept.waiting_bytes += match segment.number.cmp(&sent.segment) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => segment.bytes.saturating_sub(sent.offset),
                std::cmp::Ordering::Greater => segment.bytes,
            };
        }
        Ok(kept)
    }

    /// Up to where a collector has everything; the very beginning where nothing is uploaded.
    fn uploaded(&self) -> Result<Position, AnswerError> {
        Ok(if self.settings.keep.uploaded { self.store.upload()?.position } else { Position::default() })
    }

    /// The spool's folder.
    pub(crate) fn spool_folder(&self) -> std::path::PathBuf {
        self.settings.state.join("spool")
    }
}
