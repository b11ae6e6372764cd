//! The sandbox: engines run in wasmtime with a deadline and a memory limit on every call.
//!
//! A [`Host`] is one per process; a [`Guest`] is one loaded bundle with one table snapshot.
//! Every call gets an instance of its own, started from an image of the memory that the bundle was loaded into
//! ([`image`]), so that nothing of one user's request is there for the next one's.
//! For one tenant's batches instances can be kept between clean calls ([`Limits::keep`]).

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::encoder::Values;
use shared_features::floats::Floats;
use shared_features::rank::Ranked;
use shared_features::wire::{Call, Description, Explanation, Extracted, Load, Op, Reply};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

use crate::bundle::{EngineError, check_engine};

mod cache;
mod image;
mod instance;
mod quick;

use cache::Cache;
use instance::{Code, Image, Instance};
use quick::Quick;

/// Instances of a process at a time; a slot reserves 4 GiB of addresses, and memory only once it is used.
const CONCURRENT: u32 = 1_000;
/// The largest memory that any [`Limits`] allow.
const MAX_MEMORY: usize = 1 << 30;
/// Bytes of a slot that stay with the process between two uses.
const KEPT: usize = 16 << 20;

/// Compiled engines that a process keeps ready; what guests use stays in any case.
const COMPILED: usize = 8;

/// How many times longer than another call explaining may take: it follows every path of every tree.
const EXPLAIN: u32 = 40;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(1);

/// The process-wide part: compiler settings, the engines that were compiled last, and the clock of deadlines.
#[derive(Clone)]
pub struct Host {
    engine: Engine,
    quick: Option<Arc<Quick>>,
    compiled: Arc<Mutex<Compiled>>,
    /// Held while an engine is compiled, so that who wants the same one waits for it.
    compiling: Arc<Mutex<()>>,
    cache: Option<Cache>,
}

/// Compiled engines by digest, the latest first.
type Compiled = VecDeque<(Digest, Arc<Code>)>;

/// What a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// Time for one call.
    pub call: Duration,
    /// Time for loading a bundle.
    pub load: Duration,
    /// Whether an instance is kept for the next call after a clean one, instead of one call each.
    pub keep: bool,
    /// Whether a guest whose engine is not compiled yet starts on code that is made at once and runs slower, to the
    /// same bits, until better code is there.
    pub at_once: bool,
}

/// A loaded bundle, ready to be called from any thread.
pub struct Guest {
    host: Host,
    /// Changes once at most, where the guest started on code that was made at once.
    image: Arc<RwLock<Image>>,
    limits: Limits,
    /// Kept instances; empty unless [`Limits::keep`].
    idle: Mutex<Vec<Instance>>,
}

/// Why a guest gives no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The engine's file is refused.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// wasmtime cannot compile or start it.
    #[error("the engine cannot be compiled or started: {reason}")]
    Compile {
        /// Why.
        reason: String,
    },
    /// Another ABI.
    #[error("the engine speaks ABI {got}, this host {expected}; publish with an engine of this version")]
    Abi {
        /// The engine's.
        got: u32,
        /// This host's.
        expected: u32,
    },
    /// The guest trapped.
    #[error("the engine trapped: {reason}")]
    Trap {
        /// What wasmtime says.
        reason: String,
    },
    /// The guest took too long.
    #[error("the engine took longer than {ms} ms")]
    Deadline {
        /// The limit.
        ms: u64,
    },
    /// The guest needs more memory than it may have.
    #[error("the engine needs more than {limit} bytes of memory")]
    Memory {
        /// The limit.
        limit: usize,
    },
    /// The guest refused its input, in its own words.
    #[error("the engine refused: {}", shared_features::printable::sentence(.reason))]
    Refused {
        /// Its words.
        reason: String,
    },
    /// A reply that is not one.
    #[error("the engine's reply makes no sense: {reason}")]
    Reply {
        /// Why.
        reason: String,
    },
}

impl Limits {
    /// For answering requests.
    pub fn serving() -> Limits {
        let (call, load) = (Duration::from_millis(250), Duration::from_secs(10));
        Limits { memory_bytes: 256 << 20, call, load, keep: false, at_once: false }
    }

    /// For a trainer's large calls.
    pub fn batch() -> Limits {
        let (call, load) = (Duration::from_secs(300), Duration::from_secs(60));
        Limits { memory_bytes: 1 << 30, call, load, keep: true, at_once: false }
    }
}

