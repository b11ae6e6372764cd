//! The DATA folder: raw events, and in simulated worlds the true relevance of what was asked for.
//!
//! `events.parquet` has a row an event of any kind, in time order (ties in input order); `relevance.parquet` is optional;
//! `data.json` says what is in it and how it was made, and carries the SHA-256 of `events.parquet`, which names the data.
//! Attributes are kept as they were sent; what reads them checks them against its own schema.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::event::Event;

use super::raw_requests::Answers;
use super::shard::Shard;

pub(crate) mod columns;

/// Version of the folder's format.
pub const FORMAT: u32 = 1;
/// The events' file.
pub const EVENTS: &str = "events.parquet";
/// The relevance's file.
pub const RELEVANCE: &str = "relevance.parquet";
/// The description's file.
pub const DESCRIPTION: &str = "data.json";

const ROWS_PER_BATCH: usize = 65_536;

/// A DATA folder in memory.
#[derive(Clone, Debug)]
pub struct Data {
    /// Every event, in time order; ties in input order.
    pub events: Vec<Event>,
    /// True relevance; empty outside simulated worlds.
    pub relevance: Vec<Relevance>,
    /// SHA-256 of the events' file; of the events' digests as JSON where they were read from elsewhere.
    pub digest: Digest,
    /// How requests were answered, where edges logged them.
    pub answers: Option<Answers>,
    /// Where its files are; nowhere where edges logged the events.
    folder: Option<PathBuf>,
}

/// How relevant an item truly is to a request; only a simulator knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Relevance {
    /// The request.
    pub request: String,
    /// The item.
    pub item: String,
    /// Higher is better; the scale is the simulator's.
    pub relevance: f64,
}

/// What a DATA folder holds: the contents of `data.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of the folder's format.
    pub format: u32,
    /// Events by kind.
    pub counts: Counts,
    /// The earliest request, impression or interaction, milliseconds since the epoch; items and users may be older.
    pub first_ts: Option<i64>,
    /// The latest request, impression or interaction.
    pub last_ts: Option<i64>,
    /// SHA-256 of the events' file.
    pub digest: Digest,
    /// How it was made.
    pub about: serde_json::Value,
}

/// Events by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Item events.
    pub items: u64,
    /// User events.
    pub users: u64,
    /// Requests.
    pub requests: u64,
    /// Impressions.
    pub impressions: u64,
    /// Interactions.
    pub interactions: u64,
    /// Rows of true relevance.
    pub relevance: u64,
}

/// Why a DATA folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file cannot be read or written.
    #[error("{path}: {source}; a DATA folder is what `trainer import` and `trainer simulate` write")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Parquet refuses it.
    #[error("{path}: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// Not what this version writes.
    #[error("{path}: {reason}; import or simulate again")]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The events are not those that the description names.
    #[error("{path} was altered or cut: its digest is {got}, {DESCRIPTION} says {expected}; import or simulate again")]
    Digest {
        /// The file.
        path: PathBuf,
        /// What it is.
        got: Digest,
        /// What it should be.
        expected: Digest,
    },
    /// The folder holds something else.
    #[error("{path} is not empty and no DATA folder; pass an empty or new folder with --out")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Events out of order.
    #[error("an event of {got} came after one of {after}; push events in time order")]
    Order {
        /// Its time.
        got: i64,
        /// The time before.
        after: i64,
    },
}

/// Writes a DATA folder; nothing has its final name before [`Writer::finish`].
pub struct Writer {
    folder: PathBuf,
    made_folder: bool,
    events: Part,
    relevance: Option<Part>,
    waiting: Vec<Event>,
    waiting_relevance: Vec<Relevance>,
    counts: Counts,
    last: Option<i64>,
    range: Option<(i64, i64)>,
}

/// One Parquet file under a temporary name; removed where it is dropped unfinished.
struct Part {
    temporary: PathBuf,
    path: PathBuf,
    parquet: Option<ArrowWriter<File>>,
}

impl Data {
    /// Reads a whole DATA folder, and checks the events against their digest.
    ///
    /// # Errors
    /// A folder that is not readable, of another version, or altered.
    pub fn open(folder: &Path) -> Result<Data, DataError> {
        let summary = Summary::read(folder)?;
        let path = folder.join(EVENTS);
        let got = digest(&path)?;
        if got != summary.digest {
            return Err(DataError::Digest { path, got, expected: summary.digest });
        }
        let mut events = Vec::new();
        let format = |reason| DataError::Format { path: path.clone(), reason };
        for batch in batches(&path)? {
            for event in columns::decode(&batch?).map_err(format)? {
                events.push(event.map_err(format)?);
            }
        }
        let mut relevance = Vec::new();
        let path = folder.join(RELEVANCE);
        if summary.counts.relevance > 0 {
            for batch in batches(&path)? {
                columns::decode_relevance(&batch?, &mut relevance)
                    .map_err(|reason| DataError::Format { path: path.clone(), reason })?;
            }
        }
        Ok(Data { events, relevance, digest: summary.digest, answers: None, folder: Some(folder.to_owned()) })
    }

