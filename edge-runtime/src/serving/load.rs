//! Loading what a pointer names, from the registry through the edge's cache.

use std::sync::Arc;

use shared_features::digest::Digest;

use super::{Arm, LoadError, Serving};
use crate::bundle::Bundle;
use crate::channel::{self, Channel};
use crate::host::{Host, Limits};
use crate::registry::Registry;

impl Serving {
    /// Loads every arm; arms whose bundle is served already keep their instances, snapshots and counts.
    pub(crate) async fn load(
        registry: &Registry,
        cache: Option<&Registry>,
        pointer: Channel,
        current: Option<&Serving>,
        host: &Host,
        limits: Limits,
    ) -> Result<Serving, LoadError> {
        // Where nothing answers yet, slow answers are better than none.
        let limits = Limits { at_once: current.is_none(), ..limits };
        let mut arms = Vec::new();
        for arm in &pointer.arms {
            let known = current.and_then(|c| c.arms.iter().find(|a| a.arm.bundle == arm.bundle));
            arms.push(Arc::new(Arm::load(registry, cache, &pointer.surface, arm, known, host, limits).await?));
        }
        Ok(Serving { pointer, arms })
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
        let mut arm = loaded.map_err(|_| LoadError::Stopping)??;
        if let Some(known) = known {
            arm.drift = Arc::clone(&known.drift);
        }
        Ok(arm)
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
