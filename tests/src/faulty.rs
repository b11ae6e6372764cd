//! An object store that fails, stalls, and reads and writes in part, on a schedule that a seed determines.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use shared_features::random::Random;

/// A store whose operations go wrong, each with the same probability, until it is calm.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: Arc<S>,
    random: Mutex<Random>,
    /// Of a hundred operations, so many go wrong.
    percent: u64,
    /// How long a stall lasts.
    stall: Duration,
    calm: AtomicBool,
    faults: AtomicU64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It fails, and has done nothing.
    Before,
    /// It fails, although it was done.
    After,
    /// It is done much later than anybody waits for.
    Late,
    /// It is done in part, and fails.
    Part,
    /// It is done in part, and nothing is said.
    SilentPart,
}

const FAULTS: [Fault; 5] = [Fault::Before, Fault::After, Fault::Late, Fault::Part, Fault::SilentPart];

impl<S: ObjectStore> Faulty<S> {
    /// A store over another one.
    pub fn new(inner: S, seed: &str, percent: u64, stall: Duration) -> Faulty<S> {
        let random = Mutex::new(Random::keyed("faults", seed));
        let (calm, faults) = (AtomicBool::new(false), AtomicU64::new(0));
        Faulty { inner: Arc::new(inner), random, percent, stall, calm, faults }
    }

    /// Lets nothing go wrong from now on.
    pub fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// How often something went wrong.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    fn fault(&self) -> Option<(Fault, u64)> {
        if self.calm.load(Ordering::Relaxed) {
            return None;
        }
        let mut random = self.random.lock().expect("nobody panics with it");
        if random.below(100) >= self.percent {
            return None;
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        Some((FAULTS[random.below(FAULTS.len() as u64) as usize], random.below(1 << 32)))
    }
}

fn failed(what: &str) -> Error {
    Error::Generic { store: "faulty", source: format!("a fault: {what}").into() }
}

/// The first part of a payload, shorter than all of it.
fn part(payload: &PutPayload, random: u64) -> PutPayload {
    let bytes: Vec<u8> = payload.iter().flat_map(|chunk| chunk.iter().copied()).collect();
    let length = random as usize % bytes.len().max(1);
    bytes[..length].to_vec().into()
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Faulty<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.fault() {
            None => self.inner.put_opts(location, payload, options).await,
            Some((Fault::Before, _)) => Err(failed("nothing is written")),
            Some((Fault::After, _)) => {
                self.inner.put_opts(location, payload, options).await?;
                Err(failed("it is written"))
            }
            Some((Fault::Late, _)) => {
                let (inner, location, stall) = (Arc::clone(&self.inner), location.clone(), self.stall);
                let late = tokio::spawn(async move {
                    tokio::time::sleep(stall).await;
                    inner.put_opts(&location, payload, options).await
                });
                late.await.map_err(|_| failed("the store has stopped"))?
            }
            Some((Fault::Part, random)) => {
                self.inner.put_opts(location, part(&payload, random), options).await?;
                Err(failed("it is written in part"))
            }
            Some((Fault::SilentPart, random)) => self.inner.put_opts(location, part(&payload, random), options).await,
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(failed("nobody uploads in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.fault() {
            None => self.inner.get_opts(location, options).await,
            Some((Fault::Before | Fault::After, _)) => Err(failed("nothing is read")),
            Some((Fault::Late, _)) => {
                tokio::time::sleep(self.stall).await;
                self.inner.get_opts(location, options).await
            }
            Some((Fault::Part | Fault::SilentPart, random)) => {
                let found = self.inner.get_opts(location, options).await?;
                let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
                let bytes = found.bytes().await?;
                let short = bytes.slice(..random as usize % bytes.len().max(1));
                let payload = GetResultPayload::Stream(futures::stream::once(async { Ok(short) }).boxed());
                Ok(GetResult { payload, meta, range, attributes })
            }
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<axum::body::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.fault() {
            None => self.inner.delete_stream(locations),
            Some((Fault::After | Fault::Late, _)) => {
                let deleted = self.inner.delete_stream(locations);
                deleted.map(|deleted| deleted.and(Err(failed("it is deleted")))).boxed()
            }
            Some(_) => locations.map(|_| Err(failed("nothing is deleted"))).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.fault() {
            None => self.inner.list(prefix),
            Some((Fault::Late, _)) => {
                let (listed, stall) = (self.inner.list(prefix), self.stall);
                let late = async move {
                    tokio::time::sleep(stall).await;
                    listed
                };
                late.flatten_stream().boxed()
            }
            // What came before a failure is no list.
            Some((_, random)) => {
                let first = self.inner.list(prefix).take(random as usize % 3);
                first.chain(futures::stream::once(async { Err(failed("the list breaks off")) })).boxed()
            }
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl<S: ObjectStore> std::fmt::Display for Faulty<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}
