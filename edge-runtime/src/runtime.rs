//! The runtime: what an edge does, as a library.
//!
//! It follows the channel of each surface, ranks requests in the sandbox, keeps histories and spools logs.
//! A bad pointer or bundle never replaces what is served; a failing model is answered by the spec's fallback.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use shared_features::digest::Digest;
use shared_features::event::{InteractionEvent, RequestEvent};

use crate::answer::Answered;
use crate::channel::is_name;
use crate::drift;
use crate::host::{Host, Limits};
use crate::keys::{Role, Root};
use crate::pseudonym::Pseudonyms;
use crate::registry::{Registry, RegistryError};
use crate::serving::Serving;
use crate::sign::Trusted;
use crate::spool::{self, Entry, Position, Spool};
use crate::store::Store;
use crate::upload;

mod error;
mod events;
mod keep;

pub use crate::answer::{Answer, RankedItem};
pub use crate::explain::{ExplainAnswer, ExplainedItem, FeatureContribution};
pub use error::{AnswerError, OpenError};
pub use keep::{Keep, Kept};

/// How far in the future a request's or event's time may be.
const MAX_FUTURE_MS: i64 = 5 * 60_000;

/// What an edge is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registry: a folder or an object store's URL.
    pub registry: String,
    /// The pinned root document's bytes.
    pub trust: Vec<u8>,
    /// The channel to follow.
    pub channel: String,
    /// The surfaces to serve; all of the registry's where empty.
    pub surfaces: Vec<String>,
    /// Where histories, the spool and cached bundles are kept.
    pub state: PathBuf,
    /// Limits of each call into a guest.
    pub limits: Limits,
    /// How the spool writes.
    pub spool: spool::Settings,
    /// What a spool may take on disk, and where it goes.
    pub keep: Keep,
    /// What users are called in histories and logs; as they come where absent.
    pub pseudonyms: Option<Pseudonyms>,
}

/// An edge.
#[derive(Debug)]
pub struct Runtime {
    settings: Settings,
    host: Host,
    registry: Registry,
    /// A registry of the same layout in the state folder: what was served last.
    cache: Registry,
    publishers: Trusted,
    store: Store,
    spool: Spool,
    surfaces: RwLock<BTreeMap<String, Surface>>,
    /// Taken for reading while an event is on its way from the spool to the store, for writing by a checkpoint.
    folding: tokio::sync::RwLock<Position>,
    /// Held while segments are deleted, so that none is counted twice.
    trimming: Mutex<()>,
    /// How uploading goes.
    pub(crate) upload: RwLock<upload::Status>,
}

/// One surface of an edge.
#[derive(Debug, Default)]
struct Surface {
    serving: Option<Arc<Serving>>,
    problem: Option<String>,
    /// The sequence of a pointer that failed, and why; it is not tried again before the channel moves.
    rejected: Option<(u64, String)>,
}

/// What a surface serves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The bundles of its arms; empty where it serves nothing.
    pub bundles: Vec<Digest>,
    /// The newest snapshot of each arm.
    pub tables: Vec<Digest>,
    /// The pointer's sequence.
    pub sequence: Option<u64>,
    /// Why a newer pointer is not served, or that the served one has expired.
    pub problem: Option<String>,
}

impl Runtime {
    /// Opens the state folder, folds in what the store missed, and serves what was served last.
    ///
    /// The channels are read by [`Runtime::poll`].
    ///
    /// # Errors
    /// A root document, registry or state folder that cannot be used.
    pub async fn open(settings: Settings) -> Result<Runtime, OpenError> {
        if let Some(name) = settings.surfaces.iter().chain([&settings.channel]).find(|name| !is_name(name)) {
            return Err(RegistryError::Name { name: name.clone() }.into());
        }
        let root = Root::pinned(&settings.trust)?;
        let publishers = root.trusted(Role::Publisher)?;
        let state = &settings.state;
        make_state(state).map_err(|source| OpenError::State { path: state.clone(), source })?;
        let compiled = state.join("compiled");
        let host = Host::shared()?.with_cache(&compiled);
        let host = host.map_err(|source| OpenError::State { path: compiled, source })?;
        let cache = Registry::open(&state.join("cache").to_string_lossy())?;
        let store = Store::open(&state.join("store.redb"))?;
        let spool_folder = state.join("spool");
        let used = store.position()?.max(store.upload()?.position);
        let spool = Spool::open_after(&spool_folder, settings.spool, used)?;
        let position = fold_in(&store, &spool_folder)?;
        let runtime = Runtime {
            host,
            registry: Registry::open(&settings.registry)?,
            cache,
            publishers,
            store,
            spool,
            surfaces: RwLock::default(),
            folding: tokio::sync::RwLock::new(position),
            trimming: Mutex::default(),
            upload: RwLock::default(),
            settings,
        };
        let known = runtime.cache.surfaces(&runtime.settings.channel).await.unwrap_or_default();
        for surface in known.iter().filter(|s| runtime.wants(s)) {
            if let Err(problem) = runtime.serve_cached(surface).await {
                runtime.report(surface, problem);
            }
        }
        Ok(runtime)
    }

