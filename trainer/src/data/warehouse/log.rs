//! The log of a store: numbered commits that say which files there are, and which batches are in them.
//!
//! `commits/<sequence, 20 digits>` is the SHA-256 of what follows as 64 hexadecimal digits, a line feed, and a
//! [`Commit`] as JSON. A commit is written where there is none of its number, so of two collectors one goes first
//! and the other looks again. One whose digest does not fit was torn by a failing store: it has its number and
//! does nothing.
//!
//! `checkpoints/<sequence>` is written the same way and holds the [`State`] before that sequence, every
//! [`CHECKPOINT_EVERY`] commits; older commits are then deleted.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;

use super::{Day, Objects, ObjectsError};

/// Version of commits and checkpoints.
pub const FORMAT: u32 = 1;
/// Commits between two checkpoints.
pub const CHECKPOINT_EVERY: u64 = 64;
/// For how many commits the batches and removed files of a commit are remembered.
const REMEMBERED: u64 = 256;
/// Largest commit or checkpoint.
const MAX_BYTES: u64 = 1 << 30;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Rows of one surface, day and encoder.
    Rows,
    /// Impressions, interactions and requests that were kept as they came, of one day.
    Events,
    /// What was refused.
    Quarantine,
}

/// A file of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The object.
    pub path: String,
    /// What it holds.
    pub kind: Kind,
    /// The surface, of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
    /// The day of its requests or events; of a quarantine the day it came.
    pub day: Day,
    /// The encoder, of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Digest>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Requests, events, or entries that were refused.
    pub entries: u64,
}

/// A batch that has been compacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// `<edge>/<batch>`.
    pub name: String,
    /// Digest of its bytes before compression.
    pub sha256: Digest,
}

/// One change of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// [`FORMAT`].
    pub format: u32,
    /// Its number, from 0.
    pub sequence: u64,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The batches whose entries are in the files now.
    pub batches: Vec<Batch>,
    /// New files.
    pub added: Vec<Entry>,
    /// Files that new ones replace.
    pub removed: Vec<String>,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The number of the next commit.
    pub next: u64,
    /// Its files, by object.
    pub files: BTreeMap<String, Entry>,
    /// Batches that were compacted lately, with the commit that did it.
    pub batches: BTreeMap<String, (Digest, u64)>,
    /// Files that were replaced lately: the commit that did it, and when.
    pub removed: BTreeMap<String, (u64, i64)>,
}

/// A log that is followed and written.
#[derive(Debug)]
pub struct Log {
    objects: Objects,
    state: State,
}

impl Log {
    /// Reads a store's log.
    ///
    /// # Errors
    /// A store that fails, or a log of another version.
    pub async fn open(objects: Objects) -> Result<Log, ObjectsError> {
        let mut log = Log { objects, state: State::default() };
        log.start_over().await?;
        Ok(log)
    }

    /// What the store holds.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the store holds.
    pub fn into_state(self) -> State {
        self.state
    }

