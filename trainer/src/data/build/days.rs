//! Writes a DATASET folder: a Parquet file a day, and at the end the description.
//!
//! Everything is made in a folder beside and given its name when it is whole.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use shared_features::digest::{Digest, Hasher};
use shared_features::encoder::Encoder;

use super::{BuildError, DESCRIPTION, Day, Report};
use crate::data::{feature_log, replay};

const DAY_MS: i64 = 86_400_000;
/// The new folder, while it is being written.
const NEW: &str = "new";

/// A folder that is being written.
pub(super) struct Writer {
    out: PathBuf,
    /// Beside it: the new folder, and the one that it replaces on its way out; removed with all that is in it.
    aside: tempfile::TempDir,
    encoder: Encoder,
    open: Option<Open>,
    days: Vec<Day>,
}

/// The file of a day.
struct Open {
    /// Days since the epoch.
    number: i64,
    path: PathBuf,
    parquet: ArrowWriter<File>,
    requests: u64,
    rows: u64,
    last: Option<String>,
}

impl Writer {
    /// Starts a folder; it must be new or empty, or a DATASET folder, which is replaced in the end.
    pub(super) fn create(out: &Path, encoder: &Encoder) -> Result<Writer, BuildError> {
        let io = |source| BuildError::Io { path: out.to_owned(), source };
        let empty = || fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
        if out.exists() && !out.join(DESCRIPTION).is_file() && !empty() {
            let reason = "this is neither an empty folder nor a dataset; pass an empty or new folder with --out";
            return Err(BuildError::Format { path: out.to_owned(), reason: reason.into() });
        }
        let beside = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(beside).map_err(io)?;
        let aside = tempfile::Builder::new().prefix(".hearth-dataset-").tempdir_in(beside).map_err(io)?;
        fs::create_dir(aside.path().join(NEW)).map_err(io)?;
        Ok(Writer { out: out.to_owned(), aside, encoder: encoder.clone(), open: None, days: Vec::new() })
    }

    /// Adds rows, which come in the order of their time.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), BuildError> {
        let columns = (batch.column_by_name("ts"), batch.column_by_name("request"));
        let (Some(ts), Some(requests)) = columns else { return Ok(()) };
        let (ts, requests) = (ts.as_primitive::<Int64Type>(), requests.as_string::<i32>());
        let mut from = 0;
        while from < batch.num_rows() {
            let day = ts.value(from).div_euclid(DAY_MS);
            let to = (from..batch.num_rows()).find(|&row| ts.value(row).div_euclid(DAY_MS) != day);
            let to = to.unwrap_or(batch.num_rows());
            self.append(day, &batch.slice(from, to - from), &requests.slice(from, to - from))?;
            from = to;
        }
        Ok(())
    }

    /// Ends the last day, and gives the folder its name.
    pub(super) fn finish(mut self, mut report: Report, tables: Option<&[u8]>) -> Result<Report, BuildError> {
        self.close()?;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { path, source }
        };
        let new = self.aside.path().join(NEW);
        if let Some(tables) = tables {
            replay::write_tables(&new, tables).map_err(io(&new))?;
        }
        report.days = std::mem::take(&mut self.days);
        let json = serde_json::to_string_pretty(&report).expect("a report is plain data");
        fs::write(new.join(DESCRIPTION), json).map_err(io(&new))?;
        if self.out.exists() {
            fs::rename(&self.out, self.aside.path().join("old")).map_err(io(&self.out))?;
        }
        fs::rename(&new, &self.out).map_err(io(&self.out))?;
        Ok(report)
    }

    fn append(&mut self, day: i64, rows: &RecordBatch, requests: &StringArray) -> Result<(), BuildError> {
        if self.open.as_ref().is_none_or(|open| open.number != day) {
            self.close()?;
            let path = self.aside.path().join(NEW).join(format!("{}.parquet", date(day)));
            let file = File::create(&path).map_err(|source| BuildError::Io { path: path.clone(), source })?;
            let properties = feature_log::properties(&self.encoder);
            let parquet = ArrowWriter::try_new(file, rows.schema(), Some(properties))
                .map_err(|source| BuildError::Parquet { path: path.clone(), source })?;
            self.open = Some(Open { number: day, path, parquet, requests: 0, rows: 0, last: None });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.rows += rows.num_rows() as u64;
        for request in requests.iter().flatten() {
            if open.last.as_deref() != Some(request) {
                open.requests += 1;
                open.last = Some(request.to_owned());
            }
        }
        open.parquet.write(rows).map_err(|source| BuildError::Parquet { path: open.path.clone(), source })
    }

    fn close(&mut self) -> Result<(), BuildError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        open.parquet.close().map_err(|source| BuildError::Parquet { path: open.path.clone(), source })?;
        let day = date(open.number);
        let file = format!("{day}.parquet");
        let digest = digest(&open.path)?;
        self.days.push(Day { day, file, requests: open.requests, rows: open.rows, digest });
        Ok(())
    }
}

/// The SHA-256 of a file, read in pieces.
pub(super) fn digest(path: &Path) -> Result<Digest, BuildError> {
    let io = |source| BuildError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let (mut hasher, mut piece) = (Hasher::default(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece).map_err(io)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&piece[..n]),
        }
    }
}

/// `YYYY-MM-DD` of a day since the epoch; days beyond the calendar are numbers.
fn date(day: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(day.saturating_mul(DAY_MS));
    at.map_or_else(|| format!("day{day}"), |at| at.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        let cases =
            [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (i64::MAX, "day9223372036854775807")];
        for (day, expected) in cases {
            assert_eq!(date(day), expected);
        }
    }
}
