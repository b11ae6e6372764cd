//! Bundles: an immutable set of bytes that determines answers, named by the digest of its manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;
use shared_features::wire::{ABI, Load};

use crate::sampling::Sampling;

mod engine;

pub use engine::{EngineError, check_engine};

/// Version of the manifest.
pub const FORMAT: u32 = 3;
/// Largest manifest, in bytes.
pub(crate) const MAX_MANIFEST: usize = 64 << 10;

/// What a blob is in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// WebAssembly.
    Engine,
    /// Schema, features, fitted constants, baselines.
    Encoder,
    /// Candidates, rules, exploration, fallback.
    Policy,
    /// ONNX.
    Model,
    /// A table snapshot.
    Tables,
    /// Made-up requests with the answers that every host must give.
    Golden,
    /// What the values of training rows were like.
    Profile,
}

/// All roles, each of which a bundle has exactly once.
pub const ROLES: [Role; 7] =
    [Role::Engine, Role::Encoder, Role::Policy, Role::Model, Role::Tables, Role::Golden, Role::Profile];

/// The manifest; its bytes are canonical JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The surface.
    pub surface: String,
    /// The engine's ABI and build.
    pub engine: EngineInfo,
    /// The encoder's hash.
    pub encoder: Digest,
    /// The blobs, in the order of [`ROLES`].
    pub blobs: Vec<Blob>,
    /// Digest of the events that trained it.
    pub training_data: Digest,
    /// Which requests an edge logs.
    pub sampling: Sampling,
}

/// What an engine is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineInfo {
    /// ABI version.
    pub abi: u32,
    /// `compact` or `onnx`.
    pub kind: String,
}

/// A blob of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// What it is.
    pub role: Role,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// A bundle whose bytes have been checked against its manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    blobs: BTreeMap<Role, Vec<u8>>,
}

/// Why a bundle is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The manifest is not one.
    #[error("the manifest: {reason}")]
    Manifest {
        /// Why.
        reason: String,
    },
    /// A manifest of other bytes than the pointer names.
    #[error("the manifest has digest {got}, expected {expected}; it was altered")]
    Digest {
        /// What came.
        got: Digest,
        /// What was named.
        expected: Digest,
    },
    /// A version this build does not read.
    #[error("{what} version {got}, this build reads {expected}; update the edge or publish for this version")]
    Version {
        /// `bundle format` or `ABI`.
        what: &'static str,
        /// The bundle's.
        got: u32,
        /// This build's.
        expected: u32,
    },
    /// A role that is missing or stands twice.
    #[error("the manifest has {count} blobs with role {role:?}, expected one")]
    Role {
        /// Which.
        role: Role,
        /// How many.
        count: usize,
    },
    /// A blob of another size.
    #[error("blob {role:?} has {got} bytes, the manifest says {expected}; it is truncated or altered")]
    Size {
        /// Which.
        role: Role,
        /// What came.
        got: u64,
        /// What was expected.
        expected: u64,
    },
    /// A blob that is larger than its role may be.
    #[error("blob {role:?} has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Which.
        role: Role,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob of other bytes.
    #[error("blob {role:?} does not have the digest that the manifest names; it was altered")]
    Altered {
        /// Which.
        role: Role,
    },
    /// The encoder's hash is not the encoder blob's.
    #[error("the manifest's encoder hash is not the digest of its encoder blob")]
    EncoderHash,
    /// The engine.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
}

impl Role {
    /// Largest size, in bytes.
    pub fn limit(self) -> u64 {
        match self {
            Role::Engine => 32 << 20,
            Role::Model => 64 << 20,
            Role::Tables => shared_features::tables::MAX_BYTES as u64,
            Role::Encoder | Role::Policy | Role::Golden | Role::Profile => 4 << 20,
        }
    }
}

