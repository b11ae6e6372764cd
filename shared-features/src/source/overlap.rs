//! `overlap`: the share of the smaller tag set that is in the other, `|a & b| / min(|a|, |b|)`.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind, TagSets};
use crate::numeric;
use crate::scene::Scene;
use crate::schema::FieldRef;

/// Overlap of two tag sets (a category is a set of one), 0 to 1; missing where either is empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlap {
    left: FieldRef,
    right: FieldRef,
}

impl Read for Overlap {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        for field in [&self.left, &self.right] {
            match declared.field(field)? {
                Kind::Category | Kind::Tags => {}
                kind => return Err(format!("`{field}` is a {kind}; overlap compares tags")),
            }
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let (left, right) = (as_tags(scene.field(&self.left)), as_tags(scene.field(&self.right)));
        let overlap = |row| {
            let (a, b): (Vec<&str>, Vec<&str>) = (left.get(row).collect(), right.get(row).collect());
            share(&a, &b).map_or(numeric::MISSING, numeric::store)
        };
        Column::Number((0..scene.rows()).map(overlap).collect())
    }
}

/// The share of the smaller of two sorted sets that is in the other; `None` where either is empty.
pub(crate) fn share<T: Ord>(a: &[T], b: &[T]) -> Option<f64> {
    let smaller = a.len().min(b.len());
    let shared = a.iter().filter(|tag| b.binary_search(tag).is_ok()).count();
    (smaller > 0).then(|| shared as f64 / smaller as f64)
}

/// Tag sets as they are, and each category as a set of one.
pub(super) fn as_tags(column: Column) -> TagSets {
    match column {
        Column::Tags(tags) => tags,
        Column::Category(c) => {
            let cells: Vec<Vec<&str>> = (0..c.codes.len()).map(|row| c.get(row).into_iter().collect()).collect();
            TagSets::collect(&cells)
        }
        _ => TagSets::collect(&[]),
    }
}
