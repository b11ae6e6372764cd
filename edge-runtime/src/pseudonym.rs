//! Pseudonyms: what an edge keeps and logs in place of a user's id.
//!
//! A pseudonym is the first 16 bytes of HMAC-SHA256 of the id, in hexadecimal digits, under a key that only the
//! edges know. Edges with one key give a user one pseudonym; who has the logs and not the key cannot tell who it is.
//! Ids of a small set, such as telephone numbers, stay safe as long as the key does.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;

/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a pseudonym.
const PSEUDONYM: usize = 16;

/// Turns ids into pseudonyms.
#[derive(Clone)]
pub struct Pseudonyms {
    keyed: Hmac<Sha256>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PseudonymError {
    /// A file that cannot be read or written.
    #[error("{path}: {source}; `edge-runtime pseudonym --key FILE --new` makes a key")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file without a key.
    #[error("{path} holds no key: it must be {} hexadecimal digits, as `edge-runtime pseudonym --key FILE --new` writes them", 2 * KEY)]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Pseudonyms {
    /// Under a key.
    pub fn new(key: &[u8; KEY]) -> Pseudonyms {
        Pseudonyms { keyed: Hmac::new_from_slice(key).expect("HMAC takes keys of any length") }
    }

    /// Reads a key's file.
    ///
    /// # Errors
    /// A file that cannot be read or holds no key.
    pub fn read(path: &Path) -> Result<Pseudonyms, PseudonymError> {
        let text = fs::read_to_string(path).map_err(|source| PseudonymError::Io { path: path.to_owned(), source })?;
        let malformed = || PseudonymError::Malformed { path: path.to_owned() };
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * KEY {
            return Err(malformed());
        }
        let mut key = [0; KEY];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Err(malformed()) };
            *byte = (high << 4 | low) as u8;
        }
        Ok(Pseudonyms::new(&key))
    }

    /// Writes a new key into a new file that only its owner can read.
    ///
    /// # Errors
    /// A file that is there already, or cannot be written.
    pub fn create(path: &Path) -> Result<Pseudonyms, PseudonymError> {
        let mut key = [0; KEY];
        OsRng.fill_bytes(&mut key);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            file.write_all(format!("{}\n", hex(&key)).as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| PseudonymError::Io { path: path.to_owned(), source })?;
        Ok(Pseudonyms::new(&key))
    }

    /// The pseudonym of a user: 32 hexadecimal digits.
    pub fn of(&self, user: &str) -> String {
        let mut mac = self.keyed.clone();
        mac.update(user.as_bytes());
        hex(&mac.finalize().into_bytes()[..PSEUDONYM])
    }
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_a_truncated_hmac() {
        // RFC 4231, test case 1, has a key of 20 bytes; HMAC fills keys up with zeros.
        let mut key = [0; KEY];
        key[..20].fill(0x0b);
        assert_eq!(Pseudonyms::new(&key).of("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b");
    }

    #[test]
    fn keys_are_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = Pseudonyms::create(&path).unwrap();
        assert_eq!(made.of("ada"), Pseudonyms::read(&path).unwrap().of("ada"));
        assert_ne!(made.of("ada"), made.of("bob"));
        assert_ne!(made.of("ada"), Pseudonyms::create(&folder.path().join("other")).unwrap().of("ada"));
        assert!(matches!(Pseudonyms::create(&path), Err(PseudonymError::Io { .. })), "a key was written over");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for text in ["", "12", &"x".repeat(64), &"é".repeat(32)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Pseudonyms::read(&path), Err(PseudonymError::Malformed { .. })), "{text:?}");
        }
        assert!(matches!(Pseudonyms::read(&folder.path().join("none")), Err(PseudonymError::Io { .. })));
    }
}
