//! The one place that knows how messages become bytes.
//!
//! A message is a version byte, then bincode 2 in its standard configuration (little endian, variable-length integers).
//! bincode is pinned at 2.0.1: 3.0.0 is an empty shell and the project is unmaintained (RUSTSEC-2025-0141);
//! nothing outside this module names it, so that it can be replaced by one that writes the same bytes.

use bincode::error::DecodeError;
use serde::{Serialize, de::DeserializeOwned};

/// Version of the encoding that [`encode`] writes and [`decode`] accepts.
pub const VERSION: u8 = 1;

/// Most bytes that one message may make a decoder reserve.
const LIMIT: usize = 256 << 20;

/// Input up to this size is held to [`SHORT_LIMIT`], so that a few bytes with a huge length in them are refused
/// before memory is reserved. A byte of input decodes to at most 8 bytes that the decoder counts (an empty string).
const SHORT: usize = 1 << 20;
const SHORT_LIMIT: usize = 16 * SHORT;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// No bytes at all.
    #[error("{what}: empty message")]
    Empty {
        /// What was expected.
        what: &'static str,
    },
    /// Written by another version.
    #[error("{what}: version {got}, this build reads version {VERSION}; use a matching build")]
    Version {
        /// What was expected.
        what: &'static str,
        /// The version byte.
        got: u8,
    },
    /// The bytes do not decode.
    #[error("{what}: {reason}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// Bytes are left over.
    #[error("{what}: {left} bytes left over")]
    Trailing {
        /// What was expected.
        what: &'static str,
        /// How many.
        left: usize,
    },
}

/// The canonical bytes of a message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(message, &mut bytes, bincode::config::standard())
        .expect("messages are plain data, and writing to memory cannot fail");
    bytes
}

/// Reads a message; `what` names it in errors.
///
/// # Errors
/// Empty input, another version, malformed or left-over bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, CodecError> {
    let (&version, body) = bytes.split_first().ok_or(CodecError::Empty { what })?;
    if version != VERSION {
        return Err(CodecError::Version { what, got: version });
    }
    let config = bincode::config::standard();
    // The guest has one decoder, not two (60 kB less of code): its memory has a limit of its own.
    let (message, read) = if body.len() <= SHORT && !cfg!(target_arch = "wasm32") {
        bincode::serde::decode_from_slice(body, config.with_limit::<SHORT_LIMIT>())
    } else {
        bincode::serde::decode_from_slice(body, config.with_limit::<LIMIT>())
    }
    .map_err(|e| CodecError::Malformed { what, reason: reason(e) })?;
    if read != body.len() {
        return Err(CodecError::Trailing { what, left: body.len() - read });
    }
    Ok(message)
}

/// Why, in words that do not depend on the width of a pointer.
fn reason(error: DecodeError) -> String {
    match error {
        DecodeError::OtherString(reason) => reason,
        DecodeError::Other(reason) => reason.to_owned(),
        DecodeError::UnexpectedEnd { .. } => "it is cut off".to_owned(),
        DecodeError::LimitExceeded | DecodeError::OutsideUsizeRange(_) => "a length is too large".to_owned(),
        DecodeError::Utf8 { .. } => "a text is not UTF-8".to_owned(),
        _ => "a value is none of its kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let message = (7u32, String::from("a"), vec![1.5f32]);
        assert_eq!(decode::<(u32, String, Vec<f32>)>(&encode(&message), "test").unwrap(), message);
    }

    #[test]
    fn other_versions_trailing_bytes_and_huge_lengths_are_refused() {
        assert_eq!(decode::<u32>(&[], "test"), Err(CodecError::Empty { what: "test" }));
        assert_eq!(decode::<u32>(&[9, 0], "test"), Err(CodecError::Version { what: "test", got: 9 }));
        assert_eq!(decode::<u32>(&[1, 0, 0], "test"), Err(CodecError::Trailing { what: "test", left: 1 }));
        let huge = [&[1u8, 253][..], &u64::MAX.to_le_bytes()].concat();
        assert!(matches!(decode::<Vec<u64>>(&huge, "test"), Err(CodecError::Malformed { .. })));
        // 200 MB of string, announced by five bytes: over the limit of a short message.
        let text = [&[1u8, 252][..], &200_000_000u32.to_le_bytes()].concat();
        let Err(CodecError::Malformed { reason, .. }) = decode::<String>(&text, "test") else { panic!() };
        assert!(reason.contains("a length is too large"), "{reason}");
    }

    #[test]
    fn limits_leave_room_for_the_densest_messages() {
        for length in [SHORT, SHORT + 1] {
            // One byte each; the decoder counts eight.
            let strings = vec![String::new(); length - 5];
            assert_eq!(decode::<Vec<String>>(&encode(&strings), "test").unwrap().len(), strings.len());
            let times = vec![0i64; length - 5];
            assert_eq!(decode::<Vec<i64>>(&encode(&times), "test").unwrap().len(), times.len());
        }
    }
}
