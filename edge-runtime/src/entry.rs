//! What an edge logs: an edge server into its [`crate::spool`], a page into its browser's database.

use serde::{Deserialize, Serialize};
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
}