impl Manifest {
    /// Reads a manifest and checks everything that does not need the blobs.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn parse(bytes: &[u8]) -> Result<Manifest, BundleError> {
        let refuse = |reason: String| BundleError::Manifest { reason };
        if bytes.len() > MAX_MANIFEST {
            return Err(refuse(format!("{} bytes, at most {MAX_MANIFEST} are allowed", bytes.len())));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
        if manifest.format != FORMAT {
            return Err(BundleError::Version { what: "bundle format", got: manifest.format, expected: FORMAT });
        }
        if manifest.engine.abi != ABI {
            return Err(BundleError::Version { what: "ABI", got: manifest.engine.abi, expected: ABI });
        }
        manifest.sampling.check().map_err(refuse)?;
        for role in ROLES {
            let count = manifest.blobs.iter().filter(|b| b.role == role).count();
            if count != 1 {
                return Err(BundleError::Role { role, count });
            }
            let blob = manifest.blob(role);
            if blob.size > role.limit() {
                return Err(BundleError::TooLarge { role, size: blob.size, limit: role.limit() });
            }
        }
        if manifest.blob(Role::Encoder).sha256 != manifest.encoder {
            return Err(BundleError::EncoderHash);
        }
        Ok(manifest)
    }

    /// The blob with a role.
    pub fn blob(&self, role: Role) -> &Blob {
        self.blobs.iter().find(|b| b.role == role).expect("a parsed manifest has every role once")
    }
}

impl Bundle {
    /// Makes a bundle of blobs; its digest depends on them and on what its engine says it is, `compact` or `onnx`.
    ///
    /// # Errors
    /// A role that is missing, a blob that is too large, impossible shares, or an engine that is refused.
    pub fn make(
        surface: &str,
        engine_kind: &str,
        training_data: Digest,
        sampling: Sampling,
        blobs: BTreeMap<Role, Vec<u8>>,
    ) -> Result<Bundle, BundleError> {
        if let Some(role) = ROLES.into_iter().find(|role| !blobs.contains_key(role)) {
            return Err(BundleError::Role { role, count: 0 });
        }
        let manifest = Manifest {
            format: FORMAT,
            surface: surface.to_owned(),
            engine: EngineInfo { abi: ABI, kind: engine_kind.to_owned() },
            encoder: Digest::of(&blobs[&Role::Encoder]),
            blobs: ROLES
                .iter()
                .map(|&role| Blob { role, size: blobs[&role].len() as u64, sha256: Digest::of(&blobs[&role]) })
                .collect(),
            training_data,
            sampling,
        };
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
        Bundle::open(bytes, blobs)
    }

    /// Checks blobs against a manifest, and the engine against the ABI.
    ///
    /// # Errors
    /// The first blob that does not fit.
    pub fn open(manifest_bytes: Vec<u8>, blobs: BTreeMap<Role, Vec<u8>>) -> Result<Bundle, BundleError> {
        let manifest = Manifest::parse(&manifest_bytes)?;
        for role in ROLES {
            let named = manifest.blob(role);
            let bytes = blobs.get(&role).ok_or(BundleError::Role { role, count: 0 })?;
            check_blob(named, bytes)?;
        }
        check_engine(&blobs[&Role::Engine])?;
        Ok(Bundle { manifest, manifest_bytes, blobs })
    }

    /// The digest that names it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest_bytes)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's bytes, as read.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// A blob's bytes.
    pub fn blob(&self, role: Role) -> &[u8] {
        &self.blobs[&role]
    }

    /// The engine's bytes.
    pub fn engine(&self) -> &[u8] {
        self.blob(Role::Engine)
    }

    /// What the engine loads, with the bundle's own tables.
    pub fn load(&self) -> Load {
        Load {
            encoder: self.blob(Role::Encoder).to_vec(),
            policy: self.blob(Role::Policy).to_vec(),
            tables: self.blob(Role::Tables).to_vec(),
            model: self.blob(Role::Model).to_vec(),
        }
    }
}

/// Checks a blob's size and digest.
///
/// # Errors
/// Another size or other bytes.
pub fn check_blob(named: &Blob, bytes: &[u8]) -> Result<(), BundleError> {
    let role = named.role;
    if bytes.len() as u64 > role.limit() {
        return Err(BundleError::TooLarge { role, size: bytes.len() as u64, limit: role.limit() });
    }
    if bytes.len() as u64 != named.size {
        return Err(BundleError::Size { role, got: bytes.len() as u64, expected: named.size });
    }
    if Digest::of(bytes) != named.sha256 {
        return Err(BundleError::Altered { role });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
