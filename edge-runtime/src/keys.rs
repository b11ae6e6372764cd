//! Keys: who may sign what. Edges pin a root document; it names the publishers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::sign::{self, DocumentType, SignatureError, Trusted, key_id};

#[cfg(not(target_arch = "wasm32"))]
mod files;

#[cfg(not(target_arch = "wasm32"))]
pub use files::{init, read_secret};

/// The root document: which keys have which role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Counts up with every rotation.
    pub version: u64,
    /// How many root keys must sign a root document.
    pub threshold: u32,
    /// The keys.
    pub keys: Vec<RootKey>,
}

/// A public key and what it may sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKey {
    /// The key's id.
    pub id: String,
    /// Base64 of its 32 bytes.
    pub public: String,
    /// What it may sign.
    pub roles: Vec<Role>,
}

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Root documents.
    Root,
    /// Releases, channels and audit entries.
    Publisher,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Keys that are there already.
    #[error("{path} is there already, and keys are never overwritten; pass another folder")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Not a key file.
    #[error("{path} is no key file; pass a file that `trainer keys init` wrote")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// A root document that contradicts itself.
    #[error("the root document: {reason}")]
    Root {
        /// Why.
        reason: String,
    },
    /// A signature.
    #[error("the root document: {0}")]
    Signature(#[from] SignatureError),
    /// A root document that is no successor.
    #[error("a root document of version {got} cannot follow version {have}")]
    Version {
        /// The new one's.
        got: u64,
        /// The pinned one's.
        have: u64,
    },
}

impl Root {
    /// The keys of a role, and how many must sign: the threshold for root keys, one for publishers.
    ///
    /// # Errors
    /// A key that is not a public key, or whose id is another key's.
    pub fn trusted(&self, role: Role) -> Result<Trusted, KeyError> {
        let refuse = |reason: String| KeyError::Root { reason };
        let mut keys = BTreeMap::new();
        for key in self.keys.iter().filter(|k| k.roles.contains(&role)) {
            let bytes: [u8; 32] = BASE64
                .decode(&key.public)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| refuse(format!("key {} is not 32 bytes of base64", key.id)))?;
            let public =
                VerifyingKey::from_bytes(&bytes).map_err(|_| refuse(format!("key {} is no ed25519 key", key.id)))?;
            if key_id(&public) != key.id {
                return Err(refuse(format!("key {} has the id {}", key.id, key_id(&public))));
            }
            keys.insert(key.id.clone(), public);
        }
        let threshold = match role {
            Role::Root => self.threshold.max(1),
            Role::Publisher => 1,
        };
        Ok(Trusted { keys, threshold })
    }

    /// Reads a pinned root document: trusted because the operator named it, but its own signatures must hold.
    ///
    /// # Errors
    /// A document that is not signed by its own root keys.
    pub fn pinned(bytes: &[u8]) -> Result<Root, KeyError> {
        let claimed: Root = sign::read_unverified(bytes, DocumentType::Root)?;
        let own = claimed.trusted(Role::Root)?;
        Ok(sign::open(bytes, DocumentType::Root, &own)?)
    }

    /// Reads a successor: a higher version, signed by the threshold of this root's keys and of its own.
    ///
    /// # Errors
    /// Another version, or too few signatures of either.
    pub fn successor(&self, bytes: &[u8]) -> Result<Root, KeyError> {
        let next: Root = sign::open(bytes, DocumentType::Root, &self.trusted(Role::Root)?)?;
        if next.version <= self.version {
            return Err(KeyError::Version { got: next.version, have: self.version });
        }
        Ok(sign::open(bytes, DocumentType::Root, &next.trusted(Role::Root)?)?)
    }
}

/// The entry of a key in a root document.
pub fn public(key: &SigningKey, role: Role) -> RootKey {
    let public = key.verifying_key();
    RootKey { id: key_id(&public), public: BASE64.encode(public.as_bytes()), roles: vec![role] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn root(version: u64, threshold: u32, roots: &[&SigningKey], signers: &[&SigningKey]) -> Vec<u8> {
        let keys = roots.iter().map(|k| public(k, Role::Root)).collect();
        sign::seal(DocumentType::Root, &Root { version, threshold, keys }, signers)
    }

    #[test]
    fn keys_are_written_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path()).unwrap();
        assert!(matches!(init(folder.path()), Err(KeyError::Exists { .. })), "never overwritten");
        let root = Root::pinned(&std::fs::read(folder.path().join("root.json")).unwrap()).unwrap();
        let publisher = read_secret(&folder.path().join("publisher.key")).unwrap();
        assert!(root.trusted(Role::Publisher).unwrap().keys.contains_key(&key_id(&publisher.verifying_key())));
        assert!(!root.trusted(Role::Root).unwrap().keys.contains_key(&key_id(&publisher.verifying_key())));
        assert!(matches!(read_secret(&folder.path().join("root.json")), Err(KeyError::Malformed { .. })));
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(folder.path().join("root.key")).unwrap();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
        }
    }

    #[test]
    fn a_root_is_signed_by_its_own_keys_and_a_successor_by_both() {
        let (a, b, c) = (key(1), key(2), key(3));
        let first = Root::pinned(&root(1, 2, &[&a, &b], &[&a, &b])).unwrap();
        assert!(Root::pinned(&root(1, 2, &[&a, &b], &[&a, &a])).is_err(), "one key counts once");
        assert!(Root::pinned(&root(1, 1, &[&a], &[&b])).is_err());
        assert!(first.successor(&root(2, 1, &[&c], &[&a, &b, &c])).is_ok());
        assert!(first.successor(&root(2, 1, &[&c], &[&a, &c])).is_err(), "too few of the old keys");
        assert!(first.successor(&root(2, 1, &[&c], &[&a, &b])).is_err(), "none of the new keys");
        assert!(matches!(first.successor(&root(1, 1, &[&c], &[&a, &b, &c])), Err(KeyError::Version { .. })));
    }
}
