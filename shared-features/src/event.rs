//! The five events that edges, imports and the simulator produce, as JSON.
//!
//! Timestamps are milliseconds since the Unix epoch, UTC.
//! They lie within 8,640,000,000,000,000 of it, as the dates of JavaScript do: 273,790 years before it and after.
//! Ids are strings of 1 to 128 bytes; an event with an id seen before is a duplicate.
//! This module checks shape and range; types of attributes are checked against a schema by [`crate::request`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest id, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Most candidates in one request.
pub const MAX_CANDIDATES: usize = 4096;
/// Largest distance of a timestamp from the epoch, in milliseconds: that of a JavaScript date.
pub const MAX_TS_MS: i64 = 8_640_000_000_000_000;
/// Largest local-time offset from UTC, in minutes.
pub const MAX_OFFSET_MIN: i16 = 14 * 60;

/// Attributes by field name; a field that is absent or `null` is missing.
pub type Attributes = BTreeMap<String, Option<FieldValue>>;

/// A value of an attribute as JSON carries it, before a schema gives it a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A JSON number, parsed exactly.
    Number(f64),
    /// A category, text or one tag.
    String(String),
    /// A vector (an empty array is read as one).
    Numbers(Vec<f64>),
    /// Tags.
    Strings(Vec<String>),
}

/// One event; in JSON the key `event` names the variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The attributes of an item from `ts` on.
    Item(ItemEvent),
    /// The attributes of a user from `ts` on.
    User(UserEvent),
    /// A surface asked for a slate.
    Request(RequestEvent),
    /// What was really shown for a request.
    Impression(ImpressionEvent),
    /// What a user did with an item.
    Interaction(InteractionEvent),
}

/// The attributes of an item from `ts` on; the newest one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemEvent {
    /// The item.
    pub id: String,
    /// Milliseconds since the epoch, UTC.
    pub ts: i64,
    /// Fields of the schema's `[item]`.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The attributes of a user from `ts` on; replay joins the last one before a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEvent {
    /// The user.
    pub id: String,
    /// Milliseconds since the epoch, UTC.
    pub ts: i64,
    /// Fields of the schema's `[user]`.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A surface asks for a slate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestEvent {
    /// The request; generated where the app sends none.
    pub id: String,
    /// "Now" for every feature, in milliseconds since the epoch, UTC.
    pub ts: i64,
    /// Local time minus UTC, in minutes, -840 to 840.
    #[serde(default)]
    pub offset_min: i16,
    /// The user.
    pub user: String,
    /// The surface.
    pub surface: String,
    /// Fields of the schema's `[user]`.
    #[serde(default)]
    pub attributes: Attributes,
    /// Fields of the schema's `[context]`.
    #[serde(default)]
    pub context: Attributes,
    /// Items to rank, at most 4,096; may be empty where the surface has candidates of its own.
    #[serde(default)]
    pub candidates: Vec<Candidate>,
    /// Items that must not be in the slate.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// An item to rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The item.
    pub item: String,
    /// Fields of the schema's `[candidate]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: Attributes,
}

/// What was really shown for a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImpressionEvent {
    /// The impression.
    pub id: String,
    /// Milliseconds since the epoch, UTC.
    pub ts: i64,
    /// The request that was answered.
    pub request: String,
    /// The items that were shown.
    pub shown: Vec<Shown>,
}

/// One item that was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The item.
    pub item: String,
    /// Where it stood, from 0.
    pub position: u32,
    /// Probability of this item at this position given those above, in (0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f64>,
}

/// What a user did with an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InteractionEvent {
    /// The interaction.
    pub id: String,
    /// Milliseconds since the epoch, UTC.
    pub ts: i64,
    /// Local time minus UTC, in minutes, -840 to 840; 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_min: Option<i16>,
    /// The user.
    pub user: String,
    /// The item.
    pub item: String,
    /// What was done: `play`, `click`, `skip`, `like`, `follow`, `save`, `hide` or the app's own word.
    pub action: String,
    /// The surface it was done on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
    /// The request whose slate it was done on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How long, in milliseconds, at least 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell_ms: Option<f64>,
    /// The share that was consumed, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<f64>,
}

/// Why an event is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// An id is empty or too long.
    #[error("`{field}` has {bytes} bytes, ids have 1 to {MAX_ID_BYTES}")]
    IdLength {
        /// Which id.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A number is outside its range.
    #[error("`{field}` is {got}, expected {expected}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What was given.
        got: String,
        /// The range.
        expected: &'static str,
    },
    /// More candidates or shown items than a request may have.
    #[error("`{field}` has {got} entries, at most {MAX_CANDIDATES} are allowed")]
    TooMany {
        /// Which list.
        field: &'static str,
        /// Its length.
        got: usize,
    },
    /// An item stands twice in one list.
    #[error("`{field}` has item `{item}` twice; send each item once")]
    Twice {
        /// Which list.
        field: &'static str,
        /// The item.
        item: String,
    },
}

