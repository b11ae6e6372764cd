//! What edges uploaded, read for training: a collected store is a LOG folder too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::event::Event;
use shared_features::feature_log::Record;

use super::edge_log::EdgeLog;
use super::warehouse::{Day, Kind, Objects, Warehouse, WarehouseError};

/// Why a store is no log of a surface.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectedError {
    /// The store.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Nothing of this surface.
    #[error("{store} has no rows of surface `{surface}` in these days; it has: {known}")]
    Empty {
        /// The store.
        store: String,
        /// The surface.
        surface: String,
        /// What there is.
        known: String,
    },
    /// A file that cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A runtime that cannot be started.
    #[error("{0}")]
    Runtime(std::io::Error),
}

/// Reads a surface's rows, and all events, of some days: each request and event once.
///
/// Rows whose values the newest encoder's features do not cover are left out.
///
/// # Errors
/// A store that cannot be read, or no rows.
pub async fn read(store: &Warehouse, surface: &str, days: RangeInclusive<Day>) -> Result<EdgeLog, CollectedError> {
    let mut records: Vec<Record> = Vec::new();
    let mut encoders: BTreeMap<Digest, Encoder> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for file in store.rows(surface, days.clone()) {
        let log = store.read_rows(file).await?;
        encoders.extend(log.records.first().map(|r| (r.encoder, log.encoder)));
        records.extend(log.records.into_iter().filter(|r| seen.insert(r.request.clone())));
    }
    let mut events: Vec<Event> = Vec::new();
    let mut seen = BTreeSet::new();
    for file in store.events(days) {
        let read = store.read_events(file).await?;
        let new = |e: &Event| match event_key(e) {
            // Labels are made of rows, whether their request was kept as it came or not.
            None | Some(("request", _)) => false,
            Some((kind, id)) => seen.insert((kind, id.to_owned())),
        };
        events.extend(read.into_iter().filter(new));
    }
    let encoder = |hash| Ok::<_, CollectedError>(encoders.get(&hash).cloned().expect("a file carries its encoder"));
    EdgeLog::of(records, events, encoder)?.ok_or_else(|| CollectedError::Empty {
        store: store.name().to_owned(),
        surface: surface.to_owned(),
        known: store.surfaces().join(", "),
    })
}

/// The snapshot that the newest row was made with.
///
/// # Errors
/// A store that cannot be read.
pub async fn newest_tables(store: &Warehouse, surface: &str) -> Result<Option<Vec<u8>>, CollectedError> {
    let Some(day) = store.rows(surface, Day::ALL).map(|f| f.day).max() else { return Ok(None) };
    let mut newest: Option<(i64, Digest)> = None;
    for file in store.rows(surface, day..=day) {
        let log = store.read_rows(file).await?;
        newest = newest.max(log.records.iter().map(|r| (r.ts, r.tables)).max());
    }
    match newest {
        Some((_, digest)) => Ok(Some(store.tables(digest).await?)),
        None => Ok(None),
    }
}

/// The location of a collected store, where this is one: a folder with commits, or a URL.
pub fn store_at(log: &Path) -> Option<String> {
    url(log).or_else(|| log.to_str().filter(|_| Warehouse::is_store(log))).map(str::to_owned)
}

/// A path as a URL, where it is one.
pub fn url(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains("://"))
}

/// [`read`] of all days, for those who do not wait for other things.
///
/// # Errors
/// See [`read`].
pub fn read_all(location: &str, surface: &str) -> Result<EdgeLog, CollectedError> {
    block_on(async { read(&Warehouse::open(location).await?, surface, Day::ALL).await })
}

/// [`newest_tables`], for those who do not wait for other things.
///
/// # Errors
/// See [`newest_tables`].
pub fn newest_tables_of(location: &str, surface: &str) -> Result<Option<Vec<u8>>, CollectedError> {
    block_on(async { newest_tables(&Warehouse::open(location).await?, surface).await })
}

/// The files of a store as of its last commit, with what they hold.
///
/// # Errors
/// A store that cannot be read.
pub fn files(location: &str) -> Result<Vec<(Kind, String)>, CollectedError> {
    block_on(async {
        let store = Warehouse::open(location).await?;
        Ok(store.files().map(|file| (file.kind, file.path.clone())).collect())
    })
}

