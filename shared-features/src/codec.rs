//! The one place that knows how messages become bytes.
//!
//! A message is a version byte, then bincode 2 in its standard configuration (little endian, variable-length integers).
//! bincode is pinned at 2.0.1: 3.0.0 is an empty shell and the project is unmaintained (RUSTSEC-2025-0141);
//! nothing outside this module names it, so that it can be replaced by one that writes the same bytes.
//! It writes messages; [`read`] reads them.

mod read;

use serde::{Serialize, de::DeserializeOwned};

/// Version of the encoding that [`encode`] writes and [`decode`] accepts.
pub const VERSION: u8 = 1;

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
    let mut reader = read::Reader { rest: body };
    let message =
        T::deserialize(&mut reader).map_err(|refusal| CodecError::Malformed { what, reason: refusal.0.into() })?;
    if !reader.rest.is_empty() {
        return Err(CodecError::Trailing { what, left: reader.rest.len() });
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        // 200 MB of string, announced by five bytes.
        let text = [&[1u8, 252][..], &200_000_000u32.to_le_bytes()].concat();
        let Err(CodecError::Malformed { reason, .. }) = decode::<String>(&text, "test") else { panic!() };
        assert!(reason.contains("a length is too large"), "{reason}");
    }

    #[test]
    fn the_densest_messages_are_read() {
        for length in [1 << 20, (1 << 20) + 1] {
            let strings = vec![String::new(); length];
            assert_eq!(decode::<Vec<String>>(&encode(&strings), "test").unwrap().len(), strings.len());
            let times = vec![0i64; length];
            assert_eq!(decode::<Vec<i64>>(&encode(&times), "test").unwrap().len(), times.len());
        }
    }

    /// One of everything that messages are made of.
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Any {
        Nothing,
        Unsigned(u8, u16, u32, u64),
        Signed { a: i8, b: i16, c: i32, d: i64 },
        Floats(f32, f64),
        Texts(String, Option<String>, bool),
        Lists(Vec<Any>, std::collections::BTreeMap<String, i32>, [u16; 2]),
        Wrapped(Wrapped),
    }

    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Wrapped(#[serde(with = "serde_bytes")] Vec<u8>);

    fn message() -> impl Strategy<Value = Any> {
        let leaf = prop_oneof![
            Just(Any::Nothing),
            any::<(u8, u16, u32, u64)>().prop_map(|(a, b, c, d)| Any::Unsigned(a, b, c, d)),
            any::<(i8, i16, i32, i64)>().prop_map(|(a, b, c, d)| Any::Signed { a, b, c, d }),
            (-1e30f32..1e30, -1e300..1e300).prop_map(|(a, b)| Any::Floats(a, b)),
            any::<(String, Option<String>, bool)>().prop_map(|(a, b, c)| Any::Texts(a, b, c)),
            any::<Vec<u8>>().prop_map(|bytes| Any::Wrapped(Wrapped(bytes))),
        ];
        leaf.prop_recursive(3, 40, 8, |inner| {
            let map = prop::collection::btree_map(any::<String>(), any::<i32>(), 0..4);
            (prop::collection::vec(inner, 0..8), map, any::<[u16; 2]>()).prop_map(|(a, b, c)| Any::Lists(a, b, c))
        })
    }

    /// bincode's answer, where all bytes are read.
    fn by_bincode(bytes: &[u8]) -> Option<Any> {
        // Without a limit bincode would reserve what a length says.
        let config = bincode::config::standard().with_limit::<{ 1 << 20 }>();
        let (message, read) = bincode::serde::decode_from_slice(&bytes[1..], config).ok()?;
        (read == bytes.len() - 1).then_some(message)
    }

    proptest! {
        #[test]
        fn what_bincode_writes_is_read(message in message()) {
            prop_assert_eq!(decode::<Any>(&encode(&message), "test").unwrap(), message);
        }

        #[test]
        fn altered_bytes_are_read_or_refused_as_by_bincode(
            message in message(),
            at in any::<prop::sample::Index>(),
            value in prop_oneof![any::<u8>(), 250u8..],
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encode(&message);
            let at = 1 + at.index(bytes.len() - 1);
            bytes[at] = value;
            for bytes in [&bytes[..], &bytes[..=cut.index(bytes.len())]] {
                let (ours, theirs) = (decode::<Any>(bytes, "test").ok(), by_bincode(bytes));
                prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            }
        }
    }
}
