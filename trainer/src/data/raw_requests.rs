//! Requests that edges kept as they came, with the snapshot that each was answered with: what replays live traffic.
//!
//! A later spec's features are so read as an edge would have read them. Histories are made of all interactions that are
//! there now; the few that came to the edge after the request that follows them are in a replay and were not in the
//! row, which a replay counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use edge_runtime::spool;
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;
use shared_features::event::{Event, RequestEvent};
use shared_features::feature_log::Record;
use shared_features::schema::Field;
use shared_features::tables::StatisticDef;

use super::collected::{self, CollectedError, event_key};
use super::edge_log::{self, EdgeLogError};
use super::replay::OTHER_TABLES;
use super::store::Data;
use super::warehouse::{Day, Warehouse};

/// How requests were answered.
#[derive(Clone, Debug)]
pub struct Answers {
    by_request: BTreeMap<String, Answer>,
    /// What the snapshots have: fields of items and statistics, by name.
    held: Vec<Held>,
    place: Place,
}

/// What snapshots for an encoder have.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    items: Vec<Field>,
    statistics: Vec<StatisticDef>,
}

/// How one request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who asked.
    pub user: String,
    /// When.
    pub ts: i64,
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
    /// Snapshots that have something else.
    #[error(
        "the snapshots of edges have the statistics and fields of items: {held}; the spec has: {asked}; {OTHER_TABLES}"
    )]
    Held {
        /// What they have.
        held: String,
        /// What is asked for.
        asked: String,
    },
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
    let (events, answers) = match collected::store_at(place) {
        Some(location) => collected::block_on(of_store(&location, surface))?,
        None => of_state(place, surface)?,
    };
    if !events.iter().any(|e| matches!(e, Event::Request(_))) {
        let place = place.display().to_string();
        return Err(RawRequestsError::None { place, surface: surface.to_owned() });
    }
    Ok(Data::of(events, answers))
}

impl Answers {
    fn new(place: Place) -> Answers {
        Answers { by_request: BTreeMap::new(), held: Vec::new(), place }
    }

    /// How a request was answered; `None` where its rows are not there, or are of another user or time.
    pub fn of(&self, request: &RequestEvent) -> Option<&Answer> {
        self.by_request.get(&request.id).filter(|answer| answer.user == request.user && answer.ts == request.ts)
    }

    /// How a replayed request was answered.
    pub fn of_record(&self, replayed: &Record) -> Option<&Answer> {
        self.by_request.get(&replayed.request)
    }

    /// Whether the features of an encoder can be read with the snapshots. A statistic of the same name is taken to
    /// count the same.
    ///
    /// # Errors
    /// Other statistics or fields of items.
    pub fn check(&self, encoder: &Encoder) -> Result<(), RawRequestsError> {
        let asked = Held::by(encoder);
        match self.held.iter().find(|held| **held != asked) {
            None => Ok(()),
            Some(held) => Err(RawRequestsError::Held { held: held.to_string(), asked: asked.to_string() }),
        }
    }

    /// Adds the rows of a request, but where others of it were there before.
    fn add(&mut self, record: &Record) {
        self.by_request.entry(record.request.clone()).or_insert_with(|| Answer {
            user: record.user.clone(),
            ts: record.ts,
            tables: record.tables,
            history_length: record.history_length,
            history_entries: record.rows.history_entries,
        });
    }

    fn add_encoder(&mut self, encoder: &Encoder) {
        let held = Held::by(encoder);
        if !self.held.contains(&held) {
            self.held.push(held);
        }
    }

    /// Reads snapshots, one after the other, and gives each, or why it cannot be read, to `take`, until that says no.
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

impl Held {
    fn by(encoder: &Encoder) -> Held {
        Held { items: encoder.schema.item.clone(), statistics: encoder.statistics.clone() }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.items.iter().map(|i| i.name.as_str()).chain(self.statistics.iter().map(|s| s.name.as_str()));
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

impl Answer {
    /// Whether a replay of the request saw other interactions than the edge.
    pub fn differs(&self, replayed: &Record) -> bool {
        let entries = replayed.rows.history_entries;
        self.history_entries.min(replayed.history_length) != entries.min(self.history_length)
    }
}

type Found = (Vec<Event>, Answers);

fn of_state(folder: &Path, surface: &str) -> Result<Found, EdgeLogError> {
    let contents = spool::read(&folder.join("spool"))?;
    let (mut answers, mut encoders) = (Answers::new(Place::State(folder.to_owned())), BTreeSet::new());
    for record in contents.records.iter().filter(|r| r.surface == surface) {
        answers.add(record);
        if encoders.insert(record.encoder) {
            answers.add_encoder(&edge_log::encoder(folder, record.encoder)?);
        }
    }
    let mut events: Vec<Event> = contents.requests.into_iter().map(Event::Request).collect();
    events.extend(contents.impressions.into_iter().map(Event::Impression));
    events.extend(contents.interactions.into_iter().map(Event::Interaction));
    Ok((in_order(events, surface), answers))
}

async fn of_store(location: &str, surface: &str) -> Result<Found, CollectedError> {
    let store = Warehouse::open(location).await?;
    let mut answers = Answers::new(Place::Store(location.to_owned()));
    for file in store.rows(surface, Day::ALL) {
        let log = store.read_rows(file).await?;
        answers.add_encoder(&log.encoder);
        log.records.iter().for_each(|record| answers.add(record));
    }
    let (mut events, mut seen) = (Vec::new(), BTreeSet::new());
    for file in store.events(Day::ALL) {
        let mut read = store.read_events(file).await?;
        read.retain(|e| is_wanted(e, surface));
        let new = |e: &Event| event_key(e).is_some_and(|(kind, id)| seen.insert((kind, id.to_owned())));
        events.extend(read.into_iter().filter(new));
    }
    Ok((in_order(events, surface), answers))
}

fn is_wanted(event: &Event, surface: &str) -> bool {
    !matches!(event, Event::Request(request) if request.surface != surface)
}

/// The events in time order, of requests those of a surface.
fn in_order(mut events: Vec<Event>, surface: &str) -> Vec<Event> {
    events.retain(|e| is_wanted(e, surface));
    events.sort_by_key(Event::ts);
    events
}
