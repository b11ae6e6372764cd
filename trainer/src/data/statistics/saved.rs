//! The file that statistics are kept in: JSON with a version, the same bytes for the same statistics.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Statistics;
use crate::data::whole_file::write_whole;

/// The version that is written and read.
const VERSION: u32 = 1;

/// Why a statistics file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is none.
    #[error("{path} holds no statistics: {source}; make it with `trainer data stats --out`")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another version's.
    #[error(
        "{path} is of version {got} and this reads version {VERSION}; make it anew with `trainer data stats --out`"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Which version it is of.
        got: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Saved<T> {
    /// What kind of file it is, and its version.
    hearth_statistics: u32,
    #[serde(flatten)]
    statistics: T,
}

/// Reads only the version.
#[derive(Deserialize)]
struct Nothing {}

impl Statistics {
    /// Reads a file that [`Statistics::write`] wrote.
    ///
    /// # Errors
    /// A file that is none or of another version.
    pub fn read(path: &Path) -> Result<Statistics, SavedError> {
        let json = |source| SavedError::Json { path: path.into(), source };
        let text = std::fs::read_to_string(path).map_err(|source| SavedError::Io { path: path.into(), source })?;
        let got = serde_json::from_str::<Saved<Nothing>>(&text).map_err(json)?.hearth_statistics;
        if got != VERSION {
            return Err(SavedError::Version { path: path.into(), got });
        }
        let value: serde_json::Value = serde_json::from_str(&text).map_err(json)?;
        let serde_json::Value::Object(mut fields) = value else { unreachable!("it has a field") };
        fields.remove("hearth_statistics");
        serde_json::from_value(fields.into()).map_err(json)
    }

    /// Writes a file: whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SavedError> {
        let io = |source| SavedError::Io { path: path.into(), source };
        let saved = Saved { hearth_statistics: VERSION, statistics: self };
        let mut text = serde_json::to_vec(&saved).map_err(|source| SavedError::Json { path: path.into(), source })?;
        text.push(b'\n');
        write_whole(path, &text).map_err(io)
    }
}
