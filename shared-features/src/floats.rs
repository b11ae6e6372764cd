//! Many `f32` in a message: their bytes in one piece, little endian, instead of one number after the other.
//!
//! `#[serde(with = "floats")]` on a field; [`Floats`] where they are the whole message. Bits are kept, those of NaN too.
//! In text, such as JSON, they stay a list of numbers.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Numbers that are a whole message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floats(#[serde(with = "self")] pub Vec<f32>);

/// Writes numbers.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(numbers: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return numbers.serialize(serializer);
    }
    let mut bytes = vec![0; 4 * numbers.len()];
    for (bytes, x) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
        *bytes = x.to_le_bytes();
    }
    serializer.serialize_bytes(&bytes)
}

/// Reads numbers.
///
/// # Errors
/// The deserializer's, or bytes that are no whole numbers.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    if deserializer.is_human_readable() {
        return Vec::deserialize(deserializer);
    }
    deserializer.deserialize_bytes(Bytes)
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("the bytes of 32-bit numbers")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<f32>, E> {
        match bytes.as_chunks() {
            (numbers, []) => Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()),
            _ => Err(E::custom("numbers of 32 bits that are not whole")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn bits_are_kept() {
        let numbers = [1.5, -0.0, f32::from_bits(0x7fc1_2345), f32::NEG_INFINITY, 1e-45];
        let bytes = codec::encode(&Floats(numbers.to_vec()));
        assert_eq!(bytes.len(), 2 + 4 * numbers.len());
        let read: Floats = codec::decode(&bytes, "numbers").unwrap();
        assert_eq!(read.0.map_bits(), numbers.to_vec().map_bits());
    }

    #[test]
    fn half_a_number_is_refused() {
        let bytes = codec::encode(&Floats(vec![1.0, 2.0]));
        let mut cut = bytes[..bytes.len() - 1].to_vec();
        cut[1] -= 1;
        assert!(codec::decode::<Floats>(&cut, "numbers").unwrap_err().to_string().contains("not whole"));
    }

    #[test]
    fn in_text_they_are_numbers() {
        assert_eq!(serde_json::to_string(&Floats(vec![1.5, 2.0])).unwrap(), "[1.5,2.0]");
        assert_eq!(serde_json::from_str::<Floats>("[1.5,2.0]").unwrap(), Floats(vec![1.5, 2.0]));
    }

    trait MapBits {
        fn map_bits(&self) -> Vec<u32>;
    }

    impl MapBits for Vec<f32> {
        fn map_bits(&self) -> Vec<u32> {
            self.iter().map(|x| x.to_bits()).collect()
        }
    }
}
