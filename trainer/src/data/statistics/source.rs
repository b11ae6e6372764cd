//! Which files there are to read, and which columns they have together.

use std::path::{Path, PathBuf};

use arrow_array::ArrayRef;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::csv_file::CsvFile;
use super::parquet_file::ParquetFile;
use super::{MissingMeans, StatisticsError, Type};
use crate::data::collected;
use crate::data::feature_log::ROWS;

/// Rows that are read and gathered at once.
pub(super) const BATCH_ROWS: usize = 16_384;

/// Files of one format, and their columns.
pub(super) struct Source {
    /// All columns of all files, in the order in which they first appear.
    pub(super) columns: Vec<Column>,
    /// Columns that cannot be read, with their types.
    pub(super) unread: Vec<(String, String)>,
    /// What is missing beside null.
    pub(super) missing: MissingMeans,
    files: Files,
    /// Where files of stores with URLs were copied to, as long as they are read.
    _copies: Vec<TempDir>,
}

/// A column of some of the files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Column {
    /// In the files.
    pub(super) column: String,
    /// As a feature; `None` where it is none, but can be sliced by.
    pub(super) feature: Option<String>,
    pub(super) of: Type,
    pub(super) list: bool,
}

enum Files {
    Csv(Vec<CsvFile>),
    Parquet(Vec<ParquetFile>),
}

/// Rows that are read by one thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    file: usize,
    row_group: usize,
}

/// A part of the rows, by itself.
#[cfg(feature = "cluster")]
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Elsewhere {
    /// A CSV file.
    Csv(CsvFile),
    /// A row group of a Parquet file.
    Parquet(PathBuf, usize),
}

#[cfg(feature = "cluster")]
impl Elsewhere {
    /// Reads columns and shows them a batch at a time.
    pub(super) fn read(&self, columns: &[&Column], show: &mut dyn FnMut(&Batch)) -> Result<(), StatisticsError> {
        match self {
            Elsewhere::Csv(file) => file.read(columns, show),
            Elsewhere::Parquet(path, row_group) => ParquetFile::open(path)?.read(*row_group, columns, show),
        }
    }
}

/// A number of rows and their columns, `None` where the file lacks one.
pub(super) type Batch = (usize, Vec<Option<ArrayRef>>);

