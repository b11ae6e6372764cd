//! Tables: a dated snapshot of item attributes and statistics.
//!
//! A request uses the newest held snapshot with `valid_from <= request.ts`; the row carries its digest.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::column::{self, Column};
use crate::schema::{FieldRef, Schema};

/// Largest size of a snapshot, in bytes.
pub const MAX_BYTES: usize = 8 << 20;

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tables {
    /// Events before this time are in it; milliseconds since the epoch.
    pub as_of: i64,
    /// Requests from this time on use it: `as_of` plus the declared delay.
    pub valid_from: i64,
    /// Item ids, sorted and distinct: the rows of everything below.
    pub items: Vec<String>,
    /// A column for each item field of the schema, in its order.
    pub attributes: Vec<Column>,
    /// A block for each declared statistic, in the spec's order.
    pub statistics: Vec<StatisticValues>,
}

/// What a statistic is; part of the encoder, so that a snapshot can be checked against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatisticDef {
    /// Its name.
    pub name: String,
    /// A user or context category; values are kept for each of its values.
    pub by: Option<FieldRef>,
}

/// The values of one statistic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatisticValues {
    /// Names of the segments, sorted; one empty name where the statistic has no `by`.
    pub segments: Vec<String>,
    /// `f32[segments, items]`, row-major; missing is NaN.
    #[serde(with = "crate::floats")]
    pub data: Vec<f32>,
}

/// Why a snapshot is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TablesError {
    /// Not a snapshot of this version.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Too large.
    #[error("tables have {got} bytes, at most {MAX_BYTES} are allowed; declare fewer fields or segments")]
    TooLarge {
        /// Its size.
        got: usize,
    },
    /// Columns do not fit the schema, or sizes do not agree.
    #[error("tables do not fit the encoder: {what}")]
    Mismatch {
        /// What does not fit.
        what: String,
    },
}

impl Tables {
    /// A snapshot without items, for surfaces that need none.
    pub fn empty(schema: &Schema, statistics: &[StatisticDef]) -> Tables {
        Tables {
            as_of: i64::MIN,
            valid_from: i64::MIN,
            items: Vec::new(),
            attributes: schema.item.iter().map(|f| Column::empty(f.kind)).collect(),
            statistics: statistics
                .iter()
                .map(|_| StatisticValues { segments: vec![String::new()], data: Vec::new() })
                .collect(),
        }
    }

    /// The canonical bytes; a snapshot is named by their digest.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads and checks a snapshot against the schema and statistics it is used with.
    ///
    /// # Errors
    /// Too large, malformed, or not fitting.
    pub fn from_bytes(bytes: &[u8], schema: &Schema, statistics: &[StatisticDef]) -> Result<Tables, TablesError> {
        if bytes.len() > MAX_BYTES {
            return Err(TablesError::TooLarge { got: bytes.len() });
        }
        let tables: Tables = codec::decode(bytes, "tables")?;
        tables.check(schema, statistics)?;
        Ok(tables)
    }

    fn check(&self, schema: &Schema, statistics: &[StatisticDef]) -> Result<(), TablesError> {
        let mismatch = |what: String| Err(TablesError::Mismatch { what });
        if !self.items.windows(2).all(|w| w[0] < w[1]) {
            return mismatch("items are not sorted".into());
        }
        if self.attributes.len() != schema.item.len() {
            return mismatch(format!("{} item fields, expected {}", self.attributes.len(), schema.item.len()));
        }
        for (column, field) in self.attributes.iter().zip(&schema.item) {
            if let Err(e) = column.check(field.kind, self.items.len()) {
                return mismatch(format!("item field `{}`: {e}", field.name));
            }
        }
        if self.statistics.len() != statistics.len() {
            return mismatch(format!("{} statistics, expected {}", self.statistics.len(), statistics.len()));
        }
        for (values, def) in self.statistics.iter().zip(statistics) {
            let segments_ok = match def.by {
                None => values.segments == [""],
                Some(_) => values.segments.windows(2).all(|w| w[0] < w[1]),
            };
            if !segments_ok || Some(values.data.len()) != values.segments.len().checked_mul(self.items.len()) {
                return mismatch(format!("statistic `{}` has inconsistent sizes", def.name));
            }
            if !column::canonical(&values.data) {
                return mismatch(format!(
                    "statistic `{}` has an infinity or another NaN than the missing one",
                    def.name
                ));
            }
        }
        Ok(())
    }

    /// The row of an item.
    pub fn row(&self, item: &str) -> Option<u32> {
        self.items.binary_search_by(|i| i.as_str().cmp(item)).ok().map(|i| i as u32)
    }

    /// The values of a statistic for one segment, a number an item; `None` where the segment is unknown.
    pub fn statistic(&self, index: usize, segment: &str) -> Option<&[f32]> {
        let values = self.statistics.get(index)?;
        let at = values.segments.binary_search_by(|s| s.as_str().cmp(segment)).ok()?;
        let items = self.items.len();
        values.data.get(at * items..(at + 1) * items)
    }
}

#[cfg(test)]
mod tests;
