//! The objects of a store: a folder or a bucket, with what durable writing needs.
//!
//! A write is done when the object is whole and, in a folder, synced with the folders that lead to it. Every
//! operation ends: a store that stalls is one that fails.

use std::future::Future;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_runtime::registry::bucket;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

/// How long an operation may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The objects of a store.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    base: Path,
    /// The folder, where it is one: what is written there is synced.
    folder: Option<PathBuf>,
    name: String,
    patience: Duration,
}

/// Why a store gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectsError {
    /// Not a place.
    #[error("`{store}` is no store: {reason}; pass a folder or an object store's URL")]
    Location {
        /// What was passed.
        store: String,
        /// Why.
        reason: String,
    },
    /// The store fails.
    #[error("store {store}, {object}: {source}")]
    Store {
        /// The store.
        store: String,
        /// The object.
        object: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store takes too long.
    #[error("store {store}, {object}: no answer for {seconds} s")]
    Stalled {
        /// The store.
        store: String,
        /// The object.
        object: String,
        /// How long.
        seconds: u64,
    },
    /// There is no such object.
    #[error("store {store} has no {object}")]
    NotFound {
        /// The store.
        store: String,
        /// The object.
        object: String,
    },
    /// An object that is not what was written.
    #[error("{object}: {reason}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong.
        reason: String,
    },
}

impl Objects {
    /// Opens a folder (made where it does not exist) or an object store's URL.
    ///
    /// # Errors
    /// A place that cannot be used.
    pub fn open(location: &str) -> Result<Objects, ObjectsError> {
        let refuse = |reason: String| ObjectsError::Location { store: location.to_owned(), reason };
        let folder = match location.split_once("://") {
            None => Some(location),
            Some(("file", path)) => Some(path),
            Some(_) => None,
        };
        let (store, base): (Arc<dyn ObjectStore>, Path) = match folder {
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(|e| refuse(e.to_string()))?;
                let local = LocalFileSystem::new_with_prefix(folder).map_err(|e| refuse(e.to_string()))?;
                (Arc::new(local), Path::default())
            }
            None => bucket::open(location).map_err(refuse)?,
        };
        let folder = folder.map(PathBuf::from);
        Ok(Objects { store, base, folder, name: location.to_owned(), patience: PATIENCE })
    }

    /// Over a store of one's own, which says itself what is durable.
    pub fn over(store: Arc<dyn ObjectStore>, name: &str, patience: Duration) -> Objects {
        Objects { store, base: Path::default(), folder: None, name: name.to_owned(), patience }
    }

    /// Where it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads an object of at most `limit` bytes.
    ///
    /// # Errors
    /// The store fails, there is no such object, or it is too large or came in part.
    pub async fn get(&self, object: &str, limit: u64) -> Result<Bytes, ObjectsError> {
        let path = self.path(object);
        let read = async {
            let found = self.store.get(&path).await?;
            let size = found.meta.size;
            if size > limit { Ok(Err(size)) } else { Ok(Ok((size, found.bytes().await?))) }
        };
        match self.within(object, read).await? {
            Ok((size, bytes)) if bytes.len() as u64 == size => Ok(bytes),
            Ok((size, bytes)) => Err(damaged(object, format!("{} of {size} bytes came", bytes.len()))),
            Err(size) => Err(damaged(object, format!("{size} bytes, at most {limit} are read"))),
        }
    }

    /// Writes an object where there is none; whether there was none. When this returns well, it is durable.
    ///
    /// # Errors
    /// The store fails; the object may be there, whole or in part, then or later.
    pub async fn create(&self, object: &str, bytes: Bytes) -> Result<bool, ObjectsError> {
        let size = bytes.len() as u64;
        let path = self.path(object);
        let put = self.store.put_opts(&path, bytes.into(), PutOptions::from(PutMode::Create));
        let put = async {
            match put.await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        let new = self.within(object, put).await?;
        if new {
            self.settle(object, size).await?;
        }
        Ok(new)
    }

    /// Writes an object over what is there; durable when this returns well.
    ///
    /// # Errors
    /// The store fails.
    pub async fn replace(&self, object: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        let size = bytes.len() as u64;
        let path = self.path(object);
        self.within(object, self.store.put_opts(&path, bytes.into(), PutOptions::from(PutMode::Overwrite))).await?;
        self.settle(object, size).await
    }

    /// Sees that an object is whole, and makes it durable.
    ///
    /// # Errors
    /// The store fails, or has it in part.
    pub async fn settle(&self, object: &str, size: u64) -> Result<(), ObjectsError> {
        let path = self.path(object);
        let there = self.within(object, self.store.head(&path)).await?.size;
        if there != size {
            return Err(damaged(object, format!("{there} of {size} bytes were written")));
        }
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let parts: Vec<String> = path.parts().map(|p| p.as_ref().to_owned()).collect();
        let synced = tokio::task::spawn_blocking(move || sync(&folder, &parts)).await;
        match synced {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.failed(object, error)),
            Err(error) => Err(self.failed(object, error)),
        }
    }

    /// The objects below a folder, sorted, with their sizes.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectsError> {
        let base = self.path(folder);
        let found: Vec<_> = self.within(folder, self.store.list(Some(&base)).try_collect()).await?;
        let skip = self.base.parts().count();
        let name = |path: &Path| Path::from_iter(path.parts().skip(skip)).to_string();
        let mut found: Vec<(String, u64)> = found.iter().map(|m| (name(&m.location), m.size)).collect();
        found.sort();
        Ok(found)
    }

    /// Deletes an object, if it is there.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete(&self, object: &str) -> Result<(), ObjectsError> {
        let path = self.path(object);
        let delete = async {
            match self.store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                deleted => deleted,
            }
        };
        self.within(object, delete).await
    }

    async fn within<T>(
        &self,
        object: &str,
        work: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, ObjectsError> {
        match tokio::time::timeout(self.patience, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(object_store::Error::NotFound { .. })) => {
                Err(ObjectsError::NotFound { store: self.name.clone(), object: object.to_owned() })
            }
            Ok(Err(error)) => Err(self.failed(object, error)),
            Err(_) => Err(ObjectsError::Stalled {
                store: self.name.clone(),
                object: object.to_owned(),
                seconds: self.patience.as_secs(),
            }),
        }
    }

    fn failed(&self, object: &str, source: impl std::error::Error + Send + Sync + 'static) -> ObjectsError {
        ObjectsError::Store { store: self.name.clone(), object: object.to_owned(), source: Box::new(source) }
    }

    fn path(&self, object: &str) -> Path {
        Path::from_iter(self.base.parts().chain(Path::from(object).parts()))
    }
}

fn damaged(object: &str, reason: String) -> ObjectsError {
    ObjectsError::Damaged { object: object.to_owned(), reason }
}

/// Puts a file on disk, and the folders between it and the root, which may be new.
fn sync(root: &FilePath, parts: &[String]) -> std::io::Result<()> {
    let mut path = root.join(parts.iter().collect::<PathBuf>());
    for _ in 0..=parts.len() {
        std::fs::File::open(&path)?.sync_all()?;
        path.pop();
    }
    Ok(())
}