impl Source {
    /// Looks into files, or into all files in folders.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Source, StatisticsError> {
        let (mut files, mut copies) = (Vec::new(), Vec::new());
        for path in paths {
            let before = files.len();
            let local = collected::url(path).and_then(|url| url.strip_prefix("file://"));
            let path = &local.map_or_else(|| path.clone(), PathBuf::from);
            if let Some(url) = collected::url(path) {
                let folder =
                    tempfile::tempdir().map_err(|source| StatisticsError::Io { path: path.clone(), source })?;
                files.extend(collected::copy_rows_below(url, folder.path())?);
                copies.push(folder);
            } else if let Some(rows) = collected::rows_below(path)? {
                files.extend(rows);
            } else {
                find(path, &mut files)?;
            }
            if files.len() == before {
                return Err(StatisticsError::Empty { path: path.clone() });
            }
        }
        let is_csv = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        let source = match (files.iter().find(|p| is_csv(p)), files.iter().find(|p| !is_csv(p))) {
            (Some(csv), Some(parquet)) => {
                return Err(StatisticsError::Mixed { csv: csv.clone(), parquet: parquet.clone() });
            }
            (Some(_), None) => Source::csv(&files)?,
            (None, _) => Source::parquet(&files)?,
        };
        Ok(Source { _copies: copies, ..source })
    }

    /// The parts, in the order of the rows.
    pub(super) fn parts(&self) -> Vec<Part> {
        match &self.files {
            Files::Csv(files) => (0..files.len()).map(|file| Part { file, row_group: 0 }).collect(),
            Files::Parquet(files) => (files.iter().enumerate())
                .flat_map(|(file, f)| (0..f.row_groups()).map(move |row_group| Part { file, row_group }))
                .collect(),
        }
    }

    /// How many columns are read together: a CSV file is read whole, Parquet by columns.
    pub(super) fn columns_at_once(&self) -> usize {
        match &self.files {
            Files::Csv(_) => usize::MAX,
            Files::Parquet(_) => 8,
        }
    }

    /// Reads columns of a part and shows them a batch at a time.
    pub(super) fn read(
        &self,
        part: Part,
        columns: &[&Column],
        show: &mut dyn FnMut(&Batch),
    ) -> Result<(), StatisticsError> {
        match &self.files {
            Files::Csv(files) => files[part.file].read(columns, show),
            Files::Parquet(files) => files[part.file].read(part.row_group, columns, show),
        }
    }

    /// A part as another machine finds it, which has the same files at the same paths.
    #[cfg(feature = "cluster")]
    pub(super) fn elsewhere(&self, part: Part) -> std::io::Result<Elsewhere> {
        Ok(match &self.files {
            Files::Csv(files) => Elsewhere::Csv(files[part.file].absolute()?),
            Files::Parquet(files) => Elsewhere::Parquet(std::path::absolute(files[part.file].path())?, part.row_group),
        })
    }

    fn csv(paths: &[PathBuf]) -> Result<Source, StatisticsError> {
        let files = CsvFile::open_all(paths)?;
        let mut columns: Vec<Column> = Vec::new();
        for (name, of) in files.iter().flat_map(CsvFile::columns) {
            match columns.iter_mut().find(|c| c.column == *name) {
                // An empty column of one file says nothing about the others.
                Some(column) => column.of = wider(Some(column.of), *of).unwrap_or(column.of),
                None => columns.push(Column {
                    column: name.clone(),
                    feature: Some(name.clone()),
                    of: of.unwrap_or(Type::Int),
                    list: false,
                }),
            }
        }
        for column in &mut columns {
            if files.iter().flat_map(CsvFile::columns).all(|(name, of)| *name != column.column || of.is_none()) {
                column.of = Type::Bytes;
            }
        }
        Ok(Source {
            columns,
            unread: Vec::new(),
            missing: MissingMeans::default(),
            files: Files::Csv(files),
            _copies: Vec::new(),
        })
    }

    fn parquet(paths: &[PathBuf]) -> Result<Source, StatisticsError> {
        let files = paths.iter().map(|path| ParquetFile::open(path)).collect::<Result<Vec<_>, _>>()?;
        let logs = files.iter().all(ParquetFile::is_feature_log);
        let (mut columns, mut unread) = (Vec::<Column>::new(), Vec::new());
        for file in &files {
            for (name, of) in file.columns() {
                let feature = if logs { name.strip_prefix("value.") } else { Some(name.as_str()) }.map(str::to_owned);
                let (of, list) = match of {
                    Ok(readable) => readable,
                    Err(of) => {
                        if !unread.iter().any(|(other, _)| *other == name) {
                            unread.push((name, of));
                        }
                        continue;
                    }
                };
                match columns.iter_mut().find(|c| c.column == *name) {
                    None => {
                        columns.push(Column { column: name, feature, of, list });
                    }
                    Some(column) if column.list == list && (column.of == Type::Bytes) == (of == Type::Bytes) => {
                        column.of = column.of.max(of);
                    }
                    Some(column) => {
                        let text = |of: Type, list: bool| format!("{of}{}", if list { " lists" } else { "" });
                        return Err(StatisticsError::Differs {
                            path: file.path().into(),
                            column: name,
                            expected: text(column.of, column.list),
                            got: text(of, list),
                        });
                    }
                }
            }
        }
        let missing = MissingMeans { nan: logs, empty_list: logs };
        Ok(Source { columns, unread, missing, files: Files::Parquet(files), _copies: Vec::new() })
    }
}

/// The type that holds both; `None` is that of an empty column.
pub(super) fn wider(a: Option<Type>, b: Option<Type>) -> Option<Type> {
    a.max(b)
}

/// Files to read below a path: in a LOG folder its rows, elsewhere whatever ends in `.csv` or `.parquet`, by name.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), StatisticsError> {
    let io = |source| StatisticsError::Io { path: path.into(), source };
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        let known =
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv") || e.eq_ignore_ascii_case("parquet"));
        if known {
            files.push(path.into());
        }
        return Ok(());
    }
    if path.join(ROWS).is_file() {
        files.push(path.join(ROWS));
        return Ok(());
    }
    let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(io)?;
    inside.sort();
    inside.iter().try_for_each(|path| find(path, files))
}
