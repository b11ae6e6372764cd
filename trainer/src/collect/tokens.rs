//! Tokens: who may upload. A file names each by its digest, so that the file gives no token away.

use std::path::{Path, PathBuf};

use shared_features::digest::Digest;
use subtle::ConstantTimeEq;

/// Who may upload.
#[derive(Clone, Debug)]
pub struct Tokens {
    known: Vec<(String, Digest)>,
}

/// Why a file names no tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// It cannot be read.
    #[error("--tokens {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is none.
    #[error("--tokens {path}, line {line}: {reason}; a line is NAME and the token's SHA-256, as `sha256sum` prints it")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// Nobody may upload.
    #[error("--tokens {path} names no token; see `trainer serve --help`")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Tokens {
    /// Reads a file: a line a token, its name and the SHA-256 of the token; empty lines and `#` comments are skipped.
    ///
    /// # Errors
    /// A file that cannot be read, has a line that is none, or names nobody.
    pub fn read(path: &Path) -> Result<Tokens, TokensError> {
        let text = std::fs::read_to_string(path).map_err(|source| TokensError::Io { path: path.to_owned(), source })?;
        let mut known = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse =
                |reason: &str| TokensError::Line { path: path.to_owned(), line: at + 1, reason: reason.into() };
            let (name, digest) = line.split_once(char::is_whitespace).ok_or_else(|| refuse("there is no digest"))?;
            let digest = digest.trim().parse().map_err(|_| refuse("the second word is no SHA-256"))?;
            known.push((name.to_owned(), digest));
        }
        if known.is_empty() {
            return Err(TokensError::Empty { path: path.to_owned() });
        }
        Ok(Tokens { known })
    }

    /// The name of a token; the time this takes says nothing about the tokens that are known.
    pub fn name_of(&self, token: &str) -> Option<&str> {
        let digest = Digest::of(token.as_bytes());
        let is_it = |known: &Digest| bool::from(known.as_bytes()[..].ct_eq(&digest.as_bytes()[..]));
        // Every one is looked at.
        self.known.iter().fold(None, |found, (name, known)| if is_it(known) { Some(name.as_str()) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        let write = |text: &str| std::fs::write(&path, text).expect("the file is written");
        write(&format!("# edges\n\nparis {}\nrome\t{}\n", Digest::of(b"one"), Digest::of(b"two")));
        let tokens = Tokens::read(&path).expect("these are tokens");
        assert_eq!(
            [tokens.name_of("one"), tokens.name_of("two"), tokens.name_of("three")],
            [Some("paris"), Some("rome"), None]
        );
        assert_eq!(tokens.name_of(&Digest::of(b"one").to_string()), None, "the digest is no token");
        for (text, line) in [("paris", 1), ("#\nparis one", 2)] {
            write(text);
            assert!(matches!(Tokens::read(&path), Err(TokensError::Line { line: at, .. }) if at == line), "{text}");
        }
        write("# nobody\n");
        assert!(matches!(Tokens::read(&path), Err(TokensError::Empty { .. })));
    }
}
