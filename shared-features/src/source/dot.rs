//! `dot`: the dot product of two vectors of one width, summed in index order in `f64`.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::numeric;
use crate::scene::Scene;
use crate::schema::FieldRef;

/// Dot product; missing where either vector is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dot {
    left: FieldRef,
    right: FieldRef,
}

impl Read for Dot {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        match (declared.field(&self.left)?, declared.field(&self.right)?) {
            (Kind::Vector(a), Kind::Vector(b)) if a == b => Ok(Kind::Number),
            (a, b) => {
                Err(format!("`{}` is a {a} and `{}` a {b}; dot needs two vectors of one width", self.left, self.right))
            }
        }
    }

    fn read(&self, scene: &Scene) -> Column {
        let (Column::Vector(left), Column::Vector(right)) = (scene.field(&self.left), scene.field(&self.right)) else {
            return Column::Number(vec![numeric::MISSING; scene.rows()]);
        };
        let width = left.width.max(1) as usize;
        let products = left.data.chunks(width).zip(right.data.chunks(width)).map(|(a, b)| {
            let mut sum = 0.0;
            for (x, y) in a.iter().zip(b) {
                sum += f64::from(*x) * f64::from(*y);
            }
            numeric::store(sum)
        });
        Column::Number(products.collect())
    }
}