    /// Reads every channel once and swaps in what moved; problems are kept for [`Runtime::status`].
    pub async fn poll(&self) {
        let surfaces = if self.settings.surfaces.is_empty() {
            match self.registry.surfaces(&self.settings.channel).await {
                Ok(surfaces) => surfaces,
                Err(e) => {
                    tracing::warn!(error = %e, "the registry cannot be listed");
                    self.known_surfaces()
                }
            }
        } else {
            self.settings.surfaces.clone()
        };
        for surface in surfaces {
            if let Err(problem) = self.follow(&surface).await {
                self.report(&surface, problem);
            }
        }
    }

    /// Ranks a request; what the bundle says is logged of it is in the spool when this returns.
    ///
    /// # Errors
    /// A request that is refused, or a surface without a bundle. A failing model is no error: the fallback answers.
    pub async fn rank(self: &Arc<Self>, mut event: RequestEvent) -> Result<Answer, AnswerError> {
        let arrived = now_ms();
        let serving = self.accept(&mut event, arrived)?;
        let runtime = Arc::clone(self);
        let answered = tokio::task::spawn_blocking(move || runtime.answer(&serving, event, arrived)).await;
        let (entries, answer) = answered.map_err(|_| AnswerError::Stopping)??;
        if !entries.is_empty() {
            self.spool.append(&entries).await?;
        }
        Ok(answer)
    }

    /// Says what each feature adds to the score of each candidate of a request; nothing is written.
    ///
    /// # Errors
    /// A request that is refused, a surface without a bundle, or an engine that fails: no fallback explains.
    pub async fn explain(self: &Arc<Self>, mut event: RequestEvent) -> Result<ExplainAnswer, AnswerError> {
        let serving = self.accept(&mut event, now_ms())?;
        let runtime = Arc::clone(self);
        let explained = tokio::task::spawn_blocking(move || {
            let history = runtime.store.history(&event.user)?;
            Ok(serving.explain(event, &history)?)
        });
        explained.await.map_err(|_| AnswerError::Stopping)?
    }

