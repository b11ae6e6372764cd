//! A user's history: a set of interactions keyed by id, sorted by `(ts, id)`, in its own small versioned format.
//!
//! It is independent of any spec, so a new spec, a canary arm or a rollback needs no migration.
//! History features are pure functions of (history, request, tables):
//! only entries *before* the request's `ts` count, and of those the newest `length`.
//! The store keeps [`SLACK`] entries more than the longest window, so that entries which arrive
//! at or after a request's time never push out ones that it needs.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::event::InteractionEvent;
use crate::numeric;

/// Default number of interactions that features see.
pub const DEFAULT_LENGTH: u32 = 1000;
/// Largest number of interactions that features may see.
pub const MAX_LENGTH: u32 = 4096;
/// Entries a stored history keeps beyond [`MAX_LENGTH`].
pub const SLACK: u32 = 256;

/// A user's stored history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    entries: Vec<Entry>,
}

/// One interaction of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the epoch, UTC.
    pub ts: i64,
    /// The interaction's id; the key of the set.
    pub id: String,
    /// The item.
    pub item: String,
    /// What was done.
    pub action: String,
    /// Local time minus UTC, in minutes.
    pub offset_min: i16,
    /// Milliseconds; missing is NaN.
    pub dwell_ms: f32,
    /// 0 to 1; missing is NaN.
    pub completion: f32,
}

/// A history as the guest gets it: columnar, dictionary coded, without ids or user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// Items, sorted and distinct.
    pub items: Vec<String>,
    /// Actions, sorted and distinct.
    pub actions: Vec<String>,
    /// Milliseconds since the epoch, ascending.
    pub ts: Vec<i64>,
    /// Index into `items`.
    pub item: Vec<u32>,
    /// Index into `actions`.
    pub action: Vec<u32>,
    /// Minutes.
    pub offset_min: Vec<i16>,
    /// Milliseconds; missing is NaN.
    #[serde(with = "crate::floats")]
    pub dwell_ms: Vec<f32>,
    /// 0 to 1; missing is NaN.
    #[serde(with = "crate::floats")]
    pub completion: Vec<f32>,
}

impl From<&InteractionEvent> for Entry {
    fn from(event: &InteractionEvent) -> Entry {
        let number = |x: Option<f64>| x.map_or(numeric::MISSING, numeric::store);
        Entry {
            ts: event.ts,
            id: event.id.clone(),
            item: event.item.clone(),
            action: event.action.clone(),
            offset_min: event.offset_min.unwrap_or(0),
            dwell_ms: number(event.dwell_ms),
            completion: number(event.completion),
        }
    }
}

impl History {
    /// Adds an interaction; returns `false`, and changes nothing, where its id is there already
    /// or where the history is full of newer ones.
    pub fn insert(&mut self, entry: Entry) -> bool {
        if self.entries.iter().any(|e| e.id == entry.id) {
            return false;
        }
        let at = self.entries.partition_point(|e| (e.ts, &e.id) < (entry.ts, &entry.id));
        let full = self.entries.len() >= (MAX_LENGTH + SLACK) as usize;
        if full && at == 0 {
            return false;
        }
        self.entries.insert(at, entry);
        if full {
            self.entries.remove(0);
        }
        true
    }

    /// A history of many interactions at once; duplicates of an id are dropped, the first one stays.
    pub fn from_entries(mut entries: Vec<Entry>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        entries.retain(|e| seen.insert(e.id.clone()));
        entries.sort_by(|a, b| (a.ts, &a.id).cmp(&(b.ts, &b.id)));
        History { entries }
    }

    /// The interactions as events of a user; what a history does not keep is absent.
    pub fn events(&self, user: &str) -> Vec<InteractionEvent> {
        let known = |x: f32| (!x.is_nan()).then_some(f64::from(x));
        let event = |entry: &Entry| InteractionEvent {
            id: entry.id.clone(),
            ts: entry.ts,
            offset_min: Some(entry.offset_min),
            user: user.to_owned(),
            item: entry.item.clone(),
            action: entry.action.clone(),
            surface: None,
            request: None,
            dwell_ms: known(entry.dwell_ms),
            completion: known(entry.completion),
        };
        self.entries.iter().map(event).collect()
    }

    /// The interactions, sorted by `(ts, id)`.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The stored bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// Bytes that are not a history of this version, or one that is not in order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let history: History = codec::decode(bytes, "history")?;
        if !history.entries.windows(2).all(|w| (w[0].ts, &w[0].id) < (w[1].ts, &w[1].id)) {
            let reason = "entries are not sorted by time and id".to_owned();
            return Err(CodecError::Malformed { what: "history", reason });
        }
        Ok(history)
    }

    /// What the guest gets: the entries before `until`, the newest `length` of them.
    ///
    /// For several requests of one user take the last one's `ts` and leave room for the earlier ones:
    /// [`HistoryView::window`] narrows it for each.
    pub fn view(&self, until: i64, length: u32) -> HistoryView {
        let end = self.entries.partition_point(|e| e.ts < until);
        let start = end.saturating_sub(length as usize);
        HistoryView::of(&self.entries[start..end])
    }
}

