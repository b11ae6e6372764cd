//! A protobuf message as a list of fields: what is not changed is written back as it was read, fields that nobody here knows too.
//!
//! Messages are not decoded with `prost`, as the classes that tract brings know neither maps nor whether a number is
//! absent or 0, and so would change what they write back.

/// Deepest nesting of messages that are read.
pub(super) const MAX_NESTING: usize = 16;

/// A message's fields, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Message {
    fields: Vec<(u32, Value)>,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Fixed32([u8; 4]),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Message {
    pub(super) fn read(mut bytes: &[u8]) -> Result<Message, Malformed> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let value = match key & 7 {
                0 => Value::Varint(varint(&mut bytes)?),
                1 => Value::Fixed64(array(&mut bytes)?),
                2 => {
                    let len = usize::try_from(varint(&mut bytes)?).map_err(|_| Malformed)?;
                    let (value, rest) = bytes.split_at_checked(len).ok_or(Malformed)?;
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                5 => Value::Fixed32(array(&mut bytes)?),
                _ => return Err(Malformed),
            };
            fields.push((u32::try_from(key >> 3).map_err(|_| Malformed)?, value));
        }
        Ok(Message { fields })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, value) in &self.fields {
            let key = |kind: u64| u64::from(*number) << 3 | kind;
            match value {
                Value::Varint(x) => {
                    put_varint(key(0), &mut bytes);
                    put_varint(*x, &mut bytes);
                }
                Value::Fixed64(x) => {
                    put_varint(key(1), &mut bytes);
                    bytes.extend(x);
                }
                Value::Bytes(x) => {
                    put_varint(key(2), &mut bytes);
                    put_varint(x.len() as u64, &mut bytes);
                    bytes.extend(x);
                }
                Value::Fixed32(x) => {
                    put_varint(key(5), &mut bytes);
                    bytes.extend(x);
                }
            }
        }
        bytes
    }

    /// Adds a field at the end.
    pub(super) fn with(mut self, number: u32, value: Value) -> Message {
        self.fields.push((number, value));
        self
    }

    /// Adds a text.
    pub(super) fn with_text(self, number: u32, text: &str) -> Message {
        self.with(number, Value::Bytes(text.as_bytes().to_vec()))
    }

    /// Adds a message.
    pub(super) fn with_message(self, number: u32, message: &Message) -> Message {
        self.with(number, Value::Bytes(message.to_bytes()))
    }

    /// Takes all fields of a number out.
    pub(super) fn without(mut self, number: u32) -> Message {
        self.fields.retain(|(n, _)| *n != number);
        self
    }

    /// All bytes of a field.
    pub(super) fn all(&self, number: u32) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter_map(move |(n, value)| match value {
            Value::Bytes(bytes) if *n == number => Some(bytes.as_slice()),
            _ => None,
        })
    }

    /// All bytes of a field, to be changed.
    pub(super) fn all_mut(&mut self, number: u32) -> impl Iterator<Item = &mut Vec<u8>> {
        self.fields.iter_mut().filter_map(move |(n, value)| match value {
            Value::Bytes(bytes) if *n == number => Some(bytes),
            _ => None,
        })
    }

    /// All messages of a field.
    pub(super) fn messages(&self, number: u32) -> Result<Vec<Message>, Malformed> {
        self.all(number).map(Message::read).collect()
    }

    /// The message of a field.
    pub(super) fn message(&self, number: u32) -> Result<Option<Message>, Malformed> {
        self.all(number).last().map(Message::read).transpose()
    }

    /// All texts of a field.
    pub(super) fn texts(&self, number: u32) -> impl Iterator<Item = String> {
        self.all(number).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The text of a field, empty where there is none.
    pub(super) fn text(&self, number: u32) -> String {
        self.texts(number).last().unwrap_or_default()
    }

    /// The integer of a field.
    pub(super) fn int(&self, number: u32) -> Option<i64> {
        self.fields.iter().rev().find_map(|(n, value)| match value {
            Value::Varint(x) if *n == number => Some(*x as i64),
            _ => None,
        })
    }

    /// The integers of a field, packed or not.
    pub(super) fn ints(&self, number: u32) -> Result<Vec<i64>, Malformed> {
        let mut ints = Vec::new();
        for (_, value) in self.fields.iter().filter(|(n, _)| *n == number) {
            match value {
                Value::Varint(x) => ints.push(*x as i64),
                Value::Bytes(packed) => {
                    let mut packed = packed.as_slice();
                    while !packed.is_empty() {
                        ints.push(varint(&mut packed)? as i64);
                    }
                }
                _ => return Err(Malformed),
            }
        }
        Ok(ints)
    }
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(*head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn put_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
