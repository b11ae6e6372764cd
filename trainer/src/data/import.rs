//! Import: foreign files become a DATA folder.
//!
//! Inputs are merged in time order; ties keep the order of the files, then of the lines.
//! A line that cannot be read is reported and counted; with more of them than are tolerated nothing is written.
//! Requests, impressions and interactions with an id that came before are dropped and counted.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared_features::event::Event;
use shared_features::schema::{Entity, Schema, SchemaError};
use shared_features::spec::FeatureSpec;

use crate::data::store::{self, DataError, Writer};
use crate::spec::TrainerSpec;

mod csv;
mod events;
mod lines;
mod metarank;
mod requests;

pub use csv::{Columns, FileSettings, Mapped, RowKind};
pub use metarank::Settings as MetarankSettings;
pub use requests::Derived;

/// Most malformed lines that are shown; all are counted.
pub const SHOWN_PROBLEMS: usize = 20;

/// What the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Metarank's event JSON, an object a line.
    Metarank,
    /// Columns that the spec maps.
    Csv,
    /// Hearth's own JSON lines or Parquet.
    Events,
}

/// The spec's `[import]`: how foreign files become events.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Requests for logs that have none.
    pub requests: Option<requests::Derived>,
    /// For `import metarank`.
    pub metarank: metarank::Settings,
    /// For `import csv`, one for each file.
    pub csv: Vec<csv::FileSettings>,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Lines or rows that were read.
    pub lines: u64,
    /// Malformed ones, which were left out.
    pub bad: u64,
    /// The first of them, `FILE:LINE: reason`.
    pub problems: Vec<String>,
    /// Events with an id that came before.
    pub duplicates: u64,
    /// Values of fields that the spec does not declare, by field.
    pub ignored_fields: BTreeMap<String, u64>,
    /// What was written.
    pub data: store::Summary,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More malformed lines than are tolerated.
    #[error("{bad} malformed lines, --max-bad tolerates {max_bad}; nothing was written\n{}", problems.join("\n"))]
    TooManyBad {
        /// How many.
        bad: u64,
        /// How many may be.
        max_bad: u64,
        /// The first of them, `FILE:LINE: reason`.
        problems: Vec<String>,
    },
    /// The spec's `[import]` does not fit its schema or the files.
    #[error("[import]: {reason}")]
    Settings {
        /// What does not fit, and what to write.
        reason: String,
    },
    /// The DATA folder.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Reads files into a DATA folder; `progress` gets bytes read and bytes in all.
///
/// # Errors
/// Unreadable files, too many malformed lines, settings that do not fit: nothing is written then.
pub fn run(
    format: Format,
    files: &[PathBuf],
    spec: &TrainerSpec,
    out: &Path,
    max_bad: u64,
    progress: &dyn Fn(u64, u64),
) -> Result<Summary, ImportError> {
    let settings = spec.import.clone().unwrap_or_default();
    import(format, files, (&spec.features, &settings), out, max_bad, progress)
}

fn import(
    format: Format,
    files: &[PathBuf],
    (spec, settings): (&FeatureSpec, &Settings),
    out: &Path,
    max_bad: u64,
    progress: &dyn Fn(u64, u64),
) -> Result<Summary, ImportError> {
    // Before the work: a folder that may not be written, or settings that cannot be used.
    let mut writer = Writer::create(out)?;
    let mut intake = Intake::new(spec, files, progress)?;
    match format {
        Format::Metarank => metarank::read(files, &settings.metarank, &mut intake)?,
        Format::Csv => csv::read(files, &settings.csv, &mut intake)?,
        Format::Events => events::read(files, &mut intake)?,
    }
    progress(intake.total, intake.total);
    let Intake { lines, bad, problems, ignored_fields, mut events, .. } = intake;
    if bad > max_bad {
        return Err(ImportError::TooManyBad { bad, max_bad, problems });
    }
    events.sort_by_key(Event::ts);
    let before = events.len();
    drop_duplicates(&mut events);
    let duplicates = (before - events.len()) as u64;
    if let Some(derived) = &settings.requests {
        events = derived.derive(events, spec.surface());
    }
    for event in events {
        writer.push(event)?;
    }
    let names: Vec<String> = files.iter().map(|f| file_name(f)).collect();
    let about = serde_json::json!({
        "import": format, "files": names, "lines": lines, "bad": bad, "duplicates": duplicates,
    });
    Ok(Summary { lines, bad, problems, duplicates, ignored_fields, data: writer.finish(about)? })
}

