//! Arrow columns as numbers or strings.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};

use super::Type;

/// What a column holds and whether in lists; `None` where statistics cannot be made of it.
pub(super) fn type_of(column: &DataType) -> Option<(Type, bool)> {
    match column {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some((flat(field.data_type())?, true))
        }
        _ => Some((flat(column)?, false)),
    }
}

fn flat(column: &DataType) -> Option<Type> {
    use DataType::*;
    match column {
        Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Some(Type::Int),
        Date32 | Date64 | Timestamp(..) => Some(Type::Int),
        Float16 | Float32 | Float64 => Some(Type::Float),
        Null | Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => Some(Type::Bytes),
        Dictionary(key, value) if key.is_dictionary_key_type() => {
            flat(value).filter(|of| *of == Type::Bytes && !matches!(**value, Dictionary(..)))
        }
        _ => None,
    }
}

/// Appends the numbers of a flat column, without its nulls.
pub(super) fn push_numbers(array: &dyn Array, to: &mut Vec<f64>) {
    match array.data_type() {
        DataType::Boolean => to.extend(array.as_boolean().iter().flatten().map(f64::from)),
        DataType::Int8 => push::<Int8Type>(array, to, f64::from),
        DataType::Int16 => push::<Int16Type>(array, to, f64::from),
        DataType::Int32 => push::<Int32Type>(array, to, f64::from),
        DataType::Int64 => push::<Int64Type>(array, to, |x| x as f64),
        DataType::UInt8 => push::<UInt8Type>(array, to, f64::from),
        DataType::UInt16 => push::<UInt16Type>(array, to, f64::from),
        DataType::UInt32 => push::<UInt32Type>(array, to, f64::from),
        DataType::UInt64 => push::<UInt64Type>(array, to, |x| x as f64),
        DataType::Date32 => push::<Date32Type>(array, to, f64::from),
        DataType::Date64 => push::<Date64Type>(array, to, |x| x as f64),
        DataType::Timestamp(TimeUnit::Second, _) => push::<TimestampSecondType>(array, to, |x| x as f64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => push::<TimestampMillisecondType>(array, to, |x| x as f64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => push::<TimestampMicrosecondType>(array, to, |x| x as f64),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => push::<TimestampNanosecondType>(array, to, |x| x as f64),
        DataType::Float16 => push::<Float16Type>(array, to, |x| x.to_f64()),
        DataType::Float32 => push::<Float32Type>(array, to, f64::from),
        DataType::Float64 => push::<Float64Type>(array, to, |x| x),
        _ => {}
    }
}

fn push<T: ArrowPrimitiveType>(array: &dyn Array, to: &mut Vec<f64>, number: impl Fn(T::Native) -> f64) {
    let array = array.as_primitive::<T>();
    if array.null_count() == 0 {
        to.extend(array.values().iter().map(|&x| number(x)));
    } else {
        to.extend(array.iter().flatten().map(number));
    }
}

/// Shows the strings of a flat column, without its nulls, with how often they occur and whether they are known to be
/// UTF-8; a dictionary's each once.
pub(super) fn each_string(array: &dyn Array, show: &mut dyn FnMut(&[u8], u64, bool)) {
    let Some(dictionary) = array.as_any_dictionary_opt() else {
        return rows_of_strings(array, &mut |_, value, valid| show(value, 1, valid));
    };
    let mut times = vec![0u64; dictionary.values().len()];
    keys(array, &mut |_, key| times[key] += 1);
    rows_of_strings(dictionary.values(), &mut |key, value, valid| {
        if times[key] > 0 {
            show(value, times[key], valid);
        }
    });
}

/// Shows the rows of a flat column that have a string, with it, and whether it is known to be UTF-8.
pub(super) fn rows_of_strings(array: &dyn Array, show: &mut dyn FnMut(usize, &[u8], bool)) {
    fn rows<'a, T: AsRef<[u8]> + ?Sized + 'a>(
        values: impl Iterator<Item = Option<&'a T>>,
        valid: bool,
        show: &mut dyn FnMut(usize, &[u8], bool),
    ) {
        for (row, value) in values.enumerate() {
            if let Some(value) = value {
                show(row, value.as_ref(), valid);
            }
        }
    }
    match array.data_type() {
        DataType::Utf8 => rows(array.as_string::<i32>().iter(), true, show),
        DataType::LargeUtf8 => rows(array.as_string::<i64>().iter(), true, show),
        DataType::Utf8View => rows(array.as_string_view().iter(), true, show),
        DataType::Binary => rows(array.as_binary::<i32>().iter(), false, show),
        DataType::LargeBinary => rows(array.as_binary::<i64>().iter(), false, show),
        DataType::BinaryView => rows(array.as_binary_view().iter(), false, show),
        DataType::Dictionary(..) => {
            let Some(dictionary) = array.as_any_dictionary_opt() else { return };
            let mut values: Vec<Option<(Vec<u8>, bool)>> = vec![None; dictionary.values().len()];
            rows_of_strings(dictionary.values(), &mut |key, value, valid| values[key] = Some((value.to_vec(), valid)));
            keys(array, &mut |row, key| {
                if let Some((value, valid)) = &values[key] {
                    show(row, value, *valid);
                }
            });
        }
        _ => {}
    }
}

/// Shows the rows of a dictionary column that have a key, with it.
fn keys(array: &dyn Array, show: &mut dyn FnMut(usize, usize)) {
    let Some(dictionary) = array.as_any_dictionary_opt().filter(|d| !d.values().is_empty()) else { return };
    let nulls = dictionary.keys().nulls();
    for (row, key) in dictionary.normalized_keys().into_iter().enumerate() {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            show(row, key);
        }
    }
}

/// A list column's values, its offsets into them (one more than rows), and which rows are null.
pub(super) fn list_parts(
    array: &dyn Array,
) -> Option<(arrow_array::ArrayRef, Vec<usize>, Option<arrow_buffer::NullBuffer>)> {
    let nulls = array.nulls().cloned();
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            Some((list.values().clone(), list.offsets().iter().map(|&o| o as usize).collect(), nulls))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            Some((list.values().clone(), list.offsets().iter().map(|&o| o as usize).collect(), nulls))
        }
        DataType::FixedSizeList(_, width) => {
            let list = array.as_fixed_size_list();
            let width = *width as usize;
            Some((list.values().clone(), (0..=list.len()).map(|row| row * width).collect(), nulls))
        }
        _ => None,
    }
}
