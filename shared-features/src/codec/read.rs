//! Reads what bincode 2 writes in its standard configuration.
//!
//! Of the guest's code a quarter was bincode's decoder and the words for its errors, numbers written out among them.
//! This one says less of what is wrong, in the same words on every host, and reserves no memory for a length that the
//! bytes which follow cannot have. A property test holds it to bincode's answers.

use std::fmt::{self, Display};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

/// Bytes from which values are taken.
pub(super) struct Reader<'de> {
    pub(super) rest: &'de [u8],
}

/// Why a value cannot be read.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Box<str>);

const KIND: &str = "a value is none of its kind";

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    fn custom<T: Display>(reason: T) -> Self {
        Refusal(reason.to_string().into())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Refusal(KIND.into())
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Refusal(KIND.into())
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Refusal("a list has another length".into())
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Refusal(KIND.into())
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Refusal(KIND.into())
    }

    fn missing_field(_: &'static str) -> Self {
        Refusal(KIND.into())
    }

    fn duplicate_field(_: &'static str) -> Self {
        Refusal(KIND.into())
    }
}

type Read<T> = Result<T, Refusal>;

impl<'de> Reader<'de> {
    fn take(&mut self, len: usize) -> Read<&'de [u8]> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or_else(|| Refusal("it is cut off".into()))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Read<u8> {
        self.array().map(|[byte]| byte)
    }

    /// An unsigned integer of up to `bytes` bytes: one below 251, or 251, 252 or 253 and then 2, 4 or 8.
    fn unsigned(&mut self, bytes: u32) -> Read<u64> {
        match self.byte()? {
            small @ ..251 => Ok(u64::from(small)),
            251 if bytes >= 2 => self.array().map(|b| u16::from_le_bytes(b).into()),
            252 if bytes >= 4 => self.array().map(|b| u32::from_le_bytes(b).into()),
            253 if bytes >= 8 => self.array().map(u64::from_le_bytes),
            _ => Err(Refusal(KIND.into())),
        }
    }

    /// A signed integer: `2x`, or `-2x - 1` below zero.
    fn signed(&mut self, bytes: u32) -> Read<i64> {
        self.unsigned(bytes).map(|x| (x >> 1) as i64 ^ -((x & 1) as i64))
    }

    /// The length of a list or a text, each part of which takes at least a byte.
    fn length(&mut self) -> Read<usize> {
        let length = self.unsigned(8)?;
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(length),
            _ => Err(Refusal("a length is too large for what follows it".into())),
        }
    }

    fn bytes(&mut self) -> Read<&'de [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Read<&'de str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Refusal("a text is not UTF-8".into()))
    }
}

macro_rules! numbers {
    ($($method:ident, $visit:ident, $read:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            let read: fn(&mut Reader<'de>) -> Read<_> = $read;
            visitor.$visit(read(self)?)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Refusal;

    numbers! {
        deserialize_u8, visit_u8, |r| r.byte();
        deserialize_u16, visit_u16, |r| r.unsigned(2).map(|x| x as u16);
        deserialize_u32, visit_u32, |r| r.unsigned(4).map(|x| x as u32);
        deserialize_u64, visit_u64, |r| r.unsigned(8);
        deserialize_i8, visit_i8, |r| r.byte().map(|x| x as i8);
        deserialize_i16, visit_i16, |r| r.signed(2).map(|x| x as i16);
        deserialize_i32, visit_i32, |r| r.signed(4).map(|x| x as i32);
        deserialize_i64, visit_i64, |r| r.signed(8);
        deserialize_f32, visit_f32, |r| r.array().map(f32::from_le_bytes);
        deserialize_f64, visit_f64, |r| r.array().map(f64::from_le_bytes);
        deserialize_str, visit_borrowed_str, |r| r.text();
        deserialize_string, visit_borrowed_str, |r| r.text();
        deserialize_bytes, visit_borrowed_bytes, |r| r.bytes();
        deserialize_byte_buf, visit_borrowed_bytes, |r| r.bytes();
        deserialize_bool, visit_bool, |r| match r.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Refusal(KIND.into())),
        };
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(Refusal(KIND.into())),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let left = self.length()?;
        visitor.visit_seq(Parts { reader: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Parts { reader: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, left: usize, visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Parts { reader: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let left = self.length()?;
        visitor.visit_map(Parts { reader: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        visitor.visit_seq(Parts { reader: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        visitor.visit_enum(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Read<V::Value> {
        Err(Refusal(KIND.into()))
    }

    serde::forward_to_deserialize_any! { i128 u128 char identifier ignored_any }
}

/// The parts of a list, a tuple, a struct or a map that are left.
struct Parts<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Read<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Read<Option<K::Value>> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Read<V::Value> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Read<(V::Value, Self)> {
        let variant = self.unsigned(4)? as u32;
        Ok((seed.deserialize(IntoDeserializer::<Refusal>::into_deserializer(variant))?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Read<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Read<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Parts { reader: self, left })
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Parts { reader: self, left: fields.len() })
    }
}
