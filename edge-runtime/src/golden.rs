//! Golden requests: what every host must answer, bit for bit, before it serves a bundle.

use serde::{Deserialize, Serialize};
use shared_features::codec::{self, CodecError};
use shared_features::rank::Ranked;
use shared_features::wire::Call;

use crate::host::{Guest, HostError};

/// Requests and their answers; a blob of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// Made-up requests.
    pub call: Call,
    /// The answers of the host that published.
    pub answers: Vec<Ranked>,
}

/// Why a self-test fails.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// Not golden requests.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The engine fails on them.
    #[error("the engine fails on the golden requests: {0}")]
    Host(#[from] HostError),
    /// None at all.
    #[error("the bundle has no golden requests")]
    Empty,
    /// Another answer.
    #[error("golden request {index} has another answer here than where it was published")]
    Answer {
        /// Which.
        index: usize,
    },
}

impl Golden {
    /// Asks a guest and keeps its answers.
    ///
    /// # Errors
    /// The engine fails.
    pub fn record(guest: &Guest, call: Call) -> Result<Golden, HostError> {
        let answers = guest.rank(&call)?;
        Ok(Golden { call, answers })
    }

    /// The blob's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// Asks a guest the golden requests of a bundle, with the bundle's own tables, and compares every bit.
///
/// # Errors
/// A blob that is none, an engine that fails, or another answer.
pub fn self_test(guest: &Guest, blob: &[u8]) -> Result<(), GoldenError> {
    let golden: Golden = codec::decode(blob, "golden requests")?;
    if golden.answers.is_empty() {
        return Err(GoldenError::Empty);
    }
    let answers = guest.rank(&golden.call)?;
    // Encoded, so that numbers are compared by their bits.
    let same = |a: &Ranked, b: &Ranked| codec::encode(a) == codec::encode(b);
    match answers.iter().zip(&golden.answers).position(|(a, b)| !same(a, b)) {
        Some(index) => Err(GoldenError::Answer { index }),
        None if answers.len() != golden.answers.len() => Err(GoldenError::Answer { index: golden.answers.len() }),
        None => Ok(()),
    }
}
