//! Replay: raw events driven through the engine, in time order, as edges would have been.
//!
//! Table snapshots are made one after the other, each is answered by user, many requests in one guest call, and what
//! was answered is written; the three go on at the same time, some snapshots ahead of each other.
//! What edges logged is answered with the snapshots that it was answered with, and no snapshot is made.
//! With an unfitted encoder it writes values; with a bundle, vectors, scores and digests too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use edge_runtime::host::{Guest, Host, HostError, Limits};
use foldhash::{HashMap, HashMapExt};
use rayon::prelude::*;
use shared_features::digest::Digest;
use shared_features::encoder::{Encoder, EncoderError};
use shared_features::event::{Event, InteractionEvent, RequestEvent};
use shared_features::feature_log::Record;
use shared_features::history::{Entry, History, HistoryView};
use shared_features::numeric::MISSING;
use shared_features::rank::{LogRows, UNRANKED};
use shared_features::request::Request;
use shared_features::schema::SchemaError;
use shared_features::spec::FeatureSpec;
use shared_features::tables::{Tables, TablesError};
use shared_features::wire::{Call, Extracted, Load};

use crate::data::feature_log::{FeatureLogError, Writer};
use crate::data::raw_requests::{Answers, RawRequestsError};
use crate::data::shard::Shard;
use crate::data::store::{Data, DataError};
use crate::data::tables::{SnapshotError, Snapshots};

mod work;

use work::{Pending, SNAPSHOTS_AT_ONCE, Wanted, Work, neighbours, pending};

/// What to do about features that edges' snapshots do not have.
pub(super) const OTHER_TABLES: &str = "what edges logged can be replayed with other features, not with other statistics \
     or fields of items: for those replay a DATA folder";
/// Most requests in one guest call.
const REQUESTS_PER_CALL: usize = 64;
/// What answers the requests.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Engine bytes.
    pub engine: Vec<u8>,
    /// Encoder bytes.
    pub encoder: Vec<u8>,
    /// Policy bytes.
    pub policy: Vec<u8>,
    /// Model bytes; empty for values only.
    pub model: Vec<u8>,
    /// The bundle, where it is one.
    pub bundle: Option<Digest>,
    /// The channel's salt; keys exploration.
    pub salt: String,
    /// The channel's arm.
    pub arm: String,
    /// The arm's weight.
    pub weight: u32,
}

impl Subject {
    /// This build's engine with the spec's features, not fitted: it reads values only.
    pub fn of_spec(spec: &FeatureSpec) -> Subject {
        Subject {
            engine: crate::ENGINE.to_vec(),
            encoder: spec.unfitted.to_bytes(),
            policy: spec.policy.to_bytes(),
            model: Vec::new(),
            bundle: None,
            salt: String::new(),
            arm: String::new(),
            weight: 0,
        }
    }
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Requests of the surface.
    pub requests: u64,
    /// Logged rows.
    pub rows: u64,
    /// Requests without a candidate, which leave no row.
    pub requests_without_candidates: u64,
    /// Snapshots that requests used.
    pub snapshots: u64,
    /// Interactions in all histories.
    pub interactions: u64,
    /// Of what edges logged: requests without a row, which are left out.
    pub requests_without_answer: u64,
    /// Of what edges logged: requests whose user has more or fewer interactions before it now than the edge had then.
    pub requests_with_other_history: u64,
}

