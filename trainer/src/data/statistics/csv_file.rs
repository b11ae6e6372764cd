//! CSV files as Arrow columns, their types inferred as TFDV does.
//!
//! An empty cell is missing.
//! A column is of integers where every cell is one that fits 64 bits, of floats where every cell is a number,
//! and of strings elsewhere; floats have 32 bits.
//!
//! # Source
//! `tfx_bsl.coders.csv_decoder`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{BinaryBuilder, Float32Builder, Int64Builder};
use csv::{ByteRecord, Reader, ReaderBuilder};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::source::{BATCH_ROWS, Batch, Column, wider};
use super::{StatisticsError, Type};

/// A CSV file with a header.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CsvFile {
    path: PathBuf,
    /// With the type of each, `None` where every cell is empty.
    columns: Vec<(String, Option<Type>)>,
}

impl CsvFile {
    /// Reads files once, for the types of their columns.
    pub(super) fn open_all(paths: &[PathBuf]) -> Result<Vec<CsvFile>, StatisticsError> {
        paths.par_iter().map(|path| CsvFile::open(path)).collect()
    }

    pub(super) fn columns(&self) -> &[(String, Option<Type>)] {
        &self.columns
    }

    /// The same file, by its whole path.
    #[cfg(feature = "cluster")]
    pub(super) fn absolute(&self) -> std::io::Result<CsvFile> {
        Ok(CsvFile { path: std::path::absolute(&self.path)?, columns: self.columns.clone() })
    }

    /// Shows batches of columns of these types; a column that the file lacks is `None`.
    pub(super) fn read(&self, wanted: &[&Column], show: &mut dyn FnMut(&Batch)) -> Result<(), StatisticsError> {
        let mut reader = open(&self.path)?;
        let mut builders: Vec<Option<(usize, Builder)>> = wanted
            .iter()
            .map(|column| {
                let at = self.columns.iter().position(|(name, _)| *name == column.column)?;
                Some((at, Builder::new(column.of)))
            })
            .collect();
        let (mut record, mut rows) = (ByteRecord::new(), 0);
        loop {
            let more = reader.read_byte_record(&mut record).map_err(|source| self.error(source))?;
            if more {
                for (at, builder) in builders.iter_mut().flatten() {
                    builder.push(&record[*at]);
                }
                rows += 1;
            }
            if rows == BATCH_ROWS || !more && rows > 0 {
                let columns = builders.iter_mut().map(|b| b.as_mut().map(|(_, b)| b.finish())).collect();
                show(&(rows, columns));
                rows = 0;
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn open(path: &Path) -> Result<CsvFile, StatisticsError> {
        let error = |source| StatisticsError::Csv { path: path.into(), source };
        let mut reader = open(path)?;
        let header = reader.byte_headers().map_err(error)?.clone();
        let mut columns: Vec<(String, Option<Type>)> = Vec::new();
        for name in &header {
            let name = String::from_utf8_lossy(name).trim_start_matches('\u{feff}').to_owned();
            if columns.iter().any(|(other, _)| *other == name) {
                return Err(StatisticsError::TwoColumns { path: path.into(), column: name });
            }
            columns.push((name, None));
        }
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(error)? {
            for ((_, of), cell) in columns.iter_mut().zip(&record) {
                if *of != Some(Type::Bytes) {
                    *of = wider(*of, type_of(cell));
                }
            }
        }
        Ok(CsvFile { path: path.into(), columns })
    }

    fn error(&self, source: csv::Error) -> StatisticsError {
        StatisticsError::Csv { path: self.path.clone(), source }
    }
}

fn open(path: &Path) -> Result<Reader<File>, StatisticsError> {
    let file = File::open(path).map_err(|source| StatisticsError::Io { path: path.into(), source })?;
    Ok(ReaderBuilder::new().buffer_capacity(1 << 18).from_reader(file))
}

fn type_of(cell: &[u8]) -> Option<Type> {
    if cell.is_empty() {
        return None;
    }
    let Ok(text) = std::str::from_utf8(cell) else { return Some(Type::Bytes) };
    let text = text.trim();
    if text.parse::<i64>().is_ok() {
        return Some(Type::Int);
    }
    // An integer that does not fit is a name, not a number.
    let digits = text.trim_start_matches(['+', '-']);
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(_) if !whole => Some(Type::Float),
        _ => Some(Type::Bytes),
    }
}

enum Builder {
    Int(Int64Builder),
    Float(Float32Builder),
    Bytes(BinaryBuilder),
}

impl Builder {
    fn new(of: Type) -> Builder {
        match of {
            Type::Int => Builder::Int(Int64Builder::with_capacity(BATCH_ROWS)),
            Type::Float => Builder::Float(Float32Builder::with_capacity(BATCH_ROWS)),
            Type::Bytes => Builder::Bytes(BinaryBuilder::with_capacity(BATCH_ROWS, 16 * BATCH_ROWS)),
        }
    }

    fn push(&mut self, cell: &[u8]) {
        let text = || std::str::from_utf8(cell).ok().map(str::trim);
        match self {
            Builder::Int(b) => b.append_option(text().and_then(|t| t.parse().ok())),
            Builder::Float(b) => b.append_option(text().and_then(|t| t.parse::<f64>().ok()).map(|x| x as f32)),
            Builder::Bytes(b) => b.append_option(Some(cell).filter(|cell| !cell.is_empty())),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Int(b) => Arc::new(b.finish()),
            Builder::Float(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_reference_decoder() {
        let int = ["1", "-7", "+3", " 5 ", "9223372036854775807"];
        let float = ["1.0", "1e5", "nan", "-inf", ".5", "Infinity"];
        let bytes = ["a", "9223372036854775808", "1,000", "0x10", "-", "\u{e9}"];
        for (cells, of) in [(&int[..], Type::Int), (&float, Type::Float), (&bytes, Type::Bytes)] {
            for cell in cells {
                assert_eq!(type_of(cell.as_bytes()), Some(of), "{cell}");
            }
        }
        assert_eq!((type_of(b""), type_of(b"\xff")), (None, Some(Type::Bytes)));
    }
}