impl Event {
    /// Milliseconds since the epoch, UTC.
    pub fn ts(&self) -> i64 {
        match self {
            Event::Item(e) => e.ts,
            Event::User(e) => e.ts,
            Event::Request(e) => e.ts,
            Event::Impression(e) => e.ts,
            Event::Interaction(e) => e.ts,
        }
    }

    /// Checks ids, ranges and list lengths.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), EventError> {
        match self {
            Event::Item(ItemEvent { id, ts, .. }) | Event::User(UserEvent { id, ts, .. }) => {
                check_id("id", id)?;
                check_ts(*ts)
            }
            Event::Request(e) => e.check(),
            Event::Impression(e) => e.check(),
            Event::Interaction(e) => e.check(),
        }
    }
}

impl RequestEvent {
    /// Checks ids, ranges and list lengths.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), EventError> {
        check_id("id", &self.id)?;
        check_ts(self.ts)?;
        check_id("user", &self.user)?;
        check_id("surface", &self.surface)?;
        check_offset(self.offset_min)?;
        check_list("candidates", self.candidates.iter().map(|c| c.item.as_str()))?;
        if self.exclude.len() > MAX_CANDIDATES {
            return Err(EventError::TooMany { field: "exclude", got: self.exclude.len() });
        }
        self.exclude.iter().try_for_each(|id| check_id("exclude", id))
    }
}

impl ImpressionEvent {
    /// Checks ids, ranges and list lengths.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), EventError> {
        check_id("id", &self.id)?;
        check_ts(self.ts)?;
        check_id("request", &self.request)?;
        check_list("shown", self.shown.iter().map(|s| s.item.as_str()))?;
        for propensity in self.shown.iter().filter_map(|s| s.propensity) {
            if !(propensity > 0.0 && propensity <= 1.0) {
                return Err(out_of_range("propensity", propensity, "more than 0 and at most 1"));
            }
        }
        Ok(())
    }
}

impl InteractionEvent {
    /// Checks ids and ranges.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), EventError> {
        check_id("id", &self.id)?;
        check_ts(self.ts)?;
        check_id("user", &self.user)?;
        check_id("item", &self.item)?;
        check_id("action", &self.action)?;
        check_offset(self.offset_min.unwrap_or(0))?;
        if let Some(surface) = &self.surface {
            check_id("surface", surface)?;
        }
        if let Some(request) = &self.request {
            check_id("request", request)?;
        }
        if let Some(dwell) = self.dwell_ms
            && !(dwell >= 0.0 && dwell.is_finite())
        {
            return Err(out_of_range("dwell_ms", dwell, "at least 0"));
        }
        if let Some(completion) = self.completion
            && !(0.0..=1.0).contains(&completion)
        {
            return Err(out_of_range("completion", completion, "0 to 1"));
        }
        Ok(())
    }
}

fn check_id(field: &'static str, id: &str) -> Result<(), EventError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(EventError::IdLength { field, bytes: id.len() });
    }
    Ok(())
}

fn check_ts(ts: i64) -> Result<(), EventError> {
    if !(-MAX_TS_MS..=MAX_TS_MS).contains(&ts) {
        return Err(out_of_range("ts", ts, "at most 8640000000000000 before or after the epoch"));
    }
    Ok(())
}

fn check_offset(offset_min: i16) -> Result<(), EventError> {
    if !(-MAX_OFFSET_MIN..=MAX_OFFSET_MIN).contains(&offset_min) {
        return Err(out_of_range("offset_min", offset_min, "-840 to 840"));
    }
    Ok(())
}

fn check_list<'a>(field: &'static str, items: impl ExactSizeIterator<Item = &'a str>) -> Result<(), EventError> {
    if items.len() > MAX_CANDIDATES {
        return Err(EventError::TooMany { field, got: items.len() });
    }
    let mut seen = std::collections::BTreeSet::new();
    for item in items {
        check_id(field, item)?;
        if !seen.insert(item) {
            return Err(EventError::Twice { field, item: item.to_owned() });
        }
    }
    Ok(())
}

fn out_of_range(field: &'static str, got: impl ToString, expected: &'static str) -> EventError {
    EventError::OutOfRange { field, got: got.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_time_that_is_a_date() {
        let events = |ts: i64| {
            let common = format!(r#""id": "e", "ts": {ts}"#);
            [
                format!(r#"{{"event": "item", {common}}}"#),
                format!(r#"{{"event": "user", {common}}}"#),
                format!(r#"{{"event": "request", {common}, "user": "u", "surface": "s"}}"#),
                format!(r#"{{"event": "impression", {common}, "request": "r", "shown": []}}"#),
                format!(r#"{{"event": "interaction", {common}, "user": "u", "item": "i", "action": "play"}}"#),
            ]
            .map(|text| serde_json::from_str::<Event>(&text).unwrap().check())
        };
        for ts in [0, MAX_TS_MS, -MAX_TS_MS] {
            assert_eq!(events(ts), [const { Ok(()) }; 5]);
        }
        for ts in [MAX_TS_MS + 1, -MAX_TS_MS - 1, i64::MIN, i64::MAX] {
            for refused in events(ts) {
                assert!(matches!(refused, Err(EventError::OutOfRange { field: "ts", .. })), "{ts}: {refused:?}");
            }
        }
    }
}
