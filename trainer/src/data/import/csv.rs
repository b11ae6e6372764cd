//! Separated columns, mapped to events by the spec's `[[import.csv]]`, one entry for each file name.
//!
//! Interactions get the id `FILE:LINE` where no column has one, items and users without a time are known from the epoch on.
//! An empty cell is a missing value. Cells of tab-separated files are taken as they are, without quotes.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::PathBuf;

use csv::{ByteRecord, ReaderBuilder};
use serde::Deserialize;
use shared_features::column::Kind;
use shared_features::event::{Attributes, Event, InteractionEvent, ItemEvent, UserEvent};
use shared_features::schema::Entity;

use super::{ImportError, Intake, file_name, lines};

mod cell;

pub use cell::Mapped;
use cell::{Bound, Row};

/// How one file's columns become events.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Its name, without folders and without `.gz`.
    pub file: String,
    /// What a row is.
    pub event: RowKind,
    /// One ASCII character; a comma where absent.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Where each part of an event comes from.
    pub columns: Columns,
    /// Where each attribute of an item or user comes from.
    #[serde(default)]
    pub attributes: BTreeMap<String, Mapped>,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowKind {
    /// An interaction; needs `user`, `item`, `ts` and `action`.
    Interaction,
    /// An item; needs `item`.
    Item,
    /// A user; needs `user`.
    User,
}

/// Where each part of an event comes from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    id: Option<Mapped>,
    user: Option<Mapped>,
    item: Option<Mapped>,
    ts: Option<Mapped>,
    action: Option<Mapped>,
    surface: Option<Mapped>,
    request: Option<Mapped>,
    offset_min: Option<Mapped>,
    dwell_ms: Option<Mapped>,
    completion: Option<Mapped>,
}

/// The columns of one file, found in its header.
struct File<'s> {
    name: String,
    event: RowKind,
    columns: Vec<(&'static str, Bound<'s>)>,
    attributes: Vec<(&'s str, Kind, Bound<'s>)>,
}

/// Reads files, each by the entry that names it.
///
/// # Errors
/// A file that cannot be read or that no entry names; an entry that does not fit the schema or the file's header.
pub(super) fn read(files: &[PathBuf], settings: &[FileSettings], intake: &mut Intake) -> Result<(), ImportError> {
    for (i, path) in files.iter().enumerate() {
        let name = file_name(path);
        if files[..i].iter().any(|other| file_name(other) == name) {
            let reason = format!("two files are named `{name}`, so their lines cannot be told apart; rename one");
            return Err(ImportError::Settings { reason });
        }
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let Some(entry) = settings.iter().find(|s| s.file == plain) else {
            let known: Vec<&str> = settings.iter().map(|s| s.file.as_str()).collect();
            let known = if known.is_empty() { "no file".to_owned() } else { known.join(", ") };
            let reason = format!("no [[import.csv]] names `{plain}`, the spec maps {known}; add an entry");
            return Err(ImportError::Settings { reason });
        };
        let io = |source| ImportError::Io { path: path.clone(), source };
        let reader = lines::open(path, &intake.read).map_err(io)?;
        read_file(reader, name, entry, intake)?.map_err(io)?;
    }
    Ok(())
}

fn read_file(
    reader: impl BufRead,
    name: String,
    entry: &FileSettings,
    intake: &mut Intake,
) -> Result<std::io::Result<()>, ImportError> {
    if !entry.delimiter.is_ascii() {
        let reason = format!("`{}`: the delimiter {:?} is not an ASCII character", entry.file, entry.delimiter);
        return Err(ImportError::Settings { reason });
    }
    let delimiter = entry.delimiter as u8;
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(delimiter != b'\t')
        .flexible(true)
        .from_reader(lines::Limited::new(reader));
    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(e) => return Ok(Err(e.into())),
    };
    let mut header: Vec<String> = header.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
    if let Some(first) = header.first_mut() {
        *first = first.trim_start_matches('\u{feff}').to_owned();
    }
    let file = File::bind(name, entry, &header, intake)?;
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(Ok(())),
            Err(e) => return Ok(Err(e.into())),
        }
        let line = record.position().map_or(0, csv::Position::line);
        let event = if record.len() == header.len() {
            file.event_of(&record, line)
        } else {
            Err(format!("{} columns, the header has {}", record.len(), header.len()))
        };
        intake.take(&file.name, line, event);
    }
}