/// Copies files of a store into a folder, each under a number, as a store may call them anything; where they are, in
/// order.
///
/// # Errors
/// A store that cannot be read, or a folder that cannot be written.
pub fn copy(location: &str, folder: &Path, files: &[String]) -> Result<Vec<PathBuf>, CollectedError> {
    block_on(async {
        let objects = Objects::open(location).map_err(WarehouseError::from)?;
        let mut copies = Vec::new();
        for (number, file) in files.iter().enumerate() {
            let bytes = objects.get(file, u64::MAX).await.map_err(WarehouseError::from)?;
            let to = folder.join(format!("{number:08}.parquet"));
            std::fs::write(&to, bytes).map_err(|source| CollectedError::Io { path: to.clone(), source })?;
            copies.push(to);
        }
        Ok(copies)
    })
}

/// The files of rows that a path in a collected store stands for, such as `STORE/rows/SURFACE/2026-01-05`, in order of
/// their days; `None` where it is in no store. Other files may lie beside them, such as those that were compacted.
///
/// # Errors
/// A store that cannot be read.
pub fn rows_below(path: &Path) -> Result<Option<Vec<PathBuf>>, CollectedError> {
    let is_rows =
        |store: &Path| path.strip_prefix(store).is_ok_and(|p| p.as_os_str().is_empty() || p.starts_with(ROWS));
    let Some(store) = path.ancestors().find(|store| Warehouse::is_store(store) && is_rows(store)) else {
        return Ok(None);
    };
    let location = if store.as_os_str().is_empty() { Path::new(".") } else { store };
    let below = path.strip_prefix(store).unwrap_or(Path::new(""));
    let opened = block_on(async { Ok(Warehouse::open(&location.to_string_lossy()).await?) })?;
    Ok(Some(rows_of(&opened, below).into_iter().map(|path| store.join(path)).collect()))
}

/// [`rows_below`] of a store with a URL, copied into a folder; none where there is no store.
///
/// # Errors
/// A store that cannot be read, or a folder that cannot be written.
pub fn copy_rows_below(url: &str, folder: &Path) -> Result<Vec<PathBuf>, CollectedError> {
    let mut refused = None;
    for (location, below) in places(url) {
        match block_on(async { Ok(Warehouse::open(location).await?) }) {
            Ok(store) if store.sequence() > 0 => return copy(location, folder, &rows_of(&store, Path::new(below))),
            Ok(_) => {}
            // Who may read a store need not be able to read what it is in.
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(Vec::new()), Err)
}

/// The stores that a URL may be in, and where, the innermost first: `rows` may be the name of a store's own folder, too,
/// but not of its host or bucket.
fn places(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let url = url.trim_end_matches('/');
    let host = url.find("://").map_or(0, |at| at + "://".len());
    let slashes = url.rmatch_indices('/').map(|(at, _)| at).filter(move |&at| at > host);
    let inside = slashes.map(|at| (&url[..at], &url[at + 1..]));
    inside.filter(|(_, below)| below.split('/').next() == Some(ROWS)).chain([(url, "")])
}

/// The place of rows in a store.
const ROWS: &str = "rows";

/// Files of rows below a place in a store, in the order of their names, which is that of their days.
fn rows_of(store: &Warehouse, below: &Path) -> Vec<String> {
    let rows = store.files().filter(|file| file.kind == Kind::Rows && Path::new(&file.path).starts_with(below));
    let mut rows: Vec<String> = rows.map(|file| file.path.clone()).collect();
    rows.sort();
    rows
}

pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CollectedError>>) -> Result<T, CollectedError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CollectedError::Runtime)?.block_on(work)
}

/// What an event is counted once by: its kind and its id. `None` for kinds that edges do not log.
pub(crate) fn event_key(event: &Event) -> Option<(&'static str, &str)> {
    match event {
        Event::Impression(e) => Some(("impression", &e.id)),
        Event::Interaction(e) => Some(("interaction", &e.id)),
        Event::Request(e) => Some(("request", &e.id)),
        Event::Item(_) | Event::User(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_begins_before_its_rows() {
        let places = |url| places(url).collect::<Vec<_>>();
        assert_eq!(places("s3://rows"), [("s3://rows", "")]);
        assert_eq!(places("s3://rows/rows/"), [("s3://rows", "rows"), ("s3://rows/rows", "")]);
        let url = "s3://bucket/rows/store/rows/podcasts/2026-01-05";
        let expected = [
            ("s3://bucket/rows/store", "rows/podcasts/2026-01-05"),
            ("s3://bucket", "rows/store/rows/podcasts/2026-01-05"),
            (url, ""),
        ];
        assert_eq!(places(url), expected);
        assert_eq!(places("s3://bucket/rowspace/a"), [("s3://bucket/rowspace/a", "")]);
    }
}
