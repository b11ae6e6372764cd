//! What a surface serves: a verified pointer with its bundles loaded. It never changes; a newer one replaces it whole.

use std::sync::Arc;

use shared_features::digest::Digest;
use shared_features::encoder::{Encoder, EncoderError};
#[cfg(not(target_arch = "wasm32"))]
use shared_features::feature_log::Record;
use shared_features::policy::{Policy, PolicyError};
use shared_features::tables::{Tables, TablesError};
use shared_features::wire::Load;

use crate::bundle::{Bundle, Role};
use crate::channel::{self, Channel};
#[cfg(not(target_arch = "wasm32"))]
use crate::drift::Drift;
use crate::golden::{GoldenError, self_test};
use crate::host::{Guest, Host, HostError, Limits};
use crate::profile::{Profile, ProfileError};
use crate::registry::RegistryError;
use crate::sampling::Sampling;

#[cfg(not(target_arch = "wasm32"))]
mod load;

/// How many snapshots of an arm are held.
const SNAPSHOTS: usize = 3;

/// A pointer with its bundles loaded.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) pointer: Channel,
    pub(crate) arms: Vec<Arc<Arm>>,
}

/// A loaded bundle of a pointer.
#[derive(Debug)]
pub(crate) struct Arm {
    pub(crate) arm: channel::Arm,
    pub(crate) encoder: Encoder,
    pub(crate) encoder_hash: Digest,
    pub(crate) policy: Policy,
    /// Which requests are logged.
    pub(crate) sampling: Sampling,
    /// What it logs, held against its bundle's profile.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) drift: Arc<Drift>,
    /// Newest first; at least one.
    snapshots: Vec<Arc<Snapshot>>,
}

/// A table snapshot with the bundle loaded over it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) digest: Digest,
    pub(crate) tables: Tables,
    pub(crate) guest: Guest,
}

/// Why a pointer is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoadError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("arm `{arm}` serves a bundle of surface `{got}`, this is `{expected}`")]
    Surface { arm: String, got: String, expected: String },
    #[error("encoder: {0}")]
    Encoder(#[from] EncoderError),
    #[error("policy: {0}")]
    Policy(#[from] PolicyError),
    #[error("profile: {0}")]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
    #[cfg(not(target_arch = "wasm32"))]
    #[error("the edge is stopping")]
    Stopping,
}

impl LoadError {
    /// Whether trying the same pointer again may help.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            LoadError::Registry(error) => error.is_transient(),
            LoadError::Stopping => true,
            _ => false,
        }
    }
}

impl Serving {
    /// The arm that serves a user.
    pub(crate) fn arm_for(&self, user: &str) -> &Arm {
        let chosen = self.pointer.arm_for(user);
        self.arms.iter().find(|a| a.arm.name == chosen.name).unwrap_or(&self.arms[0])
    }

    /// Counts what is logged of a request, for its arm's drift.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn count(&self, record: &Record) {
        if let Some(arm) = self.arms.iter().find(|a| a.arm.name == record.arm) {
            arm.drift.count(&record.rows.values);
        }
    }
}

impl Arm {
    /// Loads an arm's bundle, over its own tables and over newer ones.
    pub(crate) fn build(
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
        #[cfg_attr(target_arch = "wasm32", expect(unused_variables))]
        let profile = Profile::from_bytes(bundle.blob(Role::Profile), &encoder)?;
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
        Ok(Arm {
            arm,
            encoder_hash: bundle.manifest().encoder,
            #[cfg(not(target_arch = "wasm32"))]
            drift: Arc::new(Drift::new(&encoder, profile)),
            encoder,
            policy,
            sampling: bundle.manifest().sampling,
            snapshots,
        })
    }

    /// The newest snapshot that is valid at this time, else the oldest one that is held.
    pub(crate) fn snapshot_for(&self, ts: i64) -> &Snapshot {
        let valid = self.snapshots.iter().find(|s| s.tables.valid_from <= ts);
        valid.or(self.snapshots.last()).expect("an arm has at least its bundle's snapshot")
    }

    /// The newest snapshot.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn newest(&self) -> &Snapshot {
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
