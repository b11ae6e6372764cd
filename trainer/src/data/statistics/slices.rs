//! The rows of a batch by their value in a column.

use std::collections::BTreeMap;

use arrow_array::{Array, UInt32Array};

use super::Type;
use super::columns::{push_numbers, rows_of_strings};

/// How many values a column to slice by may have.
pub(super) const MAX_VALUES: usize = 256;

/// The rows of each value of a flat column, by the value as text; rows without a value are in none.
///
/// Of more values than [`MAX_VALUES`] it gives one more, and leaves the rows of the others out.
pub(super) fn rows_by_value(array: &dyn Array, of: Type) -> BTreeMap<String, UInt32Array> {
    let mut rows: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut add = |row: usize, value: &str| {
        if let Some(rows) = rows.get_mut(value) {
            rows.push(row as u32);
        } else if rows.len() <= MAX_VALUES {
            rows.insert(value.to_owned(), vec![row as u32]);
        }
    };
    if of == Type::Bytes {
        rows_of_strings(array, &mut |row, value, _| add(row, &String::from_utf8_lossy(value)));
    } else {
        let mut numbers = Vec::with_capacity(array.len());
        push_numbers(array, &mut numbers);
        let present = (0..array.len()).filter(|&row| array.is_valid(row));
        for (row, number) in present.zip(numbers).filter(|(_, number)| !number.is_nan()) {
            add(row, &number.to_string());
        }
    }
    rows.into_iter().map(|(value, rows)| (value, UInt32Array::from(rows))).collect()
}
