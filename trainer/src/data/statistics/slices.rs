//! The rows of a batch by their value in a column.

use std::collections::BTreeMap;

use arrow_array::{Array, UInt32Array};

use super::Type;
use super::columns::{each_string, push_numbers};

/// How many values a column to slice by may have.
pub(super) const MAX_VALUES: usize = 256;

/// The rows of each value of a flat column, by the value as text; rows without a value are in none.
///
/// Stops at one value more than [`MAX_VALUES`].
pub(super) fn rows_by_value(array: &dyn Array, of: Type) -> BTreeMap<String, UInt32Array> {
    let mut rows: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut scratch = Vec::new();
    for row in 0..array.len() {
        let cell = array.slice(row, 1);
        let mut add = |value: &str| match rows.get_mut(value) {
            Some(rows) => rows.push(row as u32),
            None => {
                rows.insert(value.to_owned(), vec![row as u32]);
            }
        };
        match of {
            Type::Bytes => each_string(&cell, &mut |value, _, _| add(&String::from_utf8_lossy(value))),
            _ => {
                scratch.clear();
                push_numbers(&cell, &mut scratch);
                scratch.iter().filter(|x| !x.is_nan()).for_each(|x| add(&x.to_string()));
            }
        }
        if rows.len() > MAX_VALUES {
            break;
        }
    }
    rows.into_iter().map(|(value, rows)| (value, UInt32Array::from(rows))).collect()
}