    /// What edges logged, in time order.
    pub(super) fn of(events: Vec<Event>, answers: Answers) -> Data {
        let told = events.iter().flat_map(|event| {
            let json = serde_json::to_vec(event).expect("events are plain data with string keys");
            *Digest::of(&json).as_bytes()
        });
        let digest = Digest::of(&told.collect::<Vec<u8>>());
        Data { events, relevance: Vec::new(), digest, answers: Some(answers), folder: None }
    }

    /// Copies the folder's files into another folder, such as the LOG folder that they label: of users, requests,
    /// impressions and interactions those of a shard.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn copy_to(&self, folder: &Path, shard: Shard) -> Result<(), DataError> {
        let io = |source| DataError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io)?;
        if let Some(own) = self.folder.as_ref().filter(|_| shard.is_whole()) {
            return copy(own, folder);
        }
        let aside = tempfile::tempdir_in(folder).map_err(io)?;
        self.write_shard(shard, aside.path())?;
        copy(aside.path(), folder)
    }

    /// Writes a DATA folder of what a shard's users asked for, saw and did, and of all items.
    fn write_shard(&self, shard: Shard, folder: &Path) -> Result<(), DataError> {
        let of = |event: &Event| match event {
            Event::Request(request) => shard.has(&request.user).then(|| request.id.clone()),
            _ => None,
        };
        let requests: HashSet<String> = self.events.iter().filter_map(of).collect();
        let mut writer = Writer::create(folder)?;
        for event in &self.events {
            let is_in = match event {
                Event::Item(_) => true,
                Event::User(user) => shard.has(&user.id),
                Event::Request(request) => requests.contains(&request.id),
                Event::Impression(impression) => requests.contains(&impression.request),
                Event::Interaction(interaction) => shard.has(&interaction.user),
            };
            if is_in {
                writer.push(event.clone())?;
            }
        }
        for row in self.relevance.iter().filter(|row| requests.contains(&row.request)) {
            writer.push_relevance(row.clone())?;
        }
        writer.finish(serde_json::json!({ "shard": shard.to_string(), "of": self.digest }))?;
        Ok(())
    }
}

/// Copies the files of a DATA folder; each is whole under its name.
fn copy(from: &Path, to: &Path) -> Result<(), DataError> {
    for name in [EVENTS, RELEVANCE, DESCRIPTION].into_iter().filter(|name| from.join(name).exists()) {
        let (path, temporary) = (to.join(name), to.join(format!("{name}.partial")));
        fs::copy(from.join(name), &temporary)
            .and_then(|_| fs::rename(&temporary, &path))
            .map_err(|source| DataError::Io { path, source })?;
    }
    Ok(())
}

impl Summary {
    /// Reads the description of a DATA folder without its events.
    ///
    /// # Errors
    /// No description, or one of another version.
    pub fn read(folder: &Path) -> Result<Summary, DataError> {
        let path = folder.join(DESCRIPTION);
        let bytes = fs::read(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
        let format = |reason: String| DataError::Format { path: path.clone(), reason };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| format(e.to_string()))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(FORMAT) => {}
            Some(version) => return Err(format(format!("format {version}, this build reads format {FORMAT}"))),
            None => return Err(format("this describes no DATA folder".into())),
        }
        serde_json::from_value(value).map_err(|e| format(e.to_string()))
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { items, users, requests, impressions, interactions, .. } = self.counts;
        writeln!(f, "{requests} requests, {impressions} impressions and {interactions} interactions")?;
        if let (Some(first), Some(last)) = (self.first_ts, self.last_ts) {
            let days = last.saturating_sub(first) as f64 / 86_400_000.0;
            writeln!(f, "over {days:.1} days, from {first} to {last} (milliseconds since the epoch)")?;
        }
        writeln!(f, "{items} events of items, {users} of users")?;
        write!(f, "digest {}", self.digest)
    }
}

impl Writer {
    /// Starts a DATA folder; an older DATA folder in this place is replaced when the new one is finished.
    ///
    /// # Errors
    /// A folder that holds something else, or cannot be written.
    pub fn create(folder: &Path) -> Result<Writer, DataError> {
        let io = |source| DataError::Io { path: folder.to_owned(), source };
        let made_folder = !folder.exists();
        fs::create_dir_all(folder).map_err(io)?;
        let empty = fs::read_dir(folder).map_err(io)?.next().is_none();
        if !empty && Summary::read(folder).is_err() {
            return Err(DataError::Occupied { path: folder.to_owned() });
        }
        let events = Part::create(folder, EVENTS, &columns::encode(&[]))?;
        Ok(Writer {
            folder: folder.to_owned(),
            made_folder,
            events,
            relevance: None,
            waiting: Vec::new(),
            waiting_relevance: Vec::new(),
            counts: Counts::default(),
            last: None,
            range: None,
        })
    }

