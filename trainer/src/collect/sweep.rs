//! Sweeping: files that no commit names are deleted, once nobody can be about to name or still to read them.

use ulid::Ulid;

use super::{CollectError, Collector, now_ms};

/// How old a file that no commit names must be before it is swept away.
const ORPHAN_MS: i64 = 3_600_000;
/// For how long readers may still read a file that was replaced.
const GRACE_MS: i64 = 600_000;

impl Collector {
    /// Deletes files that no commit names any more, or never did.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sweep(&self) -> Result<(), CollectError> {
        let mut log = self.log.lock().await;
        log.refresh().await?;
        let (state, now) = (log.state(), now_ms());
        for folder in ["rows", "events", "quarantine"] {
            for (object, _) in self.objects.list(folder).await? {
                let stem = object.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
                let Some(made) = stem.rsplit('-').next().and_then(|ulid| Ulid::from_string(ulid).ok()) else {
                    continue;
                };
                let is_named = state.files.contains_key(&object)
                    || object.strip_suffix(".json").is_some_and(|o| state.files.contains_key(&format!("{o}.spool")));
                let is_old = match state.removed.get(&object) {
                    Some((_, at)) => now - at > GRACE_MS,
                    None => now - made.timestamp_ms() as i64 > ORPHAN_MS,
                };
                if !is_named && is_old {
                    self.objects.delete(&object).await?;
                }
            }
        }
        Ok(())
    }
}
