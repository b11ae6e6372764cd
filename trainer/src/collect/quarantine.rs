//! What is put aside: the entries as they came, and beside them why.
//!
//! `quarantine/<day it came>/<ulid>.spool` is a segment of a spool with the entries;
//! `<ulid>.json` has a line for each of them, in the same order: `{"reason", "detail", "batch", "kind", "request"?}`.

use edge_runtime::spool::{self, Entry};
use serde::Serialize;
use ulid::Ulid;

use super::check::Reason;
use super::files::Files;
use super::{CollectError, Collector};
use crate::data::warehouse::{self, Day, Kind};

/// An entry that does not hold.
pub(super) struct Refused {
    pub(super) reason: Reason,
    /// What it is about.
    pub(super) detail: String,
    /// `<edge>/<batch>`.
    pub(super) batch: String,
    pub(super) entry: Entry,
}

#[derive(Serialize)]
struct Line<'a> {
    reason: &'static str,
    detail: &'a str,
    batch: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
}

impl Collector {
    /// Puts entries aside, if there are any.
    pub(super) async fn put_aside(
        &self,
        refused: Vec<Refused>,
        at: i64,
        files: &mut Files,
    ) -> Result<(), CollectError> {
        if refused.is_empty() {
            return Ok(());
        }
        let day = Day::of(at).unwrap_or(Day::FIRST);
        let stem = format!("quarantine/{day}/{}", Ulid::new());
        let mut lines = Vec::new();
        for r in &refused {
            tracing::warn!(reason = r.reason.code(), detail = r.detail, batch = r.batch, "an entry is put aside");
            metrics::counter!("hearth_collect_quarantined_total", "reason" => r.reason.code()).increment(1);
            let (kind, request) = match &r.entry {
                Entry::Rows(record) => ("rows", Some(record.request.as_str())),
                Entry::Impression(_) => ("impression", None),
                Entry::Interaction(_) => ("interaction", None),
                Entry::Request(_) => ("request", None),
            };
            let line = Line { reason: r.reason.code(), detail: &r.detail, batch: &r.batch, kind, request };
            lines.extend(serde_json::to_vec(&line).expect("a line is plain data"));
            lines.push(b'\n');
        }
        let segment = spool::segment_of(refused.iter().map(|r| &r.entry));
        let (path, bytes) = (format!("{stem}.spool"), segment.len() as u64);
        self.put_new(&format!("{stem}.json"), lines.into()).await?;
        self.put_new(&path, segment.into()).await?;
        let entries = refused.len() as u64;
        let kind = Kind::Quarantine;
        files.added.push(warehouse::Entry { path, kind, surface: None, day, encoder: None, bytes, entries });
        self.with_status(|s| refused.iter().for_each(|r| *s.quarantined.entry(r.reason.code()).or_default() += 1));
        Ok(())
    }
}
