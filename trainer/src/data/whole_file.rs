//! Writes a file whole or not at all.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to a file that a reader sees whole or not at all; what is no regular file, such as a pipe, is written to.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let mut temporary = OsString::from(path);
    temporary.push(".tmp");
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
