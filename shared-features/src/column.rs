//! Columns: typed values of many rows side by side.
//!
//! Every value that is logged, sent to the guest or held in a table is in one of these.
//! A column that arrives from outside is checked once, by [`Column::check`]; after that no access can fail.

use serde::{Deserialize, Serialize};

use crate::{event::FieldValue, numeric, order};

/// Code of a missing category.
pub const NO_CODE: u32 = u32::MAX;
/// A missing timestamp.
pub const NO_TIME: i64 = i64::MIN;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `f32`; missing is NaN.
    Number,
    /// `true` is 1, `false` is 0, missing is NaN.
    Boolean,
    /// One string of a set.
    Category,
    /// A set of strings; missing is the empty set.
    Tags,
    /// Free text; only sources that read text use it.
    Text,
    /// `f32[width]`; missing is NaN in every place.
    Vector(u32),
    /// Milliseconds since the epoch, UTC.
    Timestamp,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Number => f.write_str("number"),
            Kind::Boolean => f.write_str("boolean"),
            Kind::Category => f.write_str("category"),
            Kind::Tags => f.write_str("tags"),
            Kind::Text => f.write_str("text"),
            Kind::Vector(width) => write!(f, "vector of {width}"),
            Kind::Timestamp => f.write_str("timestamp"),
        }
    }
}

/// Values of one kind, a row each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Column {
    /// Numbers and booleans.
    Number(#[serde(with = "crate::floats")] Vec<f32>),
    /// Categories, dictionary coded.
    Category(Categories),
    /// Tag sets, dictionary coded.
    Tags(TagSets),
    /// Vectors.
    Vector(Vectors),
    /// Timestamps; missing is [`NO_TIME`].
    Timestamp(Vec<i64>),
}

/// Categories: `names` sorted and distinct, a code a row, [`NO_CODE`] where missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Categories {
    /// The dictionary.
    pub names: Vec<String>,
    /// Index into `names`, a row each.
    pub codes: Vec<u32>,
}

/// Tag sets: row `i` has `codes[offsets[i]..offsets[i + 1]]`, sorted and distinct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagSets {
    /// The dictionary, sorted and distinct.
    pub names: Vec<String>,
    /// Where each row starts; one longer than there are rows.
    pub offsets: Vec<u32>,
    /// Indices into `names`.
    pub codes: Vec<u32>,
}

/// Vectors, row-major `f32[rows, width]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vectors {
    /// Numbers a row.
    pub width: u32,
    /// All rows.
    #[serde(with = "crate::floats")]
    pub data: Vec<f32>,
}

/// Why a column is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// Other than the expected number of rows.
    #[error("{got} rows, expected {expected}")]
    Rows {
        /// What came.
        got: usize,
        /// What was expected.
        expected: usize,
    },
    /// A code points outside the dictionary, or the dictionary, offsets or a row's tags are not in order,
    /// or a number is a NaN other than the missing one, or infinite.
    #[error("a dictionary, its codes or a number are inconsistent")]
    Dictionary,
    /// Other than the expected kind.
    #[error("a {got} column, expected {expected}")]
    Kind {
        /// What came.
        got: &'static str,
        /// What was expected.
        expected: Kind,
    },
    /// A value is not of the field's kind.
    #[error("{got}, expected a {expected}")]
    Value {
        /// What came.
        got: String,
        /// What was expected.
        expected: Kind,
    },
}

