//! What people saw and did: taken into the spool and the histories, and forgotten again.

use std::sync::Arc;

use shared_features::event::{ImpressionEvent, InteractionEvent};

use super::{AnswerError, Runtime, check_time, now_ms};
use crate::spool::Entry;

impl Runtime {
    /// Takes impressions; they are in the spool when this returns.
    ///
    /// # Errors
    /// An impression that is refused; none of the list is taken then.
    pub async fn impressions(&self, events: &[ImpressionEvent]) -> Result<(), AnswerError> {
        let now = now_ms();
        for event in events {
            event.check()?;
            check_time(event.ts, now)?;
        }
        let entries: Vec<Entry> = events.iter().map(Entry::from).collect();
        self.spool.append(&entries).await?;
        metrics::counter!("hearth_impressions_total").increment(events.len() as u64);
        Ok(())
    }

    /// Takes interactions; they are in the spool and in the histories when this returns.
    ///
    /// # Errors
    /// An interaction that is refused; none of the list is taken then.
    pub async fn interactions(self: &Arc<Self>, mut events: Vec<InteractionEvent>) -> Result<(), AnswerError> {
        let now = now_ms();
        for event in &mut events {
            event.check()?;
            check_time(event.ts, now)?;
            self.rename(&mut event.user);
        }
        // A client that goes away must not leave an interaction in the spool that its history does not have.
        let runtime = Arc::clone(self);
        let taken = tokio::spawn(async move { runtime.take_interactions(events).await }).await;
        taken.map_err(|_| AnswerError::Stopping)?
    }

    async fn take_interactions(self: Arc<Self>, events: Vec<InteractionEvent>) -> Result<(), AnswerError> {
        let entries: Vec<Entry> = events.iter().map(Entry::from).collect();
        let _on_its_way = self.folding.read().await;
        self.spool.append(&entries).await?;
        let count = events.len() as u64;
        let runtime = Arc::clone(&self);
        let folded = tokio::task::spawn_blocking(move || runtime.store.insert(&events)).await;
        folded.map_err(|_| AnswerError::Stopping)??;
        metrics::counter!("hearth_interactions_total").increment(count);
        Ok(())
    }

    /// Forgets a user's history, for good when this returns; how many interactions it had.
    ///
    /// What is in the spool stays for whoever reads it; no restart folds it into a history again.
    ///
    /// # Errors
    /// The store or the spool fails.
    pub async fn forget(self: &Arc<Self>, mut user: String) -> Result<u64, AnswerError> {
        self.rename(&mut user);
        // A client that goes away must not leave it half done.
        let runtime = Arc::clone(self);
        let forgotten = tokio::spawn(async move {
            let mut position = runtime.folding.write().await;
            let reached = runtime.spool.append(&[]).await?;
            let of_store = Arc::clone(&runtime);
            let removed = tokio::task::spawn_blocking(move || of_store.store.forget(&user, reached)).await;
            let removed = removed.map_err(|_| AnswerError::Stopping)??;
            *position = reached;
            Ok(removed)
        });
        forgotten.await.map_err(|_| AnswerError::Stopping)?
    }
}