/// Events as they come in, and what was wrong with the others.
struct Intake<'a> {
    spec: &'a FeatureSpec,
    progress: &'a dyn Fn(u64, u64),
    read: lines::BytesRead,
    total: u64,
    lines: u64,
    bad: u64,
    problems: Vec<String>,
    ignored_fields: BTreeMap<String, u64>,
    events: Vec<Event>,
}

impl<'a> Intake<'a> {
    fn new(spec: &'a FeatureSpec, files: &[PathBuf], progress: &'a dyn Fn(u64, u64)) -> Result<Self, ImportError> {
        let mut total = 0;
        for path in files {
            let io = |source| ImportError::Io { path: path.clone(), source };
            let about = std::fs::metadata(path).map_err(io)?;
            if about.is_dir() {
                return Err(io(std::io::Error::other("this is a folder; pass the files in it")));
            }
            total += about.len();
        }
        Ok(Intake {
            spec,
            progress,
            read: lines::BytesRead::default(),
            total,
            lines: 0,
            bad: 0,
            problems: Vec::new(),
            ignored_fields: BTreeMap::new(),
            events: Vec::new(),
        })
    }

    /// Takes what one line gave.
    fn take(&mut self, file: &str, line: u64, event: Result<Event, String>) {
        self.lines += 1;
        if self.lines.is_multiple_of(1024) {
            (self.progress)(self.read.get().min(self.total), self.total);
        }
        let checked = event.and_then(|event| {
            event.check().map_err(|e| e.to_string())?;
            check_attributes(&event, &self.spec.unfitted.schema).map_err(|e| e.to_string())?;
            Ok(event)
        });
        match checked {
            Ok(event) => self.events.push(event),
            Err(reason) => {
                self.bad += 1;
                if self.problems.len() < SHOWN_PROBLEMS {
                    self.problems.push(format!("{file}:{line}: {reason}"));
                }
            }
        }
    }

    /// Counts a value that no declared field takes.
    fn ignore(&mut self, entity: Entity, name: &str) {
        *self.ignored_fields.entry(format!("{}.{name}", entity.name())).or_insert(0) += 1;
    }
}

fn check_attributes(event: &Event, schema: &Schema) -> Result<(), SchemaError> {
    match event {
        Event::Item(e) => schema.columns(Entity::Item, &[&e.attributes]).map(drop),
        Event::User(e) => schema.columns(Entity::User, &[&e.attributes]).map(drop),
        Event::Request(e) => {
            schema.columns(Entity::User, &[&e.attributes])?;
            schema.columns(Entity::Context, &[&e.context])?;
            let rows: Vec<_> = e.candidates.iter().map(|c| &c.fields).collect();
            schema.columns(Entity::Candidate, &rows).map(drop)
        }
        Event::Impression(_) | Event::Interaction(_) => Ok(()),
    }
}

/// Keeps the first event of each kind with an id; items and users may have many.
fn drop_duplicates(events: &mut Vec<Event>) {
    let keep: Vec<bool> = {
        let mut seen: HashSet<(u8, &str)> = HashSet::new();
        let mut first = |event| match event {
            &Event::Item(_) | &Event::User(_) => true,
            Event::Request(e) => seen.insert((0, &e.id)),
            Event::Impression(e) => seen.insert((1, &e.id)),
            Event::Interaction(e) => seen.insert((2, &e.id)),
        };
        events.iter().map(&mut first).collect()
    };
    let mut keep = keep.into_iter();
    events.retain(|_| keep.next().unwrap_or(true));
}

/// The last part of a path, as people see it.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.data)?;
        write!(f, "{} lines read, {} malformed, {} duplicates dropped", self.lines, self.bad, self.duplicates)?;
        if !self.ignored_fields.is_empty() {
            let fields: Vec<String> = self.ignored_fields.iter().map(|(name, n)| format!("{name} ({n})")).collect();
            write!(f, "\nfields that the spec does not declare: {}", fields.join(", "))?;
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

#[cfg(test)]
mod tests;