    /// A user's history.
    ///
    /// # Errors
    /// The store fails.
    #[cfg(feature = "playground")]
    pub(crate) async fn history(
        self: &Arc<Self>,
        mut user: String,
    ) -> Result<shared_features::history::History, AnswerError> {
        self.rename(&mut user);
        let runtime = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || runtime.store.history(&user)).await;
        Ok(read.map_err(|_| AnswerError::Stopping)??)
    }

    /// Checks a request and gives it an id; what serves its surface.
    fn accept(&self, event: &mut RequestEvent, now: i64) -> Result<Arc<Serving>, AnswerError> {
        if event.id.is_empty() {
            event.id = ulid::Ulid::new().to_string();
        }
        event.check()?;
        check_time(event.ts, now)?;
        self.rename(&mut event.user);
        self.serving(&event.surface)
    }

    /// Gives a user the name that is kept.
    fn rename(&self, user: &mut String) {
        if let Some(pseudonyms) = &self.settings.pseudonyms {
            *user = pseudonyms.of(user);
        }
    }

    /// Puts the histories on disk, so that a restart has less to fold in.
    ///
    /// # Errors
    /// The store or the spool fails.
    pub async fn checkpoint(&self) -> Result<(), AnswerError> {
        let mut position = self.folding.write().await;
        let reached = self.spool.append(&[]).await?;
        if reached > *position {
            self.store.checkpoint(reached)?;
            *position = reached;
        }
        Ok(())
    }

    /// Checkpoints and closes the spool.
    pub async fn close(&self) {
        if let Err(e) = self.checkpoint().await {
            tracing::error!(error = %e, "the last checkpoint failed; the spool has everything");
        }
        self.spool.close();
    }

    /// What every surface serves.
    pub fn status(&self) -> BTreeMap<String, Status> {
        let now = now_ms();
        self.read_surfaces().iter().map(|(name, surface)| (name.clone(), surface.status(now))).collect()
    }

    /// How far what is logged is from training, for `/metrics`.
    pub(crate) fn drift(&self) -> String {
        let served: Vec<(String, Arc<Serving>)> = self
            .read_surfaces()
            .iter()
            .filter_map(|(name, surface)| Some((name.clone(), Arc::clone(surface.serving.as_ref()?))))
            .collect();
        let arms = served.iter().flat_map(|(name, serving)| {
            serving.arms.iter().map(|arm| (name.as_str(), arm.arm.name.as_str(), &*arm.drift))
        });
        drift::render(&arms.collect::<Vec<_>>())
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Up to where the spool has been synced.
    pub(crate) fn synced(&self) -> tokio::sync::watch::Receiver<Position> {
        self.spool.synced()
    }

    /// Why nothing can be logged now, and so nothing answered; `None` while all is well.
    pub fn storage_problem(&self) -> Option<String> {
        self.spool.problem()
    }

    /// The answer to a request, and what is logged of it.
    fn answer(
        &self,
        serving: &Serving,
        event: RequestEvent,
        arrived: i64,
    ) -> Result<(Vec<Entry>, Answer), AnswerError> {
        let history = self.store.history(&event.user)?;
        let surface = event.surface.clone();
        let started = std::time::Instant::now();
        let Answered { answer, log, fault, nan_scores } = serving.answer(event, &history, arrived)?;
        metrics::histogram!("hearth_rank_seconds", "surface" => surface.clone()).record(started.elapsed());
        metrics::counter!("hearth_requests_total", "surface" => surface.clone(), "arm" => answer.arm.clone())
            .increment(1);
        if let Some(fault) = fault {
            tracing::error!(surface, bundle = %answer.bundle, error = %fault, "the model failed; the fallback answers");
            metrics::counter!("hearth_fallback_total", "surface" => surface).increment(1);
        }
        serving.count(&log.record);
        if nan_scores > 0 {
            metrics::counter!("hearth_nan_scores_total").increment(nan_scores.into());
        }
        Ok((log.entries(), answer))
    }

    /// Looks at one channel and swaps in what it names.
    async fn follow(&self, surface: &str) -> Result<(), String> {
        let channel = &self.settings.channel;
        let key = format!("{surface}/{channel}");
        let seen = self.store.sequence(&key).map_err(|e| e.to_string())?;
        let (pointer, bytes) = self
            .registry
            .channel(surface, channel, &self.publishers, seen, now_ms())
            .await
            .map_err(|e| e.to_string())?;
        let (current, rejected) = match self.read_surfaces().get(surface) {
            Some(s) => (s.serving.clone(), s.rejected.clone()),
            None => (None, None),
        };
        let sequence = pointer.sequence;
        if let Some(served) = current.as_ref().map(|c| &c.pointer).filter(|served| served.sequence == sequence) {
            if *served != pointer {
                let problem = "is served, and now says something else: two publishers wrote at once; publish again";
                return Err(format!("sequence {sequence} {problem}"));
            }
            // What the last look met, such as a registry out of reach, has passed.
            self.with_surface(surface, |s| s.problem = None);
            return Ok(());
        }
        if let Some((_, problem)) = rejected.filter(|(rejected, _)| *rejected == sequence) {
            return Err(problem);
        }
        let (current, limits) = (current.as_deref(), self.settings.limits);
        match Serving::load(&self.registry, Some(&self.cache), pointer, current, &self.host, limits).await {
            Ok(serving) => {
                self.store.set_sequence(&key, sequence).map_err(|e| e.to_string())?;
                self.cache.put(&format!("channels/{key}"), bytes).await.map_err(|e| e.to_string())?;
                tracing::info!(surface, sequence, "serving");
                self.swap(surface, serving);
                Ok(())
            }
            Err(e) => {
                metrics::counter!("hearth_rejected_total", "surface" => surface.to_owned()).increment(1);
                let problem = format!("sequence {sequence} is refused: {e}");
                if !e.is_transient() {
                    self.with_surface(surface, |s| s.rejected = Some((sequence, problem.clone())));
                }
                Err(problem)
            }
        }
    }

    /// Serves the pointer that was accepted last, also when it has expired since.
    async fn serve_cached(&self, surface: &str) -> Result<(), String> {
        let channel = &self.settings.channel;
        let (pointer, _) =
            self.cache.channel(surface, channel, &self.publishers, None, i64::MIN).await.map_err(|e| e.to_string())?;
        let serving = Serving::load(&self.cache, None, pointer, None, &self.host, self.settings.limits)
            .await
            .map_err(|e| e.to_string())?;
        self.swap(surface, serving);
        Ok(())
    }

    fn swap(&self, surface: &str, serving: Serving) {
        self.with_surface(surface, |s| {
            *s = Surface { serving: Some(Arc::new(serving)), problem: None, rejected: None }
        });
    }

    fn report(&self, surface: &str, problem: String) {
        self.with_surface(surface, |s| {
            // A problem that stays is said once.
            if s.problem.as_ref() != Some(&problem) {
                tracing::warn!(surface, problem, "the edge keeps serving what it has");
                s.problem = Some(problem);
            }
        });
    }

    fn with_surface(&self, surface: &str, f: impl FnOnce(&mut Surface)) {
        let mut surfaces = self.surfaces.write().unwrap_or_else(PoisonError::into_inner);
        f(surfaces.entry(surface.to_owned()).or_default());
    }

    fn read_surfaces(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Surface>> {
        self.surfaces.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_surfaces(&self) -> Vec<String> {
        self.read_surfaces().keys().cloned().collect()
    }

    fn serving(&self, surface: &str) -> Result<Arc<Serving>, AnswerError> {
        let surfaces = self.read_surfaces();
        match surfaces.get(surface) {
            Some(Surface { serving: Some(serving), .. }) => Ok(Arc::clone(serving)),
            Some(Surface { problem, .. }) => {
                let reason = problem.clone().unwrap_or_else(|| "the channel was not read yet".into());
                Err(AnswerError::NoBundle { surface: surface.to_owned(), reason })
            }
            None if self.settings.surfaces.iter().any(|s| s == surface) || surfaces.is_empty() => {
                let reason = format!("no channel `{}` was found in {}", self.settings.channel, self.registry.name());
                Err(AnswerError::NoBundle { surface: surface.to_owned(), reason })
            }
            None => {
                let known: Vec<&str> = surfaces.keys().map(String::as_str).collect();
                Err(AnswerError::UnknownSurface { surface: surface.to_owned(), known: known.join(", ") })
            }
        }
    }

    fn wants(&self, surface: &str) -> bool {
        self.settings.surfaces.is_empty() || self.settings.surfaces.iter().any(|s| s == surface)
    }
}

impl Surface {
    fn status(&self, now: i64) -> Status {
        let expired = self.serving.as_ref().filter(|s| now > s.pointer.expires);
        let expired = expired
            .map(|s| format!("the pointer expired at {}; it is served until a newer one comes", s.pointer.expires));
        Status {
            bundles: self.serving.iter().flat_map(|s| s.arms.iter().map(|a| a.arm.bundle)).collect(),
            tables: self.serving.iter().flat_map(|s| s.arms.iter().map(|a| a.newest().digest)).collect(),
            sequence: self.serving.as_ref().map(|s| s.pointer.sequence),
            problem: self.problem.clone().or(expired),
        }
    }
}

/// Folds what the spool has and the store does not into the histories.
fn fold_in(store: &Store, spool_folder: &std::path::Path) -> Result<Position, OpenError> {
    let from = store.position()?;
    let missed = spool::read_from(spool_folder, from)?;
    let reached = missed.last().map_or(from, |(_, position)| *position);
    let interactions: Vec<InteractionEvent> = missed
        .iter()
        .filter_map(|(entry, _)| match entry {
            Entry::Interaction(json) => serde_json::from_str(json).ok(),
            _ => None,
        })
        .collect();
    store.insert(&interactions)?;
    store.checkpoint(reached)?;
    Ok(reached)
}

/// Makes the state folder where it is not there; nobody else may write to it, whatever the umask allows.
fn make_state(folder: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.recursive(true).create(folder)
}

fn check_time(ts: i64, now: i64) -> Result<(), AnswerError> {
    let ahead_ms = ts.saturating_sub(now);
    if ahead_ms > MAX_FUTURE_MS { Err(AnswerError::Future { ahead_ms }) } else { Ok(()) }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as i64
}

#[cfg(test)]
mod tests;
