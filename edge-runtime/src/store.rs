//! Histories on disk, in redb: `user -> history`, and what an edge must remember over a restart.
//!
//! A history is a set keyed by interaction id, so folding an entry in twice changes nothing.
//! Writes are not synced one by one: the [`crate::spool`] has every acknowledged interaction, and the store remembers
//! up to which place of it everything is in; what comes after that place is folded in again on start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared_features::codec::{self, CodecError};
use shared_features::event::InteractionEvent;
use shared_features::history::{Entry, History};

use crate::spool::Position;

const HISTORIES: TableDefinition<&str, &[u8]> = TableDefinition::new("histories");
const SEQUENCES: TableDefinition<&str, u64> = TableDefinition::new("sequences");
const POSITION: TableDefinition<(), &[u8]> = TableDefinition::new("spool_position");
/// Messages of one kind each, by name.
const NOTES: TableDefinition<&str, &[u8]> = TableDefinition::new("notes");
const UPLOAD: &str = "upload";
const DROPPED: &str = "dropped";

/// How far the spool has been uploaded, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Names this state folder to the collector.
    pub installation: String,
    /// A collector has everything before it.
    pub position: Position,
    /// The piece that is on its way: a retry sends the same one.
    pub piece: Option<(Position, Position)>,
}

/// What the bound of the spool has cost: logs that were dropped before a collector had them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Entries.
    pub entries: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it.
    #[error("{path} is in use by another edge; stop that one, or pass another --state")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The database fails.
    #[error("{path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// Stored bytes of another version.
    #[error("{path}: {source}")]
    Codec {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CodecError,
    },
}

impl Store {
    /// Opens or makes the database file.
    ///
    /// # Errors
    /// A file that is no database or cannot be written.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let error = |source: redb::Error| StoreError::Database { path: path.to_owned(), source: Box::new(source) };
        let database = Database::create(path).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
            e => error(e.into()),
        })?;
        let store = Store { database, path: path.to_owned() };
        store.write(Durability::Immediate, |transaction| {
            transaction.open_table(HISTORIES)?;
            transaction.open_table(SEQUENCES)?;
            transaction.open_table(POSITION)?;
            transaction.open_table(NOTES)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// A user's history; empty where there is none.
    ///
    /// # Errors
    /// The database fails.
    pub fn history(&self, user: &str) -> Result<History, StoreError> {
        let stored = self.read(|transaction| {
            let table = transaction.open_table(HISTORIES)?;
            Ok(table.get(user)?.map(|bytes| bytes.value().to_vec()))
        })?;
        stored.map_or_else(|| Ok(History::default()), |bytes| self.decode_history(&bytes))
    }

    /// Folds interactions into their users' histories; returns how many were new.
    ///
    /// # Errors
    /// The database fails.
    pub fn insert(&self, interactions: &[InteractionEvent]) -> Result<u64, StoreError> {
        // Each history is read and written once, however many of its interactions come together.
        let mut users: BTreeMap<&str, Vec<&InteractionEvent>> = BTreeMap::new();
        for interaction in interactions {
            users.entry(&interaction.user).or_default().push(interaction);
        }
        let mut broken = None;
        let new = self.write(Durability::None, |transaction| {
            let mut table = transaction.open_table(HISTORIES)?;
            let mut new = 0;
            for (user, interactions) in users {
                let stored = table.get(user)?.map(|bytes| bytes.value().to_vec());
                let mut history = match stored.map(|bytes| self.decode_history(&bytes)).transpose() {
                    Ok(history) => history.unwrap_or_default(),
                    Err(e) => {
                        broken = Some(e);
                        break;
                    }
                };
                let added = interactions.into_iter().filter(|i| history.insert(Entry::from(*i))).count() as u64;
                if added > 0 {
                    table.insert(user, history.to_bytes().as_slice())?;
                    new += added;
                }
            }
            Ok(new)
        })?;
        broken.map_or(Ok(new), Err)
    }

    /// The highest sequence seen of a channel.
    ///
    /// # Errors
    /// The database fails.
    pub fn sequence(&self, channel: &str) -> Result<Option<u64>, StoreError> {
        self.read(|transaction| Ok(transaction.open_table(SEQUENCES)?.get(channel)?.map(|s| s.value())))
    }

    /// Remembers a channel's sequence; on disk when this returns.
    ///
    /// # Errors
    /// The database fails.
    pub fn set_sequence(&self, channel: &str, sequence: u64) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| {
            transaction.open_table(SEQUENCES)?.insert(channel, sequence)?;
            Ok(())
        })
    }

    /// The place in the spool up to which everything is in the histories.
    ///
    /// # Errors
    /// The database fails.
    pub fn position(&self) -> Result<Position, StoreError> {
        let stored = self
            .read(|transaction| Ok(transaction.open_table(POSITION)?.get(())?.map(|bytes| bytes.value().to_vec())))?;
        stored.map_or(Ok(Position::default()), |bytes| {
            codec::decode(&bytes, "spool position").map_err(|source| self.codec_error(source))
        })
    }

    /// Puts everything on disk, with the place in the spool that it goes up to.
    ///
    /// # Errors
    /// The database fails.
    pub fn checkpoint(&self, position: Position) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| {
            transaction.open_table(POSITION)?.insert((), codec::encode(&position).as_slice())?;
            Ok(())
        })
    }

    /// Removes a user's history, and puts everything on disk, with the place in the spool that it goes up to; how many
    /// interactions it had.
    ///
    /// # Errors
    /// The database fails.
    pub fn forget(&self, user: &str, position: Position) -> Result<u64, StoreError> {
        let removed = self.write(Durability::Immediate, |transaction| {
            transaction.open_table(POSITION)?.insert((), codec::encode(&position).as_slice())?;
            let mut table = transaction.open_table(HISTORIES)?;
            let removed = table.remove(user)?.map(|bytes| bytes.value().to_vec());
            Ok(removed)
        })?;
        // What cannot be read is gone all the same.
        let history = removed.map(|bytes| self.decode_history(&bytes)).transpose().unwrap_or_default();
        Ok(history.map_or(0, |history| history.entries().len() as u64))
    }

    /// How far the spool has been uploaded; a new installation where it never was.
    ///
    /// # Errors
    /// The database fails.
    pub fn upload(&self) -> Result<Upload, StoreError> {
        if let Some(upload) = self.note(UPLOAD)? {
            return Ok(upload);
        }
        let upload = Upload::new(Position::default());
        self.set_upload(&upload)?;
        Ok(upload)
    }

    /// Remembers how far the spool has been uploaded; on disk when this returns.
    ///
    /// # Errors
    /// The database fails.
    pub fn set_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.set_note(UPLOAD, upload)
    }

    /// What was dropped so far.
    ///
    /// # Errors
    /// The database fails.
    pub fn dropped(&self) -> Result<Dropped, StoreError> {
        Ok(self.note(DROPPED)?.unwrap_or_default())
    }

    /// Remembers what was dropped so far; on disk when this returns.
    ///
    /// # Errors
    /// The database fails.
    pub fn set_dropped(&self, dropped: &Dropped) -> Result<(), StoreError> {
        self.set_note(DROPPED, dropped)
    }

    fn note<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, StoreError> {
        let stored =
            self.read(|transaction| Ok(transaction.open_table(NOTES)?.get(name)?.map(|bytes| bytes.value().to_vec())))?;
        let decode = |bytes: Vec<u8>| codec::decode(&bytes, name).map_err(|source| self.codec_error(source));
        stored.map(decode).transpose()
    }

    fn set_note(&self, name: &str, note: &impl Serialize) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| {
            transaction.open_table(NOTES)?.insert(name, codec::encode(note).as_slice())?;
            Ok(())
        })
    }

    fn decode_history(&self, bytes: &[u8]) -> Result<History, StoreError> {
        History::from_bytes(bytes).map_err(|source| self.codec_error(source))
    }

    fn codec_error(&self, source: CodecError) -> StoreError {
        StoreError::Codec { path: self.path.clone(), source }
    }

    fn read<T>(&self, f: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let run = || -> Result<T, redb::Error> { f(&self.database.begin_read()?) };
        run().map_err(|source| StoreError::Database { path: self.path.clone(), source: Box::new(source) })
    }

    fn write<T>(
        &self,
        durability: Durability,
        f: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let run = || -> Result<T, redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(durability)?;
            let result = f(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|source| StoreError::Database { path: self.path.clone(), source: Box::new(source) })
    }
}

