//! Taking a batch: it is durable in the store when the edge hears of it, and there once.

use bytes::Bytes;
use edge_runtime::upload::batch::{self, BatchError};
use shared_features::digest::Digest;

use super::Collector;
use crate::data::warehouse::ObjectsError;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is new.
    New,
    /// It was there already.
    Again,
}

/// Why a batch is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// A name that cannot stand in a path.
    #[error("`{name}` is no name of an edge or a batch; use letters, digits and `-`")]
    Name {
        /// The name.
        name: String,
    },
    /// Not a batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The name is another batch's.
    #[error("there is another batch {name}; an edge whose state was put back needs a new installation")]
    Reused {
        /// `<edge>/<batch>`.
        name: String,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] ObjectsError),
    /// The process is stopping.
    #[error("the collector is stopping")]
    Stopping,
}

impl Collector {
    /// Takes a batch; when this returns well, the batch is durable.
    ///
    /// # Errors
    /// Bytes that are no batch, a name that is taken, or a store that fails: then the same batch can be sent again.
    pub async fn accept(&self, edge: &str, batch: &str, body: Bytes) -> Result<Accepted, AcceptError> {
        if let Some(name) = [edge, batch].into_iter().find(|name| !batch::is_name(name)) {
            return Err(AcceptError::Name { name: name.chars().take(64).collect() });
        }
        let name = format!("{edge}/{batch}");
        let digest = self.digest(body.clone()).await??;
        let object = format!("batches/{name}");
        // A batch may be compacted and deleted between two looks; the state says so then.
        loop {
            if let Some((compacted, _)) = self.state().batches.get(&name) {
                return if *compacted == digest { Ok(Accepted::Again) } else { Err(AcceptError::Reused { name }) };
            }
            if self.objects.create(&object, body.clone()).await? {
                return Ok(Accepted::New);
            }
            let there = match self.objects.get(&object, self.settings.sent_bytes as u64).await {
                Ok(there) => there,
                Err(ObjectsError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            match self.digest(there.clone()).await? {
                Ok(there_digest) if there_digest == digest => {
                    // Whoever wrote it may have gone before it was durable.
                    match self.objects.settle(&object, there.len() as u64).await {
                        Err(ObjectsError::NotFound { .. }) => continue,
                        settled => return Ok(settled.map(|()| Accepted::Again)?),
                    }
                }
                Ok(_) => return Err(AcceptError::Reused { name }),
                // A power failure or the store has left it in part; nobody was told that it is there.
                Err(_) => {
                    self.objects.replace(&object, body).await?;
                    return Ok(Accepted::New);
                }
            }
        }
    }

    /// Unpacks a batch off the runtime's threads.
    async fn digest(&self, body: Bytes) -> Result<Result<Digest, BatchError>, AcceptError> {
        let limit = self.settings.whole_bytes;
        let decoded = tokio::task::spawn_blocking(move || batch::decode(&body, limit).map(|b| b.digest)).await;
        decoded.map_err(|_| AcceptError::Stopping)
    }
}