impl Host {
    /// The host of this process.
    ///
    /// # Errors
    /// wasmtime refuses its own settings on this machine.
    pub fn shared() -> Result<&'static Host, HostError> {
        static HOST: OnceLock<Result<Host, HostError>> = OnceLock::new();
        HOST.get_or_init(Host::new).as_ref().map_err(Clone::clone)
    }

    /// A host like this one, with compiled engines and images of bundles kept in a folder that nobody else may write to.
    ///
    /// # Errors
    /// The folder cannot be made, is another user's, or others may write to it or to the one that it is in.
    pub fn with_cache(&self, folder: &Path) -> std::io::Result<Host> {
        Ok(Host { cache: Some(Cache::open(folder)?), compiled: Arc::default(), ..self.clone() })
    }

    fn new() -> Result<Host, HostError> {
        let failed = |e: wasmtime::Error| HostError::Compile { reason: format!("{e:#}") };
        let engine = Engine::new(&pooling()).or_else(|_| Engine::new(&on_demand())).map_err(failed)?;
        let quick = Quick::new().map(Arc::new);
        let clocks: Vec<_> =
            std::iter::once(&engine).chain(quick.as_ref().map(|q| &q.engine)).map(Engine::weak).collect();
        std::thread::Builder::new()
            .name("hearth-deadlines".into())
            .spawn(move || {
                // They end together, with the host.
                while clocks.iter().filter_map(|clock| clock.upgrade()).map(|e| e.increment_epoch()).count() > 0 {
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|e| HostError::Compile { reason: e.to_string() })?;
        Ok(Host { engine, quick, compiled: Arc::default(), compiling: Arc::default(), cache: None })
    }

    /// An engine that was compiled lately, in this process or into the cache.
    fn compiled(&self, digest: Digest) -> Option<Arc<Code>> {
        let ready = lock(&self.compiled).iter().find(|(known, _)| *known == digest).map(|(_, code)| Arc::clone(code));
        if let Some(code) = ready {
            if let Some(cache) = &self.cache {
                cache.renew_code(&self.engine, digest);
            }
            return Some(code);
        }
        let kept = self.cache.as_ref()?.code(&self.engine, digest)?;
        Some(self.remember(digest, kept))
    }

    /// Checks and compiles an engine, unless it was lately.
    fn compile(&self, wasm: &[u8], digest: Digest) -> Result<Arc<Code>, HostError> {
        let _compiling = lock(&self.compiling);
        if let Some(code) = self.compiled(digest) {
            return Ok(code);
        }
        check_engine(wasm)?;
        let code = Code::compile(&self.engine, wasm)?;
        self.keep("a compiled engine", |cache| cache.keep_code(&self.engine, digest, &code));
        Ok(self.remember(digest, code))
    }

    fn remember(&self, digest: Digest, code: Code) -> Arc<Code> {
        let code = Arc::new(code);
        let mut compiled = lock(&self.compiled);
        compiled.push_front((digest, Arc::clone(&code)));
        compiled.truncate(COMPILED);
        code
    }

    /// A bundle's image on code that is made at once; `None` where better code is there, or none can be made at once.
    fn load_at_once(
        &self,
        wasm: &[u8],
        digest: Digest,
        load: &[u8],
        limits: &Limits,
    ) -> Result<Option<Image>, HostError> {
        let Some(quick) = self.quick.as_ref().filter(|_| limits.at_once && self.compiled(digest).is_none()) else {
            return Ok(None);
        };
        check_engine(wasm)?;
        quick.code(wasm, digest).map(|code| code.load(load, limits)).transpose()
    }

    /// A bundle's image, unless it was loaded before.
    fn load(&self, wasm: &[u8], digest: Digest, load: &[u8], limits: &Limits) -> Result<Image, HostError> {
        let code = self.compile(wasm, digest)?;
        let Some(cache) = &self.cache else { return code.load(load, limits) };
        let loaded = Digest::of(&[&digest.as_bytes()[..], Digest::of(load).as_bytes()].concat());
        if let Some(memory) = cache.memory(&self.engine, loaded) {
            return Ok(Image::of(&code, memory));
        }
        let image = code.load(load, limits)?;
        self.keep("a loaded bundle", |cache| cache.keep_memory(&self.engine, loaded, image.memory()));
        Ok(image)
    }

    fn keep(&self, what: &str, put: impl FnOnce(&Cache) -> std::io::Result<()>) {
        if let Some(Err(error)) = self.cache.as_ref().map(put) {
            tracing::warn!(%error, "{what} cannot be kept; the next start makes it again");
        }
    }
}

/// What every engine runs with.
fn settings() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true).wasm_relaxed_simd(false).wasm_memory64(false);
    config
}

/// Slots that are used again and put back to their image page by page, instead of being mapped anew:
/// a request then touches memory that is there already.
fn pooling() -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_memories(CONCURRENT)
        .total_core_instances(2 * CONCURRENT)
        .total_tables(CONCURRENT)
        .max_memory_size(MAX_MEMORY)
        .linear_memory_keep_resident(KEPT)
        .pagemap_scan(Enabled::Auto);
    let mut config = settings();
    config.allocation_strategy(pool);
    config
}

/// Where so many addresses are not to be had (`ulimit -v`, a small machine): memories as large as they are, which
/// costs a comparison for every access.
fn on_demand() -> Config {
    let mut config = settings();
    config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(0);
    config
}