impl HistoryView {
    /// The columns of entries that are sorted by `(ts, id)`.
    pub fn of(entries: &[Entry]) -> Self {
        let dictionary = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(str::to_owned).collect::<Vec<String>>()
        };
        let code = |names: &[String], name: &str| {
            names.binary_search_by(|n| n.as_str().cmp(name)).expect("the dictionary has every name") as u32
        };
        let items = dictionary(entries.iter().map(|e| e.item.as_str()).collect());
        let actions = dictionary(entries.iter().map(|e| e.action.as_str()).collect());
        HistoryView {
            ts: entries.iter().map(|e| e.ts).collect(),
            item: entries.iter().map(|e| code(&items, &e.item)).collect(),
            action: entries.iter().map(|e| code(&actions, &e.action)).collect(),
            offset_min: entries.iter().map(|e| e.offset_min).collect(),
            dwell_ms: entries.iter().map(|e| e.dwell_ms).collect(),
            completion: entries.iter().map(|e| e.completion).collect(),
            items,
            actions,
        }
    }

    /// The entries a request at `now` sees: before `now`, the newest `length`.
    pub fn window(&self, now: i64, length: u32) -> std::ops::Range<usize> {
        let end = self.ts.partition_point(|&ts| ts < now);
        end.saturating_sub(length as usize)..end
    }

    /// Whether columns have one length, codes are in range, dictionaries and times are sorted.
    pub fn is_consistent(&self) -> bool {
        let rows = self.ts.len();
        let sorted = |names: &[String]| names.windows(2).all(|w| w[0] < w[1]);
        [self.item.len(), self.action.len(), self.offset_min.len(), self.dwell_ms.len(), self.completion.len()]
            .iter()
            .all(|&n| n == rows)
            && sorted(&self.items)
            && sorted(&self.actions)
            && self.ts.windows(2).all(|w| w[0] <= w[1])
            && self.item.iter().all(|&k| (k as usize) < self.items.len())
            && self.action.iter().all(|&k| (k as usize) < self.actions.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ts: i64, id: &str) -> Entry {
        Entry {
            ts,
            id: id.into(),
            item: format!("item-{ts}"),
            action: "play".into(),
            offset_min: 0,
            dwell_ms: numeric::MISSING,
            completion: 0.5,
        }
    }

    #[test]
    fn order_of_arrival_does_not_matter_and_duplicates_are_dropped() {
        let mut forward = History::default();
        let mut backward = History::default();
        let all = [entry(3, "c"), entry(1, "a"), entry(2, "b"), entry(2, "a2")];
        assert!(all.iter().all(|e| forward.insert(e.clone())));
        assert!(all.iter().rev().all(|e| backward.insert(e.clone())));
        assert!(!forward.insert(entry(9, "a")), "an id counts once");
        assert_eq!(codec::encode(&forward), codec::encode(&backward));
        assert_eq!(History::from_bytes(&forward.to_bytes()).unwrap().entries().len(), 4);
        assert_eq!(History::from_entries(all.to_vec()).to_bytes(), forward.to_bytes());
    }

    #[test]
    fn a_request_sees_only_what_was_before_it() {
        let mut history = History::default();
        for ts in 0..10 {
            history.insert(entry(ts, &format!("{ts}")));
        }
        assert_eq!(history.view(5, 3).ts, [2, 3, 4]);
        let view = history.view(i64::MAX, 100);
        assert!(view.is_consistent());
        assert_eq!(view.window(5, 3), 2..5);
        assert_eq!(view.window(0, 3), 0..0);
    }

    #[test]
    fn stored_bytes_out_of_order_are_refused() {
        let unsorted = History { entries: vec![entry(2, "b"), entry(1, "a")] };
        assert!(matches!(History::from_bytes(&unsorted.to_bytes()), Err(CodecError::Malformed { .. })));
    }

    #[test]
    fn a_full_history_keeps_the_newest() {
        let mut history = History::default();
        let capacity = i64::from(MAX_LENGTH + SLACK);
        for ts in 1..=capacity {
            assert!(history.insert(entry(ts, &format!("{ts}"))));
        }
        assert!(!history.insert(entry(0, "too old")));
        assert!(history.insert(entry(capacity + 1, "new")));
        assert_eq!(history.entries().len() as i64, capacity);
        assert_eq!(history.entries()[0].ts, 2);
    }
}
