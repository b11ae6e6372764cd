//! The bundles that rows name, from the registry: what has been released, and the engine that encodes again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use edge_runtime::bundle::Role;
use edge_runtime::host::{Guest, Host, HostError, Limits};
use edge_runtime::registry::{Registry, RegistryError};
use edge_runtime::sign::Trusted;
use shared_features::digest::Digest;
use shared_features::encoder::Encoder;

/// Loaded bundles that are kept ready.
const LOADED: usize = 8;

/// The bundles of a registry.
#[derive(Debug)]
pub(super) struct Bundles {
    registry: Registry,
    publishers: Trusted,
    host: &'static Host,
    /// The latest first.
    loaded: Mutex<VecDeque<(Digest, Found)>>,
    published: tokio::sync::Mutex<Published>,
}

/// The snapshots that were published, as far as the audit log was read.
#[derive(Debug, Default)]
struct Published {
    tables: Arc<BTreeSet<Digest>>,
    after: String,
}

/// What there is of a bundle.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// It was released.
    Judge(Arc<Judge>),
    /// The registry does not have it, or not whole.
    Unknown(String),
    /// No trusted publisher has released it.
    Unreleased,
}

/// A released bundle, loaded.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) surface: String,
    pub(super) encoder: Encoder,
    pub(super) encoder_hash: Digest,
    pub(super) own_tables: Digest,
    pub(super) guest: Guest,
}

impl Bundles {
    /// # Errors
    /// The sandbox does not start.
    pub(super) fn new(registry: Registry, publishers: Trusted) -> Result<Bundles, HostError> {
        let (loaded, published) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Bundles { registry, publishers, host: Host::shared()?, loaded, published })
    }

    /// A bundle; what is not found is looked for again the next time.
    ///
    /// # Errors
    /// The registry fails: trying again may help.
    pub(super) async fn find(&self, digest: Digest) -> Result<Found, RegistryError> {
        let held = self.loaded().iter().find(|(known, _)| *known == digest).map(|(_, found)| found.clone());
        if let Some(found) = held {
            return Ok(found);
        }
        let found = self.load(digest).await?;
        if matches!(found, Found::Judge(_)) {
            let mut loaded = self.loaded();
            loaded.push_front((digest, found.clone()));
            loaded.truncate(LOADED);
        }
        Ok(found)
    }

    async fn load(&self, digest: Digest) -> Result<Found, RegistryError> {
        let bundle = match self.registry.bundle(digest).await {
            Ok(bundle) => bundle,
            Err(error @ RegistryError::Store { .. }) => return Err(error),
            // A folder that is not mounted has nothing, which says nothing about the row.
            Err(error @ RegistryError::NotFound { .. }) if !self.registry.has_channels().await? => return Err(error),
            Err(error) => return Ok(Found::Unknown(error.to_string())),
        };
        let surface = bundle.manifest().surface.clone();
        if !self.registry.is_released(&surface, digest, &self.publishers).await? {
            return Ok(Found::Unreleased);
        }
        let host = self.host;
        let loaded = tokio::task::spawn_blocking(move || {
            let load = bundle.load();
            let encoder = Encoder::from_bytes(&load.encoder).map_err(|e| e.to_string())?;
            let guest = Guest::new(host, bundle.engine(), &load, Limits::batch()).map_err(|e| e.to_string())?;
            let own_tables = bundle.manifest().blob(Role::Tables).sha256;
            Ok(Judge { surface, encoder, encoder_hash: bundle.manifest().encoder, own_tables, guest })
        });
        Ok(match loaded.await {
            Ok(Ok(judge)) => Found::Judge(Arc::new(judge)),
            Ok(Err(reason)) => Found::Unknown(reason),
            Err(error) => Found::Unknown(error.to_string()),
        })
    }

    /// The snapshots that were published; the registry is read where one of `wanted` is not known.
    ///
    /// # Errors
    /// The registry fails: trying again may help.
    pub(super) async fn published(&self, wanted: &BTreeSet<Digest>) -> Result<Arc<BTreeSet<Digest>>, RegistryError> {
        let mut published = self.published.lock().await;
        if !wanted.is_subset(&published.tables) {
            let (mut tables, mut after) = ((*published.tables).clone(), published.after.clone());
            self.registry.published_tables(&self.publishers, &mut after, &mut tables).await?;
            *published = Published { tables: Arc::new(tables), after };
        }
        Ok(Arc::clone(&published.tables))
    }

    /// A snapshot's bytes.
    ///
    /// # Errors
    /// The registry fails or does not have it.
    pub(super) async fn tables(&self, digest: Digest) -> Result<Vec<u8>, RegistryError> {
        self.registry.blob(digest).await
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, VecDeque<(Digest, Found)>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