impl Column {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Column::Number(x) => x.len(),
            Column::Category(c) => c.codes.len(),
            Column::Tags(t) => t.offsets.len().saturating_sub(1),
            Column::Vector(v) => v.data.len() / v.width.max(1) as usize,
            Column::Timestamp(t) => t.len(),
        }
    }

    /// Checks everything that later access relies on, and that the column fits `kind` and `rows`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, kind: Kind, rows: usize) -> Result<(), ColumnError> {
        let sorted = |names: &[String]| names.windows(2).all(|w| w[0] < w[1]);
        let consistent = match (self, kind) {
            (Column::Number(x), Kind::Number | Kind::Boolean) => canonical(x),
            (Column::Category(c), Kind::Category | Kind::Text) => {
                sorted(&c.names) && c.codes.iter().all(|&k| k == NO_CODE || (k as usize) < c.names.len())
            }
            (Column::Tags(t), Kind::Tags) => {
                sorted(&t.names)
                    && t.offsets.first() == Some(&0)
                    && t.offsets.last().is_some_and(|&n| n as usize == t.codes.len())
                    && t.offsets.windows(2).all(|w| w[0] <= w[1])
                    && t.codes.iter().all(|&k| (k as usize) < t.names.len())
                    && (0..t.offsets.len() - 1).all(|row| t.codes_of(row).windows(2).all(|w| w[0] < w[1]))
            }
            (Column::Vector(v), Kind::Vector(width)) => {
                v.width == width && width > 0 && v.data.len() % width as usize == 0 && canonical(&v.data)
            }
            (Column::Timestamp(_), Kind::Timestamp) => true,
            (other, expected) => return Err(ColumnError::Kind { got: other.name(), expected }),
        };
        if !consistent {
            return Err(ColumnError::Dictionary);
        }
        if self.rows() != rows {
            return Err(ColumnError::Rows { got: self.rows(), expected: rows });
        }
        Ok(())
    }

    /// A column of JSON values, a row each; `None` is missing.
    ///
    /// # Errors
    /// A value that is not of `kind`.
    pub fn from_json<'a>(
        kind: Kind,
        cells: impl Iterator<Item = Option<&'a FieldValue>>,
    ) -> Result<Column, ColumnError> {
        let wrong = |got: &FieldValue| ColumnError::Value { got: describe(got), expected: kind };
        Ok(match kind {
            Kind::Number => Column::Number(
                cells
                    .map(|cell| match cell {
                        None => Ok(numeric::MISSING),
                        Some(FieldValue::Number(x)) => Ok(numeric::store(*x)),
                        Some(FieldValue::Boolean(b)) => Ok(f32::from(u8::from(*b))),
                        Some(other) => Err(wrong(other)),
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Kind::Boolean => Column::Number(
                cells
                    .map(|cell| match cell {
                        None => Ok(numeric::MISSING),
                        Some(FieldValue::Boolean(b)) => Ok(f32::from(u8::from(*b))),
                        Some(other) => Err(wrong(other)),
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Kind::Timestamp => Column::Timestamp(
                cells
                    .map(|cell| match cell {
                        None => Ok(NO_TIME),
                        // Whole milliseconds within the range where `f64` is exact.
                        Some(FieldValue::Number(x)) if x.abs() <= 9_007_199_254_740_992.0 => Ok(*x as i64),
                        Some(other) => Err(wrong(other)),
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Kind::Category | Kind::Text => {
                let cells = cells
                    .map(|cell| match cell {
                        None => Ok(None),
                        Some(FieldValue::String(s)) => Ok(Some(s.as_str())),
                        Some(other) => Err(wrong(other)),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                Column::Category(Categories::collect(&cells))
            }
            Kind::Tags => {
                let cells = cells
                    .map(|cell| match cell {
                        None => Ok(Vec::new()),
                        Some(FieldValue::String(s)) => Ok(vec![s.as_str()]),
                        Some(FieldValue::Strings(s)) => Ok(s.iter().map(String::as_str).collect()),
                        Some(FieldValue::Numbers(empty)) if empty.is_empty() => Ok(Vec::new()),
                        Some(other) => Err(wrong(other)),
                    })
                    .collect::<Result<Vec<Vec<&str>>, _>>()?;
                Column::Tags(TagSets::collect(&cells))
            }
            Kind::Vector(width) => {
                let mut data = Vec::new();
                for cell in cells {
                    match cell {
                        None => data.extend((0..width).map(|_| numeric::MISSING)),
                        Some(FieldValue::Numbers(x)) if x.len() == width as usize => {
                            data.extend(x.iter().map(|&x| numeric::store(x)));
                        }
                        Some(other) => return Err(wrong(other)),
                    }
                }
                Column::Vector(Vectors { width, data })
            }
        })
    }

    /// A column without rows.
    pub(crate) fn empty(kind: Kind) -> Column {
        match kind {
            Kind::Number | Kind::Boolean => Column::Number(Vec::new()),
            Kind::Category | Kind::Text => Column::Category(Categories::default()),
            Kind::Tags => Column::Tags(TagSets::collect(&[])),
            Kind::Vector(width) => Column::Vector(Vectors { width, data: Vec::new() }),
            Kind::Timestamp => Column::Timestamp(Vec::new()),
        }
    }

    /// The rows at `indices`, in that order; an index out of range gives a missing value.
    pub fn take(&self, indices: &[Option<u32>]) -> Column {
        let at = |i: &Option<u32>| i.map(|i| i as usize);
        match self {
            Column::Number(x) => Column::Number(
                indices.iter().map(|i| at(i).and_then(|i| x.get(i)).copied().unwrap_or(numeric::MISSING)).collect(),
            ),
            Column::Timestamp(t) => Column::Timestamp(
                indices.iter().map(|i| at(i).and_then(|i| t.get(i)).copied().unwrap_or(NO_TIME)).collect(),
            ),
            Column::Category(c) => {
                let cells: Vec<_> = indices.iter().map(|i| at(i).and_then(|i| c.get(i))).collect();
                Column::Category(Categories::collect(&cells))
            }
            Column::Tags(t) => {
                let cells: Vec<Vec<&str>> =
                    indices.iter().map(|i| at(i).map(|i| t.get(i).collect()).unwrap_or_default()).collect();
                Column::Tags(TagSets::collect(&cells))
            }
            Column::Vector(v) => {
                let width = v.width as usize;
                let mut data = Vec::with_capacity(indices.len() * width);
                for i in indices {
                    match at(i).and_then(|i| v.data.get(i * width..(i + 1) * width)) {
                        Some(row) => data.extend_from_slice(row),
                        None => data.extend((0..width).map(|_| numeric::MISSING)),
                    }
                }
                Column::Vector(Vectors { width: v.width, data })
            }
        }
    }

    /// One column of the rows of all `parts`, in order; parts must be of one kind.
    ///
    /// # Errors
    /// Parts of different kinds or widths.
    pub fn concat(parts: &[&Column]) -> Result<Column, ColumnError> {
        let mismatch = |expected| ColumnError::Kind { got: "different", expected };
        Ok(match parts.first() {
            None => Column::Number(Vec::new()),
            Some(Column::Number(_)) => {
                let mut all = Vec::new();
                for part in parts {
                    let Column::Number(x) = part else { return Err(mismatch(Kind::Number)) };
                    all.extend_from_slice(x);
                }
                Column::Number(all)
            }
            Some(Column::Timestamp(_)) => {
                let mut all = Vec::new();
                for part in parts {
                    let Column::Timestamp(x) = part else { return Err(mismatch(Kind::Timestamp)) };
                    all.extend_from_slice(x);
                }
                Column::Timestamp(all)
            }
            Some(Column::Category(_)) => {
                let mut cells = Vec::new();
                for part in parts {
                    let Column::Category(c) = part else { return Err(mismatch(Kind::Category)) };
                    cells.extend((0..c.codes.len()).map(|i| c.get(i)));
                }
                Column::Category(Categories::collect(&cells))
            }
            Some(Column::Tags(_)) => {
                let mut cells: Vec<Vec<&str>> = Vec::new();
                for part in parts {
                    let Column::Tags(t) = part else { return Err(mismatch(Kind::Tags)) };
                    cells.extend((0..part.rows()).map(|i| t.get(i).collect::<Vec<_>>()));
                }
                Column::Tags(TagSets::collect(&cells))
            }
            Some(Column::Vector(first)) => {
                let mut data = Vec::new();
                for part in parts {
                    match part {
                        Column::Vector(v) if v.width == first.width => data.extend_from_slice(&v.data),
                        _ => return Err(mismatch(Kind::Vector(first.width))),
                    }
                }
                Column::Vector(Vectors { width: first.width, data })
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Column::Number(_) => "number",
            Column::Category(_) => "category",
            Column::Tags(_) => "tags",
            Column::Vector(_) => "vector",
            Column::Timestamp(_) => "timestamp",
        }
    }
}

impl Categories {
    /// Codes the cells against their own sorted dictionary.
    pub fn collect(cells: &[Option<&str>]) -> Self {
        let names = dictionary(cells.iter().flatten().copied());
        let codes = cells.iter().map(|cell| cell.map_or(NO_CODE, |s| code(&names, s))).collect();
        Categories { names: names.into_iter().map(str::to_owned).collect(), codes }
    }

    /// The name in a row; `None` where missing or out of range.
    pub fn get(&self, row: usize) -> Option<&str> {
        self.names.get(*self.codes.get(row)? as usize).map(String::as_str)
    }
}

impl TagSets {
    /// Codes the cells against their own sorted dictionary; a tag counts once a row.
    pub fn collect(cells: &[Vec<&str>]) -> Self {
        let names = dictionary(cells.iter().flatten().copied());
        let mut offsets = vec![0u32];
        let mut codes = Vec::new();
        for cell in cells {
            let mut row: Vec<u32> = cell.iter().map(|s| code(&names, s)).collect();
            row.sort_unstable();
            row.dedup();
            codes.append(&mut row);
            offsets.push(codes.len() as u32);
        }
        TagSets { names: names.into_iter().map(str::to_owned).collect(), offsets, codes }
    }

    /// The codes of a row; empty where missing or out of range.
    pub fn codes_of(&self, row: usize) -> &[u32] {
        match (self.offsets.get(row), self.offsets.get(row + 1)) {
            (Some(&from), Some(&to)) => self.codes.get(from as usize..to as usize).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// The names of a row, sorted.
    pub fn get(&self, row: usize) -> impl Iterator<Item = &str> {
        self.codes_of(row).iter().filter_map(|&k| self.names.get(k as usize)).map(String::as_str)
    }
}

/// Whether every number is one that [`numeric::store`] gives.
pub(crate) fn canonical(numbers: &[f32]) -> bool {
    numbers.iter().all(|x| x.to_bits() == numeric::store_f32(*x).to_bits())
}

fn dictionary<'a>(cells: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names = order::sorted_texts(&cells.collect::<Vec<_>>());
    names.dedup();
    names
}

fn code(names: &[&str], name: &str) -> u32 {
    names.binary_search(&name).map_or(NO_CODE, |i| i as u32)
}

fn describe(value: &FieldValue) -> String {
    match value {
        FieldValue::Boolean(b) => format!("got the boolean {b}"),
        FieldValue::Number(x) => format!("got the number {x}"),
        FieldValue::String(s) => format!("got the string {:?}", s.chars().take(40).collect::<String>()),
        FieldValue::Strings(s) => format!("got {} strings", s.len()),
        FieldValue::Numbers(x) => format!("got {} numbers", x.len()),
    }
}

#[cfg(test)]
mod tests;
