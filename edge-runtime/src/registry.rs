//! The registry: where bundles, releases, channels and the audit log live, in any object store.
//!
//! ```text
//! blobs/sha256/<hex>                    content-addressed
//! bundles/<digest>                      manifest
//! releases/<surface>/<digest>/<ulid>    signed
//! channels/<surface>/<name>             signed
//! keys/root                             signed
//! audit/<ulid>                          signed
//! ```
//!
//! Blobs and manifests are written before anything points at them.
//! A channel is read, changed and written: two publishers at one moment can lose one change, never a signature;
//! the sequence that loses is refused by every edge that saw the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;

use crate::bundle::{Bundle, BundleError, MAX_MANIFEST, Manifest, ROLES, Role, check_blob};
use crate::channel::{Channel, ChannelError};
use crate::sign::{self, DocumentType, SignatureError, Trusted};

#[cfg(not(target_arch = "wasm32"))]
pub mod bucket;
#[cfg(target_arch = "wasm32")]
mod fetched;
#[cfg(not(target_arch = "wasm32"))]
mod objects;

#[cfg(target_arch = "wasm32")]
pub use fetched::Registry;
#[cfg(not(target_arch = "wasm32"))]
pub use objects::Registry;

/// Largest signed document, in bytes.
const DOCUMENT: u64 = sign::MAX_BYTES as u64;

/// Who made a bundle from what, and how it was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The bundle.
    pub bundle: Digest,
    /// The surface.
    pub surface: String,
    /// Milliseconds since the epoch.
    pub created: i64,
    /// The bundle that the channel served before.
    pub parent: Option<Digest>,
    /// First and last request it was trained and judged on, milliseconds since the epoch.
    pub data_range: [i64; 2],
    /// The trainer's version.
    pub code_version: String,
    /// The spec's text.
    pub spec: String,
    /// The run's report.
    pub report: serde_json::Value,
    /// Whether the gate passed.
    pub gate_passed: bool,
    /// The gate's report.
    pub gate: serde_json::Value,
    /// Why it was published although the gate failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<String>,
}

/// Who did what, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// What was done, such as `publish` or `tables`.
    pub action: String,
    /// `surface/channel`.
    pub channel: String,
    /// The bundle.
    pub bundle: Digest,
    /// Why.
    pub reason: String,
    /// The snapshots that the channel's arms then served beside their bundles' own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Digest>,
}

/// Why a registry cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Not a place.
    #[error("`{registry}` is no registry: {reason}; pass a folder or an object store's URL")]
    Location {
        /// What was passed.
        registry: String,
        /// Why.
        reason: String,
    },
    /// The store fails.
    #[error("registry {registry}, {object}: {source}")]
    Store {
        /// The registry.
        registry: String,
        /// The object.
        object: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such object.
    #[error("registry {registry} has no {object}")]
    NotFound {
        /// The registry.
        registry: String,
        /// The object.
        object: String,
    },
    /// An object that is larger than it may be.
    #[error("{object} has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// The object.
        object: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A signature is refused.
    #[error("{object}: {source}")]
    Signature {
        /// The object.
        object: String,
        /// Why.
        source: SignatureError,
    },
    /// A pointer is refused.
    #[error("{object}: {source}")]
    Channel {
        /// The object.
        object: String,
        /// Why.
        source: ChannelError,
    },
    /// A bundle is refused.
    #[error("bundle {bundle}: {source}")]
    Bundle {
        /// Which.
        bundle: Digest,
        /// Why.
        source: BundleError,
    },
    /// A blob's bytes are not those its name says.
    #[error("blob {expected} was altered: its bytes have digest {got}")]
    Blob {
        /// The name.
        expected: Digest,
        /// What came.
        got: Digest,
    },
    /// A channel or surface that cannot stand in a path.
    #[error("`{name}` is no name of a channel or surface; use letters, digits, `-`, `_` and `.`")]
    Name {
        /// The name.
        name: String,
    },
    /// A gate that failed.
    #[error("bundle {bundle} did not pass the gate, and no override was given")]
    Gate {
        /// Which.
        bundle: Digest,
    },
}

impl RegistryError {
    /// Whether trying again later may help: the store failed or does not have the object yet.
    pub fn is_transient(&self) -> bool {
        matches!(self, RegistryError::Store { .. } | RegistryError::NotFound { .. })
    }
}

impl Registry {
    /// Reads a bundle and checks every byte.
    ///
    /// # Errors
    /// The store fails, or a byte is not what its name says.
    pub async fn bundle(&self, digest: Digest) -> Result<Bundle, RegistryError> {
        self.bundle_near(digest, None).await
    }

    /// Like [`Registry::bundle`], but takes what a nearer registry has from there: the engine rarely changes.
    ///
    /// # Errors
    /// The store fails, or a byte is not what its name says.
    pub async fn bundle_near(&self, digest: Digest, near: Option<&Registry>) -> Result<Bundle, RegistryError> {
        let refuse = |source| RegistryError::Bundle { bundle: digest, source };
        let bytes = self.get(&format!("bundles/{digest}"), MAX_MANIFEST as u64).await?;
        let got = Digest::of(&bytes);
        if got != digest {
            return Err(refuse(BundleError::Digest { got, expected: digest }));
        }
        let manifest = Manifest::parse(&bytes).map_err(refuse)?;
        let mut blobs: BTreeMap<Role, Vec<u8>> = BTreeMap::new();
        for role in ROLES {
            let named = manifest.blob(role);
            let object = blob_path(named.sha256);
            let held = match near {
                Some(near) => near.get(&object, role.limit()).await.ok().filter(|b| check_blob(named, b).is_ok()),
                None => None,
            };
            let blob = match held {
                Some(blob) => blob,
                None => self.get(&object, role.limit()).await?,
            };
            check_blob(named, &blob).map_err(refuse)?;
            blobs.insert(role, blob);
        }
        Bundle::open(bytes, blobs).map_err(refuse)
    }

    /// Reads a blob and checks its digest.
    ///
    /// # Errors
    /// The store fails, or the bytes are not what the name says.
    pub async fn blob(&self, digest: Digest) -> Result<Vec<u8>, RegistryError> {
        let bytes = self.get(&blob_path(digest), Role::Model.limit()).await?;
        let got = Digest::of(&bytes);
        if got == digest { Ok(bytes) } else { Err(RegistryError::Blob { expected: digest, got }) }
    }

    /// Reads and verifies a channel's pointer, and that it is this channel's; returns the document's bytes too.
    ///
    /// # Errors
    /// The store fails, or the signature or the pointer is refused.
    pub async fn channel(
        &self,
        surface: &str,
        channel: &str,
        publishers: &Trusted,
        seen: Option<u64>,
        now: i64,
    ) -> Result<(Channel, Vec<u8>), RegistryError> {
        let object = channel_path(surface, channel);
        let bytes = self.get(&object, DOCUMENT).await?;
        let pointer: Channel = sign::open(&bytes, DocumentType::Channel, publishers)
            .map_err(|source| RegistryError::Signature { object: object.clone(), source })?;
        pointer.accept(surface, channel, seen, now).map_err(|source| RegistryError::Channel { object, source })?;
        Ok((pointer, bytes))
    }

    fn not_found(&self, object: &str) -> RegistryError {
        RegistryError::NotFound { registry: self.name().to_owned(), object: object.to_owned() }
    }
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn channel_path(surface: &str, channel: &str) -> String {
    format!("channels/{surface}/{channel}")
}

#[cfg(test)]
mod tests;
