//! `match`: 1 where two categories are equal, 0 where they differ.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::numeric;
use crate::scene::Scene;
use crate::schema::FieldRef;

/// Equality of two categories; missing where either is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    left: FieldRef,
    right: FieldRef,
}

impl Read for Match {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        for field in [&self.left, &self.right] {
            match declared.field(field)? {
                Kind::Category => {}
                kind => return Err(format!("`{field}` is a {kind}; match compares categories")),
            }
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let (Column::Category(left), Column::Category(right)) = (scene.field(&self.left), scene.field(&self.right))
        else {
            return Column::Number(vec![numeric::MISSING; scene.rows()]);
        };
        let equal = |row| match (left.get(row), right.get(row)) {
            (Some(a), Some(b)) => f32::from(u8::from(a == b)),
            _ => numeric::MISSING,
        };
        Column::Number((0..scene.rows()).map(equal).collect())
    }
}