    /// Reads what others have committed.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn refresh(&mut self) -> Result<(), ObjectsError> {
        if self.follow().await? { Ok(()) } else { self.start_over().await }
    }

    /// Commits a change to what the state says; `false` where somebody else has committed first: look again.
    ///
    /// # Errors
    /// A store that fails; the commit may be there, then or later.
    pub async fn commit(&mut self, mut commit: Commit) -> Result<bool, ObjectsError> {
        loop {
            commit.sequence = self.state.next;
            let object = commit_path(commit.sequence);
            let bytes = seal(&commit);
            if !self.objects.create(&object, bytes.clone()).await? {
                let there = self.objects.get(&object, MAX_BYTES).await?;
                if there != bytes {
                    if open::<Commit>(&object, &there)?.is_some() {
                        return Ok(false);
                    }
                    self.state.next += 1;
                    continue;
                }
                // An earlier try of this very commit had come through.
                self.objects.settle(&object, bytes.len() as u64).await?;
            }
            self.state.apply(&commit);
            return Ok(true);
        }
    }

    /// Writes a checkpoint where one is due, and deletes what it makes superfluous.
    ///
    /// # Errors
    /// A store that fails; nothing is lost then.
    pub async fn checkpoint(&self) -> Result<(), ObjectsError> {
        let next = self.state.next;
        if next == 0 || !next.is_multiple_of(CHECKPOINT_EVERY) {
            return Ok(());
        }
        let object = checkpoint_path(next);
        if !self.objects.create(&object, seal(&self.state)).await? {
            // Somebody's, or torn.
            self.objects.replace(&object, seal(&self.state)).await?;
        }
        // Readers may be reading what was the newest until now.
        let keep = next.saturating_sub(CHECKPOINT_EVERY);
        for (folder, first_kept) in [("commits", commit_path(keep)), ("checkpoints", checkpoint_path(keep))] {
            for (object, _) in self.objects.list(folder).await? {
                if object < first_kept {
                    self.objects.delete(&object).await?;
                }
            }
        }
        Ok(())
    }

    async fn start_over(&mut self) -> Result<(), ObjectsError> {
        // A commit that is deleted while this reads makes it begin again, from a newer checkpoint.
        loop {
            self.state = State::default();
            for (object, _) in self.objects.list("checkpoints").await?.into_iter().rev() {
                match self.objects.get(&object, MAX_BYTES).await {
                    Ok(bytes) => {
                        if let Some(state) = open::<State>(&object, &bytes)? {
                            self.state = state;
                            break;
                        }
                    }
                    Err(ObjectsError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if self.follow().await? {
                return Ok(());
            }
        }
    }

    /// Reads the commits after those that are known; `false` where some of them are gone.
    async fn follow(&mut self) -> Result<bool, ObjectsError> {
        for (object, _) in self.objects.list("commits").await? {
            let sequence: Option<u64> = object.strip_prefix("commits/").and_then(|s| s.parse().ok());
            let Some(sequence) = sequence.filter(|s| *s >= self.state.next) else { continue };
            if sequence > self.state.next {
                return Ok(false);
            }
            let bytes = match self.objects.get(&object, MAX_BYTES).await {
                Ok(bytes) => bytes,
                Err(ObjectsError::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(error),
            };
            match open::<Commit>(&object, &bytes)? {
                Some(commit) if commit.format == FORMAT && commit.sequence == sequence => self.state.apply(&commit),
                Some(commit) => {
                    let reason = format!("format {}, this build reads {FORMAT}; use a newer trainer", commit.format);
                    return Err(ObjectsError::Damaged { object, reason });
                }
                None if self.objects.get(&object, MAX_BYTES).await? == bytes => self.state.next += 1,
                None => return Err(ObjectsError::Damaged { object, reason: "it came in part".into() }),
            }
        }
        Ok(true)
    }
}

impl State {
    fn apply(&mut self, commit: &Commit) {
        for entry in &commit.added {
            self.files.insert(entry.path.clone(), entry.clone());
        }
        for path in &commit.removed {
            self.files.remove(path);
            self.removed.insert(path.clone(), (commit.sequence, commit.at));
        }
        for batch in &commit.batches {
            self.batches.insert(batch.name.clone(), (batch.sha256, commit.sequence));
        }
        self.next = commit.sequence + 1;
        let oldest = self.next.saturating_sub(REMEMBERED);
        self.batches.retain(|_, (_, sequence)| *sequence >= oldest);
        self.removed.retain(|_, (sequence, _)| *sequence >= oldest);
    }
}

fn commit_path(sequence: u64) -> String {
    format!("commits/{sequence:020}")
}

fn checkpoint_path(sequence: u64) -> String {
    format!("checkpoints/{sequence:020}")
}

fn seal(message: &impl Serialize) -> Bytes {
    let body = serde_json::to_vec(message).expect("a log is plain data with string keys");
    [Digest::of(&body).to_string().as_bytes(), b"\n", &body].concat().into()
}

/// A message; `None` where it is torn.
fn open<T: DeserializeOwned>(object: &str, bytes: &[u8]) -> Result<Option<T>, ObjectsError> {
    let whole = bytes
        .split_at_checked(65)
        .filter(|(head, body)| head.last() == Some(&b'\n') && head[..64] == *Digest::of(body).to_string().as_bytes());
    let Some((_, body)) = whole else { return Ok(None) };
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|e| ObjectsError::Damaged { object: object.to_owned(), reason: format!("{e}; use a newer trainer") })
}

#[cfg(test)]
mod tests;
