//! What edges saw, as the events that table snapshots are made of.
//!
//! A request that was not kept as it came is put together from its rows: who asked, when and for which surface, and the
//! categories of the user and the context that a feature reads as they are. Statistics count by nothing else, but where
//! they count by a field that no feature reads, for which requests have to be kept as they came.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use edge_runtime::spool;
use shared_features::column::Column;
use shared_features::encoder::Encoder;
use shared_features::event::{Attributes, Event, FieldValue, RequestEvent};
use shared_features::feature_log::Record;

use super::collected::{self, CollectedError, event_key};
use super::edge_log::{self, EdgeLogError};
use super::warehouse::{Day, Warehouse};

/// Why what edges saw cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObservedError {
    /// The state folder of an edge.
    #[error(transparent)]
    Edge(#[from] EdgeLogError),
    /// A collected store.
    #[error(transparent)]
    Collected(#[from] CollectedError),
}

/// Requests, impressions and interactions of all surfaces, each once and in time order, from a collected store or the
/// state folder of an edge.
///
/// # Errors
/// A place that cannot be read.
pub fn read(place: &Path) -> Result<Vec<Event>, ObservedError> {
    match collected::store_at(place) {
        Some(location) => Ok(collected::block_on(of_store(&location))?),
        None => Ok(of_state(place)?),
    }
}

/// Puts events into those of a DATA folder, in time order; what both have counts once.
pub fn merge(data: &mut Vec<Event>, observed: Vec<Event>) {
    let known: BTreeSet<(&str, String)> =
        data.iter().filter_map(|e| event_key(e).map(|(kind, id)| (kind, id.to_owned()))).collect();
    let new =
        observed.into_iter().filter(|e| event_key(e).is_none_or(|(kind, id)| !known.contains(&(kind, id.into()))));
    data.extend(new);
    data.sort_by_key(Event::ts);
}

async fn of_store(location: &str) -> Result<Vec<Event>, CollectedError> {
    let store = Warehouse::open(location).await?;
    let mut requests = BTreeMap::new();
    for surface in store.surfaces() {
        for file in store.rows(surface, Day::ALL) {
            let log = store.read_rows(file).await?;
            let told = Told::by(&log.encoder);
            requests.extend(log.records.iter().map(|record| (record.request.clone(), told.request(record))));
        }
    }
    let (mut events, mut seen) = (Vec::new(), BTreeSet::new());
    for file in store.events(Day::ALL) {
        let new = |e: &Event| event_key(e).is_some_and(|(kind, id)| seen.insert((kind, id.to_owned())));
        events.extend(store.read_events(file).await?.into_iter().filter(new));
    }
    Ok(in_order(requests, events))
}

fn of_state(folder: &Path) -> Result<Vec<Event>, EdgeLogError> {
    let contents = spool::read(&folder.join("spool"))?;
    let (mut requests, mut told) = (BTreeMap::new(), BTreeMap::new());
    for record in &contents.records {
        let told = match told.entry(record.encoder) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(Told::by(&edge_log::encoder(folder, record.encoder)?)),
        };
        requests.insert(record.request.clone(), told.request(record));
    }
    let mut events: Vec<Event> = contents.requests.into_iter().map(Event::Request).collect();
    events.extend(contents.impressions.into_iter().map(Event::Impression));
    events.extend(contents.interactions.into_iter().map(Event::Interaction));
    Ok(in_order(requests, events))
}

/// Requests as they came where they were kept, else as their rows tell them; before what follows them at the same time.
fn in_order(mut requests: BTreeMap<String, RequestEvent>, events: Vec<Event>) -> Vec<Event> {
    let mut others = Vec::new();
    for event in events {
        match event {
            Event::Request(request) => {
                // Rows were checked when they came, so a request that says otherwise is not theirs.
                let same = |rows: &RequestEvent| {
                    (rows.ts, &rows.user, &rows.surface) == (request.ts, &request.user, &request.surface)
                };
                if requests.get(&request.id).is_none_or(same) {
                    requests.insert(request.id.clone(), request);
                }
            }
            other => others.push(other),
        }
    }
    let mut all: Vec<Event> = requests.into_values().map(Event::Request).collect();
    all.extend(others);
    all.sort_by_key(Event::ts);
    all
}

/// Which columns of rows tell a field of the user or the context.
struct Told {
    user: Vec<(String, usize)>,
    context: Vec<(String, usize)>,
}

impl Told {
    fn by(encoder: &Encoder) -> Told {
        let mut told = Told { user: Vec::new(), context: Vec::new() };
        for (k, feature) in encoder.features.iter().enumerate() {
            // The field is the source's own; what it says of itself in JSON has it.
            let source = serde_json::to_value(&feature.source).unwrap_or_default();
            let field = source["Field"]["field"].as_str();
            match field.and_then(|field| field.split_once('.')) {
                Some(("user", name)) => told.user.push((name.to_owned(), k)),
                Some(("context", name)) => told.context.push((name.to_owned(), k)),
                _ => {}
            }
        }
        told
    }

    fn request(&self, record: &Record) -> RequestEvent {
        let columns = &record.rows.values.columns;
        let category = |k: usize| match columns.get(k) {
            Some(Column::Category(column)) => column.get(0).map(|value| FieldValue::String(value.to_owned())),
            _ => None,
        };
        let of = |fields: &[(String, usize)]| -> Attributes {
            let known = fields.iter().filter_map(|(name, k)| Some((name.clone(), Some(category(*k)?))));
            known.collect()
        };
        RequestEvent {
            id: record.request.clone(),
            ts: record.ts,
            offset_min: record.offset_min,
            user: record.user.clone(),
            surface: record.surface.clone(),
            attributes: of(&self.user),
            context: of(&self.context),
            candidates: Vec::new(),
            exclude: Vec::new(),
        }
    }
}
