//! What an edge logs: an edge server into its [`crate::spool`], a page into its browser's database.

use serde::{Deserialize, Serialize};
use shared_features::event::{ImpressionEvent, InteractionEvent, RequestEvent};
use shared_features::feature_log::Record;

/// One thing that is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// The rows of a request.
    Rows(Box<Record>),
    /// An impression, as JSON.
    Impression(String),
    /// An interaction, as JSON.
    Interaction(String),
    /// A request as it came, as JSON.
    Request(String),
}

impl From<&ImpressionEvent> for Entry {
    fn from(event: &ImpressionEvent) -> Entry {
        Entry::Impression(json(event))
    }
}

impl From<&InteractionEvent> for Entry {
    fn from(event: &InteractionEvent) -> Entry {
        Entry::Interaction(json(event))
    }
}

impl From<&RequestEvent> for Entry {
    fn from(event: &RequestEvent) -> Entry {
        Entry::Request(json(event))
    }
}

fn json(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("events are plain data with string keys")
}
