//! Key files: made once, readable by their owner only.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;

use super::{KeyError, Role, Root, public};
use crate::sign::{self, DocumentType};

const KEY_HEADER: &str = "hearth ed25519 secret key v1";

/// Makes a root key, a publisher key and the root document in a folder; existing files are never overwritten.
///
/// # Errors
/// A file that exists or cannot be written.
pub fn init(folder: &Path) -> Result<(), KeyError> {
    std::fs::create_dir_all(folder).map_err(|source| KeyError::Io { path: folder.into(), source })?;
    for name in ["root.key", "publisher.key", "root.json"] {
        let path = folder.join(name);
        if path.exists() {
            return Err(KeyError::Exists { path });
        }
    }
    let mut random = rand_core::OsRng;
    let (root, publisher) = (SigningKey::generate(&mut random), SigningKey::generate(&mut random));
    write_secret(&folder.join("root.key"), &root)?;
    write_secret(&folder.join("publisher.key"), &publisher)?;
    let document =
        Root { version: 1, threshold: 1, keys: vec![public(&root, Role::Root), public(&publisher, Role::Publisher)] };
    let path = folder.join("root.json");
    std::fs::write(&path, sign::seal(DocumentType::Root, &document, &[&root]))
        .map_err(|source| KeyError::Io { path, source })
}

/// Reads a secret key file.
///
/// # Errors
/// An unreadable file, or one that is no key file.
pub fn read_secret(path: &Path) -> Result<SigningKey, KeyError> {
    let text = std::fs::read_to_string(path).map_err(|source| KeyError::Io { path: path.into(), source })?;
    let malformed = || KeyError::Malformed { path: path.into() };
    let (header, secret) = text.trim().split_once('\n').ok_or_else(malformed)?;
    let bytes = BASE64.decode(secret.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    match bytes {
        Some(bytes) if header.trim() == KEY_HEADER => Ok(SigningKey::from_bytes(&bytes)),
        _ => Err(malformed()),
    }
}

fn write_secret(path: &Path, key: &SigningKey) -> Result<(), KeyError> {
    let io = |source| KeyError::Io { path: path.into(), source };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(io)?;
    writeln!(file, "{KEY_HEADER}\n{}", BASE64.encode(key.to_bytes())).map_err(io)?;
    file.sync_all().map_err(io)
}