/// Why a replay stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The DATA folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The LOG folder.
    #[error(transparent)]
    Log(#[from] FeatureLogError),
    /// The encoder.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The engine.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The tables.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What edges logged.
    #[error(transparent)]
    Raw(#[from] RawRequestsError),
    /// Requests without rows.
    #[error("none of the {requests} requests that were kept as they came has its rows here; look into the quarantine")]
    NoAnswers {
        /// How many there are.
        requests: u64,
    },
    /// A snapshot of an edge with which the spec's features cannot be read.
    #[error("snapshot {digest} of an edge: {source}; {OTHER_TABLES}")]
    Tables {
        /// Which.
        digest: Digest,
        /// Why.
        source: TablesError,
    },
    /// A request does not fit the schema.
    #[error("request `{request}`: {source}; declare the field in the spec's [schema], or correct the data")]
    Request {
        /// Which.
        request: String,
        /// Why.
        source: SchemaError,
    },
    /// Nothing to do.
    #[error("the data has no request for surface `{surface}`; it has requests for: {known}")]
    NoRequests {
        /// The spec's surface.
        surface: String,
        /// What there is.
        known: String,
    },
    /// A file of the LOG folder.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Replays the requests of the spec's surface into a LOG folder, those of the users of a shard.
///
/// Tables are made of the events of all users; where edges logged the requests they are those of the answers,
/// and requests without an answer are left out. The LOG folder gets the events that a shard's rows are labelled with.
///
/// # Errors
/// Data, engine or folder errors; nothing is left under the final name then.
pub fn replay(
    data: &Data,
    spec: &FeatureSpec,
    subject: &Subject,
    shard: Shard,
    folder: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Summary, ReplayError> {
    let encoder = Encoder::from_bytes(&subject.encoder)?;
    let answers = data.answers.as_ref();
    let mut summary = Summary::default();
    // Where edges logged the requests, their snapshots are there.
    let counted = if answers.is_some() { &[] } else { &data.events[..] };
    let (histories, (pending, snapshots)) = rayon::join(
        || histories(&data.events, shard),
        || (pending(&data.events, spec.surface(), shard), Snapshots::new(spec, counted)),
    );
    let (pending, snapshots) = (pending?, snapshots?);
    summary.interactions = histories.values().map(|h| h.entries().len() as u64).sum();
    let asked = pending.len();
    let work = match answers {
        Some(answers) => Work::as_logged(pending, answers),
        None => Work::as_made(pending, &snapshots),
    };
    summary.requests = work.groups.iter().map(|group| group.len() as u64).sum();
    summary.requests_without_answer = asked as u64 - summary.requests;
    if summary.requests == 0 {
        return Err(ReplayError::NoAnswers { requests: asked as u64 });
    }
    if let Some(answers) = answers {
        answers.check(&encoder)?;
    }
    summary.snapshots = work.wanted.count();
    let host = Host::shared()?;
    let writer = Writer::create(folder, &encoder)?;
    let newest = std::thread::scope(|scope| {
        let (made, tables) = sync_channel(SNAPSHOTS_AT_ONCE);
        let (wanted, of_spec) = (&work.wanted, &encoder);
        scope.spawn(move || match wanted {
            // Nobody takes them where an answer failed.
            Wanted::Made(times) => {
                snapshots.iter(times).all(|tables| made.send(Ok(tables.to_bytes())).is_ok());
            }
            Wanted::Logged(digests) => answers.iter().for_each(|answers| {
                answers.tables(digests.iter().copied(), |read| {
                    made.send(read.map_err(ReplayError::from).and_then(|bytes| fitting(bytes, of_spec))).is_ok()
                });
            }),
        });
        let (answered, records) = sync_channel(1);
        let writing = scope.spawn(|| write(writer, records, answers, &mut summary, progress));
        let (mut newest, mut groups) = (None, work.groups.as_slice());
        for part in &work.parts {
            let (requests, later) = groups.split_at(*part);
            groups = later;
            let tables: Vec<Vec<u8>> = tables.iter().take(requests.len()).collect::<Result<_, ReplayError>>()?;
            let parts = tables.par_iter().zip(requests);
            let parts = parts.map(|(tables, requests)| answer(host, subject, &encoder, tables, requests, &histories));
            let answers: Vec<Vec<(usize, Record)>> = parts.collect::<Result<_, ReplayError>>()?;
            if answered.send(answers).is_err() {
                break;
            }
            newest = tables.into_iter().next_back();
        }
        drop(answered);
        // Only what is whole is given its name.
        writing.join().expect("writing does not panic")?.finish()?;
        Ok::<_, ReplayError>(newest)
    })?;
    if let Some(tables) = newest {
        write_tables(folder, &tables).map_err(|source| ReplayError::Io { path: folder.join("tables"), source })?;
    }
    data.copy_to(folder, shard)?;
    Ok(summary)
}

/// A snapshot of an edge, where the features of an encoder can be read with it.
fn fitting(tables: Vec<u8>, encoder: &Encoder) -> Result<Vec<u8>, ReplayError> {
    match check_tables(&tables, encoder) {
        Ok(_) => Ok(tables),
        Err(source) => Err(ReplayError::Tables { digest: Digest::of(&tables), source }),
    }
}

/// Writes what was answered, part by part, in the order of the data.
fn write(
    mut writer: Writer,
    answered: Receiver<Vec<Vec<(usize, Record)>>>,
    answers: Option<&Answers>,
    summary: &mut Summary,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Writer, ReplayError> {
    let mut done = 0u64;
    for part in answered {
        let mut records: Vec<(usize, Record)> = part.into_iter().flatten().collect();
        records.sort_by_key(|(order, _)| *order);
        done += records.len() as u64;
        for (_, record) in records {
            let logged = answers.and_then(|answers| answers.of_record(&record));
            summary.requests_with_other_history += u64::from(logged.is_some_and(|l| l.differs(&record)));
            summary.rows += record.rows.items.len() as u64;
            summary.requests_without_candidates += u64::from(record.rows.items.is_empty());
            writer.push(record)?;
        }
        progress(done, summary.requests);
    }
    Ok(writer)
}

/// The interactions of each user of a shard as one history.
pub fn histories(events: &[Event], shard: Shard) -> BTreeMap<&str, History> {
    let mut users: HashMap<&str, Vec<&InteractionEvent>> = HashMap::new();
    for event in events {
        if let Event::Interaction(interaction) = event
            && shard.has(&interaction.user)
        {
            users.entry(&interaction.user).or_default().push(interaction);
        }
    }
    let history = |of: Vec<&InteractionEvent>| History::from_entries(of.into_iter().map(Entry::from).collect());
    let histories: Vec<(&str, History)> = users.into_par_iter().map(|(user, of)| (user, history(of))).collect();
    histories.into_iter().collect()
}

/// The newest snapshot that a LOG folder holds.
///
/// # Errors
/// The folder cannot be read.
pub fn newest_tables(folder: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(folder.join("tables").join("newest")) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

pub(super) fn write_tables(folder: &Path, tables: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("tables"))?;
    std::fs::write(folder.join("tables").join("newest"), tables)
}

/// The records of the requests of one snapshot, with their order.
fn answer(
    host: &Host,
    subject: &Subject,
    encoder: &Encoder,
    tables: &[u8],
    requests: &[Pending],
    histories: &BTreeMap<&str, History>,
) -> Result<Vec<(usize, Record)>, ReplayError> {
    let load = Load {
        encoder: subject.encoder.clone(),
        policy: subject.policy.clone(),
        tables: tables.to_vec(),
        model: subject.model.clone(),
    };
    let guest = Guest::new(host, &subject.engine, &load, Limits::batch())?;
    let mut by_user: BTreeMap<&str, Vec<&Pending>> = BTreeMap::new();
    for request in requests {
        by_user.entry(&request.event.user).or_default().push(request);
    }
    let of_one_user: Vec<(&str, &[&Pending])> =
        by_user.iter().flat_map(|(user, all)| all.chunks(REQUESTS_PER_CALL).map(|part| (*user, part))).collect();
    let calls = neighbours(&of_one_user, REQUESTS_PER_CALL, |(_, requests)| requests.len());
    let digests = (encoder.hash(), Digest::of(tables));
    let answered = calls.par_iter().map(|users| -> Result<Vec<(usize, Record)>, ReplayError> {
        let mut call = Call { histories: Vec::new(), requests: Vec::new(), salt: subject.salt.clone() };
        let mut asked: Vec<&Pending> = Vec::new();
        for (user, requests) in users.iter() {
            let index = call.histories.len() as u32;
            call.histories.push(view(histories.get(user), requests, encoder.history_length));
            for request in requests.iter() {
                let typed = Request::new(request.event, request.attributes, &encoder.schema)
                    .map_err(|source| ReplayError::Request { request: request.event.id.clone(), source })?;
                call.requests.push((index, typed));
                asked.push(request);
            }
        }
        let rows: Vec<LogRows> = if subject.bundle.is_some() {
            guest.rank(&call)?.into_iter().map(|ranked| ranked.rows).collect()
        } else {
            guest.extract(&call)?.into_iter().map(values_only).collect()
        };
        Ok(asked
            .iter()
            .zip(rows)
            .map(|(request, rows)| (request.order, record(subject, request.event, digests, encoder, rows)))
            .collect())
    });
    let answered: Result<Vec<Vec<_>>, ReplayError> = answered.collect();
    Ok(answered?.into_iter().flatten().collect())
}

/// A view that holds the window of each of these requests.
fn view(history: Option<&History>, requests: &[&Pending], length: u32) -> HistoryView {
    let Some(history) = history else { return HistoryView::default() };
    let entries = history.entries();
    let before = |ts: i64| entries.partition_point(|e| e.ts < ts);
    let first = requests.iter().map(|r| r.event.ts).min().unwrap_or(i64::MAX);
    let last = requests.iter().map(|r| r.event.ts).max().unwrap_or(i64::MIN);
    HistoryView::of(&entries[before(first).saturating_sub(length as usize)..before(last)])
}

fn values_only(extracted: Extracted) -> LogRows {
    let rows = extracted.items.len();
    LogRows {
        items: extracted.items,
        sources: extracted.sources,
        ranks: vec![UNRANKED; rows],
        scores: vec![MISSING; rows],
        propensity: vec![MISSING; rows],
        sampling: vec![1.0; rows],
        history_entries: extracted.history_entries,
        values: extracted.values,
        vectors: Vec::new(),
    }
}

fn record(
    subject: &Subject,
    event: &RequestEvent,
    (encoder_hash, tables): (Digest, Digest),
    encoder: &Encoder,
    rows: LogRows,
) -> Record {
    Record {
        request: event.id.clone(),
        user: event.user.clone(),
        surface: event.surface.clone(),
        ts: event.ts,
        offset_min: event.offset_min,
        arrived: event.ts,
        bundle: subject.bundle,
        encoder: encoder_hash,
        tables,
        arm: subject.arm.clone(),
        weight: subject.weight,
        history_length: encoder.history_length,
        fallback: false,
        rows,
    }
}

/// Reads the snapshot that bundles of this log carry, checked against an encoder.
///
/// # Errors
/// A snapshot that does not fit.
pub fn check_tables(bytes: &[u8], encoder: &Encoder) -> Result<Tables, TablesError> {
    Tables::from_bytes(bytes, &encoder.schema, &encoder.statistics)
}