    /// Adds an event.
    ///
    /// # Errors
    /// An event that is earlier than the one before it, or a disk that is full.
    pub fn push(&mut self, event: Event) -> Result<(), DataError> {
        let ts = event.ts();
        if let Some(after) = self.last.filter(|after| ts < *after) {
            return Err(DataError::Order { got: ts, after });
        }
        self.last = Some(ts);
        if !matches!(event, Event::Item(_) | Event::User(_)) {
            self.range = Some((self.range.map_or(ts, |(first, _)| first), ts));
        }
        match &event {
            Event::Item(_) => self.counts.items += 1,
            Event::User(_) => self.counts.users += 1,
            Event::Request(_) => self.counts.requests += 1,
            Event::Impression(_) => self.counts.impressions += 1,
            Event::Interaction(_) => self.counts.interactions += 1,
        }
        self.waiting.push(event);
        if self.waiting.len() == ROWS_PER_BATCH {
            self.events.write(&columns::encode(&self.waiting))?;
            self.waiting.clear();
        }
        Ok(())
    }

    /// Adds a row of true relevance, in any order.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn push_relevance(&mut self, relevance: Relevance) -> Result<(), DataError> {
        self.counts.relevance += 1;
        self.waiting_relevance.push(relevance);
        if self.waiting_relevance.len() == ROWS_PER_BATCH { self.flush_relevance() } else { Ok(()) }
    }

    /// Closes the files and gives them their names; `about` says how the data was made.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(mut self, about: serde_json::Value) -> Result<Summary, DataError> {
        self.events.write(&columns::encode(&self.waiting))?;
        self.flush_relevance()?;
        let digest = self.events.close()?;
        let summary = Summary {
            format: FORMAT,
            counts: self.counts,
            first_ts: self.range.map(|(first, _)| first),
            last_ts: self.range.map(|(_, last)| last),
            digest,
            about,
        };
        // A crash from here on leaves a description that does not fit, which opening refuses.
        self.events.publish()?;
        match &mut self.relevance {
            Some(part) => {
                part.close()?;
                part.publish()?;
            }
            None => drop(fs::remove_file(self.folder.join(RELEVANCE))),
        }
        let path = self.folder.join(DESCRIPTION);
        let temporary = self.folder.join(format!("{DESCRIPTION}.partial"));
        let mut text = serde_json::to_string_pretty(&summary).expect("a summary is plain data");
        text.push('\n');
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|source| DataError::Io { path, source })?;
        self.made_folder = false;
        Ok(summary)
    }

    fn flush_relevance(&mut self) -> Result<(), DataError> {
        if self.waiting_relevance.is_empty() {
            return Ok(());
        }
        let batch = columns::encode_relevance(&self.waiting_relevance);
        self.waiting_relevance.clear();
        let part = match self.relevance.take() {
            Some(part) => part,
            None => Part::create(&self.folder, RELEVANCE, &batch)?,
        };
        self.relevance.insert(part).write(&batch)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.made_folder {
            self.events.discard();
            self.relevance.iter_mut().for_each(Part::discard);
            // Refused where someone else has put something in it, which is right.
            drop(fs::remove_dir(&self.folder));
        }
    }
}

impl Part {
    fn create(folder: &Path, name: &str, like: &RecordBatch) -> Result<Part, DataError> {
        let temporary = folder.join(format!("{name}.partial"));
        let file = File::create(&temporary).map_err(|source| DataError::Io { path: temporary.clone(), source })?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let parquet = ArrowWriter::try_new(file, like.schema(), Some(properties))
            .map_err(|source| DataError::Parquet { path: temporary.clone(), source })?;
        Ok(Part { path: folder.join(name), temporary, parquet: Some(parquet) })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), DataError> {
        let Some(parquet) = &mut self.parquet else { return Ok(()) };
        parquet.write(batch).map_err(|source| DataError::Parquet { path: self.temporary.clone(), source })
    }

    /// Writes the footer; the digest of the file.
    fn close(&mut self) -> Result<Digest, DataError> {
        if let Some(parquet) = self.parquet.take() {
            parquet.close().map_err(|source| DataError::Parquet { path: self.temporary.clone(), source })?;
        }
        digest(&self.temporary)
    }

    fn publish(&self) -> Result<(), DataError> {
        fs::rename(&self.temporary, &self.path).map_err(|source| DataError::Io { path: self.path.clone(), source })
    }

    fn discard(&mut self) {
        drop(self.parquet.take());
        drop(fs::remove_file(&self.temporary));
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.discard();
    }
}

/// The batches of a Parquet file.
pub(super) fn batches(path: &Path) -> Result<impl Iterator<Item = Result<RecordBatch, DataError>>, DataError> {
    let name = path.to_owned();
    let parquet_error = move |source| DataError::Parquet { path: name.clone(), source };
    let file = File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&parquet_error)?;
    let reader = builder.with_batch_size(ROWS_PER_BATCH).build().map_err(&parquet_error)?;
    Ok(reader.map(move |batch| batch.map_err(|e| parquet_error(e.into()))))
}

fn digest(path: &Path) -> Result<Digest, DataError> {
    fs::read(path).map(|bytes| Digest::of(&bytes)).map_err(|source| DataError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