impl Guest {
    /// Checks and compiles an engine, loads a bundle's parts into it, and takes the image that calls start from.
    ///
    /// # Errors
    /// An engine that is refused, or parts that the engine refuses.
    pub fn new(host: &Host, wasm: &[u8], load: &Load, limits: Limits) -> Result<Guest, HostError> {
        let (digest, load) = (Digest::of(wasm), codec::encode(load));
        let provisional = host.load_at_once(wasm, digest, &load, &limits)?;
        let is_provisional = provisional.is_some();
        let image = match provisional {
            Some(image) => image,
            None => host.load(wasm, digest, &load, &limits)?,
        };
        let image = Arc::new(RwLock::new(image));
        let guest = Guest { host: host.clone(), image, limits, idle: Mutex::default() };
        if is_provisional {
            guest.improve(wasm.to_vec(), digest, load);
        }
        Ok(guest)
    }

    /// Makes better code on a thread of its own, and goes on with it once it is there.
    fn improve(&self, wasm: Vec<u8>, digest: Digest, load: Vec<u8>) {
        let (host, limits, image) = (self.host.clone(), self.limits, Arc::downgrade(&self.image));
        let improve = move || {
            let better = host.load(&wasm, digest, &load, &limits);
            if let (Some(image), Ok(better)) = (image.upgrade(), &better) {
                *image.write().unwrap_or_else(PoisonError::into_inner) = better.clone();
            }
            if let Some(quick) = &host.quick {
                quick.forget();
            }
            if let Err(error) = better {
                tracing::error!(%error, "an engine cannot be compiled for speed; it goes on as it started");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("hearth-compiler".into()).spawn(improve) {
            tracing::error!(%error, "no thread to compile an engine for speed on; it goes on as it started");
        }
    }

    /// Whether the guest still runs on code that was made at once.
    pub fn is_provisional(&self) -> bool {
        self.image().is_of(self.host.quick.as_ref().map(|q| &q.engine))
    }

    fn image(&self) -> Image {
        self.image.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the engine is and holds.
    ///
    /// # Errors
    /// The engine fails.
    pub fn describe(&self) -> Result<Description, HostError> {
        self.call(Op::Describe, &())
    }

    /// The values of each request.
    ///
    /// # Errors
    /// The engine fails or refuses a request.
    pub fn extract(&self, call: &Call) -> Result<Vec<Extracted>, HostError> {
        self.call(Op::Extract, call)
    }

    /// The vectors of values, row-major.
    ///
    /// # Errors
    /// The engine fails or refuses the values.
    pub fn encode(&self, values: &Values) -> Result<Vec<f32>, HostError> {
        self.call(Op::Encode, values).map(|Floats(vectors)| vectors)
    }

    /// A score for each vector.
    ///
    /// # Errors
    /// The engine fails or refuses the vectors.
    pub fn score(&self, vectors: &[f32]) -> Result<Vec<f32>, HostError> {
        self.call(Op::Score, &Floats(vectors.to_vec())).map(|Floats(scores)| scores)
    }

    /// The slate and log rows of each request.
    ///
    /// # Errors
    /// The engine fails or refuses a request.
    pub fn rank(&self, call: &Call) -> Result<Vec<Ranked>, HostError> {
        let ranked: Vec<Ranked> = self.call(Op::Rank, call)?;
        if ranked.len() != call.requests.len() {
            let reason = format!("{} answers to {} requests", ranked.len(), call.requests.len());
            return Err(HostError::Reply { reason });
        }
        Ok(ranked)
    }

    /// What each number of a vector adds to the score of each candidate, as the engine says it: nothing is checked.
    ///
    /// # Errors
    /// The engine fails or refuses a request.
    pub fn explain(&self, call: &Call) -> Result<Explanation, HostError> {
        let limits = Limits { call: self.limits.call.saturating_mul(EXPLAIN), ..self.limits };
        self.call_within(&limits, Op::Explain, call)
    }

    /// Linear memory of all instances that are kept, in bytes.
    pub fn kept_memory(&self) -> usize {
        lock(&self.idle).iter().map(Instance::memory_bytes).sum()
    }

    /// Starts an instance as a call does, for measuring what that takes.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn start(&self) -> Result<impl Sized + use<>, HostError> {
        self.image().start(&self.limits, self.limits.call)
    }

    fn call<M: Serialize, R: DeserializeOwned>(&self, op: Op, message: &M) -> Result<R, HostError> {
        self.call_within(&self.limits, op, message)
    }

    fn call_within<M: Serialize, R: DeserializeOwned>(
        &self,
        limits: &Limits,
        op: Op,
        message: &M,
    ) -> Result<R, HostError> {
        let idle = lock(&self.idle).pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.image().start(limits, limits.call)?,
        };
        let reply = instance.call(op, &codec::encode(message), limits)?;
        let reply: Reply<R> = codec::decode(&reply, "reply").map_err(|e| HostError::Reply { reason: e.to_string() })?;
        if self.limits.keep {
            lock(&self.idle).push(instance);
        }
        reply.map_err(|reason| HostError::Refused { reason })
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A lock whose holder panicked still holds whole values here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
