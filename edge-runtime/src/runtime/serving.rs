//! What a surface serves: a verified pointer with its bundles loaded. It never changes; a newer one replaces it whole.

use std::sync::Arc;

use shared_features::digest::Digest;
use shared_features::encoder::{Encoder, EncoderError};
use shared_features::policy::{Policy, PolicyError};
use shared_features::tables::{Tables, TablesError};
use shared_features::wire::Load;

use crate::bundle::{Bundle, Role};
use crate::channel::{self, Channel};
use crate::golden::{GoldenError, self_test};
use crate::host::{Guest, Host, HostError, Limits};
use crate::registry::{Registry, RegistryError};

/// How many snapshots of an arm are held.
const SNAPSHOTS: usize = 3;

/// A pointer with its bundles loaded.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) pointer: Channel,
    pub(super) arms: Vec<Arc<Arm>>,
}

/// A loaded bundle of a pointer.
#[derive(Debug)]
pub(super) struct Arm {
    pub(super) arm: channel::Arm,
    pub(super) encoder: Encoder,
    pub(super) encoder_hash: Digest,
    pub(super) policy: Policy,
    /// Newest first; at least one.
    snapshots: Vec<Arc<Snapshot>>,
}

/// A table snapshot with the bundle loaded over it.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) digest: Digest,
    pub(super) tables: Tables,
    pub(super) guest: Guest,
}

/// Why a pointer is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum LoadError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("arm `{arm}` serves a bundle of surface `{got}`, this is `{expected}`")]
    Surface { arm: String, got: String, expected: String },
    #[error("encoder: {0}")]
    Encoder(#[from] EncoderError),
    #[error("policy: {0}")]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
    #[error("the edge is stopping")]
    Stopping,
}

impl LoadError {
    /// Whether trying the same pointer again may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            LoadError::Registry(error) => error.is_transient(),
            LoadError::Stopping => true,
            _ => false,
        }
    }
}

impl Serving {
    /// Loads every arm; arms whose bundle is served already keep their instances and snapshots.
    pub(super) async fn load(
        registry: &Registry,
        cache: Option<&Registry>,
        pointer: Channel,
        current: Option<&Serving>,
        host: &Host,
        limits: Limits,
    ) -> Result<Serving, LoadError> {
        let mut arms = Vec::new();
        for arm in &pointer.arms {
            let known = current.and_then(|c| c.arms.iter().find(|a| a.arm.bundle == arm.bundle));
            arms.push(Arc::new(Arm::load(registry, cache, &pointer.surface, arm, known, host, limits).await?));
        }
        Ok(Serving { pointer, arms })
    }

    /// The arm that serves a user.
    pub(super) fn arm_for(&self, user: &str) -> &Arm {
        let chosen = self.pointer.arm_for(user);
        self.arms.iter().find(|a| a.arm.name == chosen.name).unwrap_or(&self.arms[0])
    }
}

impl Arm {
    async fn load(
        registry: &Registry,
        cache: Option<&Registry>,
        surface: &str,
        arm: &channel::Arm,
        known: Option<&Arc<Arm>>,
        host: &Host,
        limits: Limits,
    ) -> Result<Arm, LoadError> {
        let bundle = bundle(registry, cache, arm.bundle).await?;
        let got = &bundle.manifest().surface;
        if got != surface {
            return Err(LoadError::Surface { arm: arm.name.clone(), got: got.clone(), expected: surface.into() });
        }
        let newer = match arm.tables {
            Some(digest) => Some(blob(registry, cache, digest).await?),
            None => None,
        };
        let held = known.map(|k| k.snapshots.clone()).unwrap_or_default();
        let (arm, host) = (arm.clone(), host.clone());
        // Compiling and self-testing take time that belongs to no request.
        let loaded = tokio::task::spawn_blocking(move || Arm::build(arm, &bundle, newer, held, &host, limits)).await;
        loaded.map_err(|_| LoadError::Stopping)?
    }

    fn build(
        arm: channel::Arm,
        bundle: &Bundle,
        newer: Option<Vec<u8>>,
        held: Vec<Arc<Snapshot>>,
        host: &Host,
        limits: Limits,
    ) -> Result<Arm, LoadError> {
        let load = bundle.load();
        let encoder = Encoder::from_bytes(&load.encoder)?;
        let policy = Policy::from_bytes(&load.policy, &encoder)?;
        let mut snapshots = held;
        for tables in [Some(load.tables.clone()), newer].into_iter().flatten() {
            let digest = Digest::of(&tables);
            if snapshots.iter().any(|s| s.digest == digest) {
                continue;
            }
            let own = tables == load.tables;
            let snapshot = Snapshot::load(bundle, Load { tables, ..load.clone() }, &encoder, host, limits)?;
            if own {
                self_test(&snapshot.guest, bundle.blob(Role::Golden))?;
            }
            snapshots.push(Arc::new(snapshot));
        }
        snapshots.sort_by_key(|s| std::cmp::Reverse((s.tables.valid_from, s.digest)));
        snapshots.truncate(SNAPSHOTS);
        Ok(Arm { arm, encoder_hash: bundle.manifest().encoder, encoder, policy, snapshots })
    }

    /// The newest snapshot that is valid at this time, else the oldest one that is held.
    pub(super) fn snapshot_for(&self, ts: i64) -> &Snapshot {
        let valid = self.snapshots.iter().find(|s| s.tables.valid_from <= ts);
        valid.or(self.snapshots.last()).expect("an arm has at least its bundle's snapshot")
    }

    /// The newest snapshot.
    pub(super) fn newest(&self) -> &Snapshot {
        self.snapshots.first().expect("an arm has at least its bundle's snapshot")
    }
}

impl Snapshot {
    fn load(
        bundle: &Bundle,
        load: Load,
        encoder: &Encoder,
        host: &Host,
        limits: Limits,
    ) -> Result<Snapshot, LoadError> {
        let tables = Tables::from_bytes(&load.tables, &encoder.schema, &encoder.statistics)?;
        let guest = Guest::new(host, bundle.engine(), &load, limits)?;
        Ok(Snapshot { digest: Digest::of(&load.tables), tables, guest })
    }
}

/// A bundle from the cache where it is there, else from the registry into the cache.
async fn bundle(registry: &Registry, cache: Option<&Registry>, digest: Digest) -> Result<Bundle, LoadError> {
    let Some(cache) = cache else { return Ok(registry.bundle(digest).await?) };
    if let Ok(bundle) = cache.bundle(digest).await {
        return Ok(bundle);
    }
    let bundle = registry.bundle_near(digest, Some(cache)).await?;
    cache.put_bundle(&bundle).await?;
    Ok(bundle)
}

/// A blob, likewise.
async fn blob(registry: &Registry, cache: Option<&Registry>, digest: Digest) -> Result<Vec<u8>, LoadError> {
    let Some(cache) = cache else { return Ok(registry.blob(digest).await?) };
    if let Ok(blob) = cache.blob(digest).await {
        return Ok(blob);
    }
    let blob = registry.blob(digest).await?;
    cache.put_blob(&blob).await?;
    Ok(blob)
}
