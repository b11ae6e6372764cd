//! What a row or an event must hold before a model is trained on it.
//!
//! A row's bundle was released by a trusted publisher, its snapshot was published, and its bundle's engine makes the
//! very vector of its values that the edge scored.

use std::collections::BTreeSet;

use edge_runtime::spool::Entry;
use shared_features::digest::Digest;
use shared_features::event::{Event, ImpressionEvent, InteractionEvent, RequestEvent};
use shared_features::feature_log::Record;

use super::bundles::Found;
use crate::data::warehouse::Day;

/// How far ahead of the collector's clock a time may be: an edge allows 5 minutes, clocks differ.
const MAX_FUTURE_MS: i64 = 3_600_000;

/// Why an entry is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The registry has no such bundle.
    UnknownBundle,
    /// No trusted publisher has released the bundle for the surface.
    UnreleasedBundle,
    /// The encoder is not the bundle's.
    UnknownEncoder,
    /// The snapshot was never published.
    UnpublishedTables,
    /// Columns of different lengths, or values that the encoder does not read.
    MalformedRow,
    /// Encoding the values again gives another vector.
    VectorMismatch,
    /// A time that is in the future, or before 1970.
    WrongDay,
    /// Not an event.
    MalformedEvent,
}

/// A reason, and what it is about.
pub(super) type Refusal = (Reason, String);

impl Reason {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Reason::UnknownBundle => "unknown_bundle",
            Reason::UnreleasedBundle => "unreleased_bundle",
            Reason::UnknownEncoder => "unknown_encoder",
            Reason::UnpublishedTables => "unpublished_tables",
            Reason::MalformedRow => "malformed_row",
            Reason::VectorMismatch => "vector_mismatch",
            Reason::WrongDay => "wrong_day",
            Reason::MalformedEvent => "malformed_event",
        }
    }
}

/// The day of a time.
///
/// # Errors
/// A time in the future, or before 1970.
pub(super) fn day(ts: i64, now: i64) -> Result<Day, Refusal> {
    let day = Day::of(ts).filter(|_| ts <= now.saturating_add(MAX_FUTURE_MS));
    day.ok_or_else(|| (Reason::WrongDay, format!("`ts` is {ts}, the collector's clock says {now}")))
}

/// Checks a row with its bundle, as it was found.
///
/// # Errors
/// The first rule that is broken.
pub(super) fn row(record: &Record, found: &Found, published: &BTreeSet<Digest>) -> Result<(), Refusal> {
    let bundle = record.bundle.map_or_else(|| "none".to_owned(), |b| b.to_string());
    let judge = match found {
        Found::Judge(judge) => judge,
        Found::Unknown(reason) => return Err((Reason::UnknownBundle, format!("bundle {bundle}: {reason}"))),
        Found::Unreleased => {
            let reason = format!("bundle {bundle} has no release that a trusted publisher has signed");
            return Err((Reason::UnreleasedBundle, reason));
        }
    };
    if judge.surface != record.surface {
        let reason = format!("bundle {bundle} is of surface `{}`, the row of `{}`", judge.surface, record.surface);
        return Err((Reason::UnknownBundle, reason));
    }
    if judge.encoder_hash != record.encoder {
        let reason = format!("encoder {}; bundle {bundle} has {}", record.encoder, judge.encoder_hash);
        return Err((Reason::UnknownEncoder, reason));
    }
    if record.tables != judge.own_tables && !published.contains(&record.tables) {
        return Err((Reason::UnpublishedTables, format!("snapshot {} was never published", record.tables)));
    }
    let rows = &record.rows;
    let n = rows.items.len();
    let lengths = [rows.sources.len(), rows.ranks.len(), rows.scores.len(), rows.propensity.len(), rows.sampling.len()];
    if lengths != [n; 5] || rows.values.rows as usize != n {
        return Err((Reason::MalformedRow, format!("{n} items, and columns of {lengths:?} rows")));
    }
    judge.encoder.check_values(&rows.values).map_err(|e| (Reason::MalformedRow, e.to_string()))?;
    if n == 0 || (record.fallback && rows.vectors.is_empty()) {
        // Nothing was scored by the model.
        return Ok(());
    }
    let again = judge.guest.encode(&rows.values).map_err(|e| (Reason::MalformedRow, e.to_string()))?;
    if again.len() != rows.vectors.len() {
        let reason = format!("{} numbers, encoding again gives {}", rows.vectors.len(), again.len());
        return Err((Reason::VectorMismatch, reason));
    }
    match again.iter().zip(&rows.vectors).position(|(a, b)| a.to_bits() != b.to_bits()) {
        None => Ok(()),
        Some(k) => {
            let width = again.len() / n;
            let reason = format!(
                "row {}, number {}: logged {:?} ({:#010x}), encoding again gives {:?} ({:#010x})",
                k / width,
                k % width,
                rows.vectors[k],
                rows.vectors[k].to_bits(),
                again[k],
                again[k].to_bits()
            );
            Err((Reason::VectorMismatch, reason))
        }
    }
}

/// The event of an entry that is no row.
///
/// # Errors
/// Not an event, or one that an edge would not have taken.
pub(super) fn event(entry: &Entry) -> Result<Event, Refusal> {
    fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Refusal> {
        serde_json::from_str(json).map_err(|e| (Reason::MalformedEvent, e.to_string()))
    }
    let event = match entry {
        Entry::Impression(json) => Event::Impression(parse::<ImpressionEvent>(json)?),
        Entry::Interaction(json) => Event::Interaction(parse::<InteractionEvent>(json)?),
        Entry::Request(json) => Event::Request(parse::<RequestEvent>(json)?),
        Entry::Rows(_) => return Err((Reason::MalformedEvent, "a row is no event".into())),
    };
    event.check().map_err(|e| (Reason::MalformedEvent, e.to_string()))?;
    Ok(event)
}
