//! Hearth's own events: JSON lines, or Parquet as in a DATA folder.

use std::io::Read;
use std::path::{Path, PathBuf};

use shared_features::event::Event;

use super::{ImportError, Intake, file_name, lines};
use crate::data::store;

/// Reads files of either form, which their first bytes tell apart.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn read(files: &[PathBuf], intake: &mut Intake) -> Result<(), ImportError> {
    for path in files {
        let io = |source| ImportError::Io { path: path.clone(), source };
        let mut start = Vec::new();
        std::fs::File::open(path).and_then(|f| f.take(4).read_to_end(&mut start)).map_err(io)?;
        match start.as_slice() {
            b"PAR1" => read_parquet(path, intake)?,
            _ => read_lines(path, intake).map_err(io)?,
        }
    }
    Ok(())
}

fn read_lines(path: &Path, intake: &mut Intake) -> std::io::Result<()> {
    let name = file_name(path);
    let mut reader = lines::open(path, &intake.read)?;
    lines::for_each(&mut reader, |line, text| {
        let event = text.and_then(|text| serde_json::from_str::<Event>(text).map_err(|e| e.to_string()));
        intake.take(&name, line, event);
    })
}

/// Rows count from 1.
fn read_parquet(path: &Path, intake: &mut Intake) -> Result<(), ImportError> {
    let name = file_name(path);
    let mut row = 0;
    for batch in store::batches(path)? {
        let batch = batch?;
        let events = store::columns::decode(&batch)
            .map_err(|reason| store::DataError::Format { path: path.to_owned(), reason })?;
        for event in events {
            row += 1;
            intake.take(&name, row, event);
        }
    }
    Ok(())
}