impl<'s> File<'s> {
    fn bind(
        name: String,
        entry: &'s FileSettings,
        header: &[String],
        intake: &Intake,
    ) -> Result<File<'s>, ImportError> {
        let wrong = |reason: String| ImportError::Settings { reason: format!("`{}`: {reason}", entry.file) };
        let mut columns = Vec::new();
        for (part, mapped) in entry.columns.parts() {
            match mapped {
                Some(_) if !entry.event.has(part) => {
                    return Err(wrong(format!("{} have no `{part}`; remove it from `columns`", entry.event.name())));
                }
                Some(mapped) => columns.push((part, mapped.bind(part, header).map_err(wrong)?)),
                None if entry.event.needs(part) => {
                    return Err(wrong(format!("{} need `{part}`; add it to `columns`", entry.event.name())));
                }
                None => {}
            }
        }
        let declared = match entry.event {
            RowKind::Item => intake.spec.unfitted.schema.fields(Entity::Item),
            RowKind::User => intake.spec.unfitted.schema.fields(Entity::User),
            RowKind::Interaction => &[],
        };
        let mut attributes = Vec::new();
        for (attribute, mapped) in &entry.attributes {
            let Some(field) = declared.iter().find(|f| f.name == *attribute) else {
                let known: Vec<&str> = declared.iter().map(|f| f.name.as_str()).collect();
                let known = known.join(", ");
                return Err(wrong(format!("attribute `{attribute}` is not declared in [schema], which has: {known}")));
            };
            attributes.push((attribute.as_str(), field.kind, mapped.bind(attribute, header).map_err(wrong)?));
        }
        Ok(File { name, event: entry.event, columns, attributes })
    }

    fn event_of(&self, record: &ByteRecord, line: u64) -> Result<Event, String> {
        let row = Row { record };
        let part = |name: &str| self.columns.iter().find(|(part, _)| *part == name).map(|(_, bound)| bound);
        let text = |name: &str| part(name).map_or(Ok(None), |bound| bound.text(&row));
        let required = |name: &str| text(name)?.ok_or_else(|| format!("`{name}` is empty"));
        let number = |name: &str| part(name).map_or(Ok(None), |bound| bound.number(&row));
        let time = |name: &str| part(name).map_or(Ok(None), |bound| bound.time(&row));
        let mut attributes = Attributes::new();
        for (name, kind, bound) in &self.attributes {
            let value = bound.value(&row, *kind).map_err(|reason| format!("`{name}`: {reason}"))?;
            if value.is_some() {
                attributes.insert((*name).to_owned(), value);
            }
        }
        Ok(match self.event {
            RowKind::Item => Event::Item(ItemEvent { id: required("item")?, ts: time("ts")?.unwrap_or(0), attributes }),
            RowKind::User => Event::User(UserEvent { id: required("user")?, ts: time("ts")?.unwrap_or(0), attributes }),
            RowKind::Interaction => Event::Interaction(InteractionEvent {
                id: text("id")?.unwrap_or_else(|| format!("{}:{line}", self.name)),
                ts: time("ts")?.ok_or("`ts` is empty")?,
                offset_min: number("offset_min")?.map(whole_minutes).transpose()?,
                user: required("user")?,
                item: required("item")?,
                action: required("action")?,
                surface: text("surface")?,
                request: text("request")?,
                dwell_ms: number("dwell_ms")?,
                completion: number("completion")?,
            }),
        })
    }
}

impl Columns {
    fn parts(&self) -> [(&'static str, Option<&Mapped>); 10] {
        [
            ("id", self.id.as_ref()),
            ("user", self.user.as_ref()),
            ("item", self.item.as_ref()),
            ("ts", self.ts.as_ref()),
            ("action", self.action.as_ref()),
            ("surface", self.surface.as_ref()),
            ("request", self.request.as_ref()),
            ("offset_min", self.offset_min.as_ref()),
            ("dwell_ms", self.dwell_ms.as_ref()),
            ("completion", self.completion.as_ref()),
        ]
    }
}

impl RowKind {
    fn name(self) -> &'static str {
        match self {
            RowKind::Interaction => "interactions",
            RowKind::Item => "items",
            RowKind::User => "users",
        }
    }

    fn has(self, part: &str) -> bool {
        match self {
            RowKind::Interaction => true,
            RowKind::Item => matches!(part, "item" | "ts"),
            RowKind::User => matches!(part, "user" | "ts"),
        }
    }

    fn needs(self, part: &str) -> bool {
        match self {
            RowKind::Interaction => matches!(part, "user" | "item" | "ts" | "action"),
            RowKind::Item => part == "item",
            RowKind::User => part == "user",
        }
    }
}

fn whole_minutes(x: f64) -> Result<i16, String> {
    let minutes = x as i16;
    if f64::from(minutes) == x { Ok(minutes) } else { Err(format!("`offset_min` is {x}, expected whole minutes")) }
}

fn comma() -> char {
    ','
}
