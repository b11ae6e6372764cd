//! The feature log: what was computed for each logged candidate, with everything needed to compute it again.
//!
//! One record holds the rows of one request. It is the only thing models are trained on.
//! An edge spools records; replay writes the same ones.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::rank::LogRows;

/// The rows of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The request.
    pub request: String,
    /// The user.
    pub user: String,
    /// The surface.
    pub surface: String,
    /// The request's time, milliseconds since the epoch, UTC.
    pub ts: i64,
    /// Local time minus UTC, in minutes.
    pub offset_min: i16,
    /// When the host took it, milliseconds since the epoch; the only column in which a replay differs from an edge.
    pub arrived: i64,
    /// The bundle that answered; `None` where an unfitted encoder only read values.
    pub bundle: Option<Digest>,
    /// The encoder's hash.
    pub encoder: Digest,
    /// The snapshot's digest.
    pub tables: Digest,
    /// The channel's arm; empty outside a channel.
    pub arm: String,
    /// The arm's weight.
    pub weight: u32,
    /// How many interactions features may see.
    pub history_length: u32,
    /// Whether the fallback baseline ranked because the model failed.
    pub fallback: bool,
    /// The rows.
    pub rows: LogRows,
}
