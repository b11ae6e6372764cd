//! The segments of a spool as files: which there are, how large they are, how many entries they hold.

use std::path::{Path, PathBuf};

use super::{Frames, SpoolError};

/// One file of a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its number; they count up.
    pub(crate) number: u64,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

/// The segments of a folder, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn list(folder: &Path) -> Result<Vec<Segment>, SpoolError> {
    let io = |source| SpoolError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("spool-")?.strip_suffix(".hearth")?.parse().ok());
        let Some(number) = number else { continue };
        match entry.metadata() {
            Ok(file) => found.push(Segment { number, bytes: file.len(), path }),
            // It was dropped or uploaded, and deleted, since the folder was read.
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(io(source)),
        }
    }
    found.sort_by_key(|s| s.number);
    Ok(found)
}

/// The file of a segment.
pub(super) fn path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("spool-{segment:08}.hearth"))
}

/// How many whole entries a segment holds from a byte on.
///
/// # Errors
/// A segment that cannot be read, or is corrupt.
pub(crate) fn count_entries(segment: &Segment, from: u64) -> Result<u64, SpoolError> {
    let path = &segment.path;
    let bytes = std::fs::read(path).map_err(|source| SpoolError::Io { path: path.clone(), source })?;
    let mut count = 0;
    for frame in Frames::new(path, &bytes)? {
        count += u64::from(frame?.1 > from);
    }
    Ok(count)
}
