//! Tensors in a model: initializers, and attributes that hold numbers as a tensor.

use super::ModelError;
use super::protobuf::{Fields, doubles_of, floats_of, longs_of, malformed};

/// `TensorProto.FLOAT`.
pub(super) const FLOAT: i64 = 1;
/// `TensorProto.UINT8`.
const UINT8: i64 = 2;
/// `TensorProto.INT64`.
const INT64: i64 = 7;
/// `TensorProto.DOUBLE`.
pub(super) const DOUBLE: i64 = 11;

/// As many numbers as its shape says.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    pub(super) data: Data,
}

/// A tensor's numbers.
pub(super) enum Data {
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    /// 64-bit integers, or unsigned bytes.
    Ints(Vec<i64>),
}

impl Tensor {
    pub(super) fn read(bytes: &[u8]) -> Result<Tensor, ModelError> {
        let (mut name, mut shape, mut element) = (String::new(), Vec::new(), 0);
        let (mut floats, mut doubles, mut ints) = (Vec::new(), Vec::new(), Vec::new());
        let mut raw: Option<&[u8]> = None;
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.ints(&mut shape)?,
                2 => element = value.int()?,
                4 => value.floats(&mut floats)?,
                5 | 7 => value.ints(&mut ints)?,
                8 => name = value.text()?,
                9 => raw = Some(value.bytes()?),
                10 => value.doubles(&mut doubles)?,
                // The data's location, where it is not the default.
                14 if value.int()? == 0 => {}
                13 | 14 => return Err(malformed("external tensor data is not supported")),
                _ => {}
            }
        }
        if let Some(raw) = raw {
            match element {
                FLOAT => floats_of(raw, &mut floats)?,
                DOUBLE => doubles_of(raw, &mut doubles)?,
                INT64 => longs_of(raw, &mut ints)?,
                UINT8 => ints.extend(raw.iter().map(|&byte| i64::from(byte))),
                _ => {}
            }
        }
        let data = match element {
            FLOAT => Data::Floats(floats),
            DOUBLE => Data::Doubles(doubles),
            INT64 | UINT8 => Data::Ints(ints),
            _ => return Err(malformed("a tensor is neither of floats nor of 64-bit integers nor of bytes")),
        };
        let tensor = Tensor { name, shape, data };
        let size = tensor
            .shape
            .iter()
            .try_fold(1i64, |size, &d| u32::try_from(d).ok().and_then(|d| size.checked_mul(d.into())));
        if size != i64::try_from(tensor.len()).ok() {
            return Err(malformed("a tensor's data does not fit its shape"));
        }
        Ok(tensor)
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Floats(x) => x.len(),
            Data::Doubles(x) => x.len(),
            Data::Ints(x) => x.len(),
        }
    }
}
