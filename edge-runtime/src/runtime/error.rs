//! Why an edge cannot start, and why a request or event gets no answer.

use std::path::PathBuf;

use shared_features::event::EventError;
use shared_features::schema::SchemaError;

use super::MAX_FUTURE_MS;
use crate::explain::ExplainError;
use crate::host::HostError;
use crate::keys::KeyError;
use crate::registry::RegistryError;
use crate::spool::SpoolError;
use crate::store::StoreError;

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The root document.
    #[error("--trust: {0}")]
    Trust(#[from] KeyError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The state folder.
    #[error("the state folder {path}: {source}")]
    State {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The sandbox.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why a request or event gets no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// A surface that this edge does not serve.
    #[error("this edge does not serve surface `{surface}`; it serves: {known}")]
    UnknownSurface {
        /// What was asked for.
        surface: String,
        /// What there is.
        known: String,
    },
    /// No bundle yet.
    #[error("surface `{surface}` has no bundle yet: {reason}")]
    NoBundle {
        /// Which.
        surface: String,
        /// Why.
        reason: String,
    },
    /// A value out of range.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A field that does not fit the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A time too far ahead.
    #[error("`ts` is {ahead_ms} ms in the future, at most {MAX_FUTURE_MS} are allowed; check the clock")]
    Future {
        /// How far.
        ahead_ms: i64,
    },
    /// The engine cannot explain; nothing else could.
    #[error(transparent)]
    Explain(#[from] HostError),
    /// The spool does not take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process is stopping.
    #[error("the edge is stopping")]
    Stopping,
}

impl From<ExplainError> for AnswerError {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::Schema(error) => AnswerError::Schema(error),
            ExplainError::Host(error) => AnswerError::Explain(error),
        }
    }
}
