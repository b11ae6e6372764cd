//! Requests that edges kept as they came, with the snapshot that each was answered with: what replays live traffic.
//!
//! A later spec's features are so read as an edge would have read them. Histories are made of all interactions that are
//! there now; the few that came to the edge after the request that follows them are in a replay and were not in the
//! row, which a replay counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use edge_runtime::spool;
use shared_features::digest::Digest;
use shared_features::event::Event;
use shared_features::feature_log::Record;

use super::collected::{self, CollectedError, event_key};
use super::edge_log::{self, EdgeLogError};
use super::store::Data;
use super::warehouse::{self, Day, Warehouse, WarehouseError};

/// How requests were answered.
#[derive(Clone, Debug)]
pub struct Answers {
    by_request: BTreeMap<String, Answer>,
    place: Place,
}

/// How one request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The snapshot.
    pub tables: Digest,
    /// How many interactions features could see, at most.
    pub history_length: u32,
    /// How many they saw.
    pub history_entries: u32,
}

/// Where snapshots are.
#[derive(Clone, Debug)]
enum Place {
    /// The state folder of an edge.
    State(PathBuf),
    /// A collected store.
    Store(String),
}

/// Why there is nothing to replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawRequestsError {
    /// The state folder of an edge.
    #[error(transparent)]
    Edge(#[from] EdgeLogError),
    /// A collected store.
    #[error(transparent)]
    Collected(#[from] CollectedError),
    /// No request was kept.
    #[error(
        "{place} has no request of surface `{surface}` as it came; set `requests_share` in the [log] of its spec, \
         then train and publish: edges keep that share from then on"
    )]
    None {
        /// The folder or store.
        place: String,
        /// The surface.
        surface: String,
    },
}

/// Whether a place holds what edges logged: a state folder or a collected store.
pub fn is_logged(place: &Path) -> bool {
    edge_log::is_state(place) || collected::store_at(place).is_some()
}

/// Reads the raw requests of a surface, and all impressions and interactions, from a state folder or a collected store.
///
/// # Errors
/// A place that cannot be read, or without such a request.
pub fn read(place: &Path, surface: &str) -> Result<Data, RawRequestsError> {
    let (events, by_request, at) = match collected::store_at(place) {
        Some(location) => {
            let (events, answers) = collected::block_on(of_store(&location, surface))?;
            (events, answers, Place::Store(location))
        }
        None => {
            let (events, answers) = of_state(place, surface)?;
            (events, answers, Place::State(place.to_owned()))
        }
    };
    if !events.iter().any(|e| matches!(e, Event::Request(_))) {
        let place = place.display().to_string();
        return Err(RawRequestsError::None { place, surface: surface.to_owned() });
    }
    Ok(Data::of(events, Answers { by_request, place: at }))
}

impl Answers {
    /// How a request was answered; `None` where its row is not there.
    pub fn of(&self, request: &str) -> Option<Answer> {
        self.by_request.get(request).copied()
    }

    /// Reads snapshots, one after the other, each when it is asked for.
    ///
    /// # Errors
    /// A place that cannot be read.
    pub fn tables(
        &self,
        wanted: impl Iterator<Item = Digest>,
        mut take: impl FnMut(Result<Vec<u8>, RawRequestsError>) -> bool,
    ) {
        match &self.place {
            Place::State(folder) => {
                for digest in wanted {
                    if !take(edge_log::blob(folder, digest).map_err(RawRequestsError::from)) {
                        return;
                    }
                }
            }
            Place::Store(location) => {
                let read = collected::block_on(async {
                    let store = Warehouse::open(location).await?;
                    for digest in wanted {
                        if !take(Ok(store.tables(digest).await?)) {
                            break;
                        }
                    }
                    Ok(())
                });
                if let Err(error) = read {
                    take(Err(error.into()));
                }
            }
        }
    }
}

impl Answer {
    fn of(record: &Record) -> Answer {
        Answer {
            tables: record.tables,
            history_length: record.history_length,
            history_entries: record.rows.history_entries,
        }
    }

    /// Whether a replay of the request saw other interactions than the edge.
    pub fn differs(&self, replayed: &Record) -> bool {
        let entries = replayed.rows.history_entries;
        self.history_entries.min(replayed.history_length) != entries.min(self.history_length)
    }
}

type Found = (Vec<Event>, BTreeMap<String, Answer>);

fn of_state(folder: &Path, surface: &str) -> Result<Found, EdgeLogError> {
    let contents = spool::read(&folder.join("spool"))?;
    let answers = contents.records.iter().filter(|r| r.surface == surface);
    let answers = answers.map(|r| (r.request.clone(), Answer::of(r))).collect();
    let mut events: Vec<Event> = contents.requests.into_iter().map(Event::Request).collect();
    events.extend(contents.impressions.into_iter().map(Event::Impression));
    events.extend(contents.interactions.into_iter().map(Event::Interaction));
    Ok((in_order(events, surface), answers))
}

async fn of_store(location: &str, surface: &str) -> Result<Found, CollectedError> {
    let store = Warehouse::open(location).await?;
    let mut answers = BTreeMap::new();
    for file in store.rows(surface, Day::ALL) {
        read_answers(&store, file, &mut answers).await?;
    }
    let (mut events, mut seen) = (Vec::new(), BTreeSet::new());
    for file in store.events(Day::ALL) {
        let read = store.read_events(file).await?;
        let new = |e: &Event| event_key(e).is_some_and(|(kind, id)| seen.insert((kind, id.to_owned())));
        events.extend(read.into_iter().filter(new));
    }
    Ok((in_order(events, surface), answers))
}

/// How the requests of a file were answered.
async fn read_answers(
    store: &Warehouse,
    file: &warehouse::Entry,
    answers: &mut BTreeMap<String, Answer>,
) -> Result<(), WarehouseError> {
    let columns = ["request", "tables", "history_length", "history_entries"];
    for batch in store.batches(file, &columns).await? {
        let text = |name| batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        let count = |name| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<UInt32Type>());
        let of_rows = || Some((text("request")?, text("tables")?, count("history_length")?, count("history_entries")?));
        let refuse = |reason: &str| WarehouseError::Events { object: file.path.clone(), reason: reason.to_owned() };
        let (request, tables, length, entries) = of_rows().ok_or_else(|| refuse("these are no rows of an edge"))?;
        for k in 0..request.len() {
            if k > 0 && request.value(k) == request.value(k - 1) {
                continue;
            }
            let tables = tables.value(k).parse().map_err(|_| refuse("a snapshot's digest is none"))?;
            let answer = Answer { tables, history_length: length.value(k), history_entries: entries.value(k) };
            answers.insert(request.value(k).to_owned(), answer);
        }
    }
    Ok(())
}

/// The events in time order, of requests those of a surface.
fn in_order(mut events: Vec<Event>, surface: &str) -> Vec<Event> {
    events.retain(|e| !matches!(e, Event::Request(request) if request.surface != surface));
    events.sort_by_key(Event::ts);
    events
}
