//! A reader of protobuf fields: bounds are checked, nothing is copied.

use super::ModelError;

/// The fields of one message.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, ModelError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = varint(&mut self.rest)?;
                Value::Bytes(self.take(usize::try_from(len).unwrap_or(usize::MAX))?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(malformed("a wire type is unknown")),
        };
        let number = u32::try_from(key >> 3).map_err(|_| malformed("a field number is too large"))?;
        Ok(Some((number, value)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ModelError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(malformed("it is cut off"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], ModelError> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(malformed("a field has another wire type")),
        }
    }

    pub(super) fn text(self) -> Result<String, ModelError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| malformed("a name is not UTF-8"))
    }

    pub(super) fn int(self) -> Result<i64, ModelError> {
        match self {
            Value::Varint(x) => Ok(x as i64),
            _ => Err(malformed("a field has another wire type")),
        }
    }

    pub(super) fn float(self) -> Result<f32, ModelError> {
        match self {
            Value::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(malformed("a field has another wire type")),
        }
    }

    /// Appends one integer, or a packed list of them.
    pub(super) fn ints(self, to: &mut Vec<i64>) -> Result<(), ModelError> {
        match self {
            Value::Varint(x) => to.push(x as i64),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    to.push(varint(&mut packed)? as i64);
                }
            }
            _ => return Err(malformed("a field has another wire type")),
        }
        Ok(())
    }

    /// Appends one float, or a packed list of them.
    pub(super) fn floats(self, to: &mut Vec<f32>) -> Result<(), ModelError> {
        match self {
            Value::Fixed32(bits) => to.push(f32::from_bits(bits)),
            Value::Bytes(packed) => floats_of(packed, to)?,
            _ => return Err(malformed("a field has another wire type")),
        }
        Ok(())
    }

    /// Appends one double, or a packed list of them.
    pub(super) fn doubles(self, to: &mut Vec<f64>) -> Result<(), ModelError> {
        match self {
            Value::Fixed64(bits) => to.push(f64::from_bits(bits)),
            Value::Bytes(packed) => doubles_of(packed, to)?,
            _ => return Err(malformed("a field has another wire type")),
        }
        Ok(())
    }
}

/// Appends little-endian doubles.
pub(super) fn doubles_of(bytes: &[u8], to: &mut Vec<f64>) -> Result<(), ModelError> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(malformed("a list of doubles is cut off"));
    }
    to.extend(chunks.iter().map(|c| f64::from_le_bytes(*c)));
    Ok(())
}

/// Appends little-endian 64-bit integers.
pub(super) fn longs_of(bytes: &[u8], to: &mut Vec<i64>) -> Result<(), ModelError> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(malformed("a list of integers is cut off"));
    }
    to.extend(chunks.iter().map(|c| i64::from_le_bytes(*c)));
    Ok(())
}

/// Appends little-endian floats.
pub(super) fn floats_of(bytes: &[u8], to: &mut Vec<f32>) -> Result<(), ModelError> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(malformed("a list of floats is cut off"));
    }
    to.extend(chunks.iter().map(|c| f32::from_le_bytes(*c)));
    Ok(())
}

fn varint(rest: &mut &[u8]) -> Result<u64, ModelError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(malformed("it is cut off"))?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("a number has more than 64 bits"))
}

pub(super) const fn malformed(reason: &'static str) -> ModelError {
    ModelError::Malformed { reason }
}