impl Upload {
    /// A new installation, from a place of the spool on.
    pub fn new(position: Position) -> Upload {
        Upload { installation: ulid::Ulid::new().to_string(), position, piece: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interaction(id: &str, user: &str, ts: i64) -> InteractionEvent {
        InteractionEvent {
            id: id.into(),
            ts,
            offset_min: None,
            user: user.into(),
            item: "item".into(),
            action: "play".into(),
            surface: None,
            request: None,
            dwell_ms: None,
            completion: None,
        }
    }

    #[test]
    fn histories_sequences_and_the_position_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let position = Position { segment: 3, offset: 77 };
        {
            let store = Store::open(&path).unwrap();
            assert_eq!(store.position().unwrap(), Position::default());
            assert_eq!(store.insert(&[interaction("a", "u", 1), interaction("b", "u", 2)]).unwrap(), 2);
            assert_eq!(store.insert(&[interaction("a", "u", 1), interaction("c", "v", 3)]).unwrap(), 1);
            store.set_sequence("podcasts/stable", 9).unwrap();
            store.checkpoint(position).unwrap();
            let upload = store.upload().unwrap();
            assert_eq!((upload.position, upload.piece), (Position::default(), None));
            assert_eq!(store.upload().unwrap(), upload, "the installation stays");
            store.set_upload(&Upload { position, piece: Some((position, position)), ..upload }).unwrap();
            store.set_dropped(&Dropped { entries: 2, bytes: 99 }).unwrap();
        }
        let store = Store::open(&path).unwrap();
        assert_eq!(store.history("u").unwrap().entries().len(), 2);
        assert_eq!(store.history("nobody").unwrap(), History::default());
        assert_eq!(store.sequence("podcasts/stable").unwrap(), Some(9));
        assert_eq!(store.sequence("other").unwrap(), None);
        assert_eq!(store.position().unwrap(), position);
        assert_eq!(store.upload().unwrap().piece, Some((position, position)));
        assert_eq!(store.dropped().unwrap(), Dropped { entries: 2, bytes: 99 });
    }

    #[test]
    fn a_long_list_of_one_user_is_folded_in_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.redb")).unwrap();
        let mut list: Vec<InteractionEvent> = (0..5000).map(|k| interaction(&k.to_string(), "u", k)).collect();
        list.push(interaction("0", "v", 0));
        let started = std::time::Instant::now();
        let new = store.insert(&list).unwrap();
        // One by one, 5,000 times a history of thousands of entries is read and written: tens of seconds.
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
        assert_eq!((new, store.insert(&list).unwrap()), (5001, 0), "sent again, nothing is new");
        assert_eq!(store.history("v").unwrap().entries().len(), 1);
    }

    #[test]
    fn a_second_process_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let _first = Store::open(&path).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        std::fs::write(&path, b"not a database, but long enough to be looked at as one").unwrap();
        assert!(Store::open(&path).unwrap_err().to_string().contains("store.redb"));
    }
}
