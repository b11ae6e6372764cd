//! `age`: days from a timestamp to the request; negative for the future.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind, NO_TIME};
use crate::numeric;
use crate::scene::Scene;
use crate::schema::FieldRef;

/// Days since a timestamp; missing where the timestamp is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Age {
    field: FieldRef,
}

impl Read for Age {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        match declared.field(&self.field)? {
            Kind::Timestamp => Ok(Kind::Number),
            kind => Err(format!("`{}` is a {kind}; age needs a timestamp", self.field)),
        }
    }

    fn read(&self, scene: &Scene) -> Column {
        let days = |ts: &i64| {
            if *ts == NO_TIME {
                return numeric::MISSING;
            }
            numeric::store(scene.request.ts.saturating_sub(*ts) as f64 / 86_400_000.0)
        };
        match scene.field(&self.field) {
            Column::Timestamp(times) => Column::Number(times.iter().map(days).collect()),
            _ => Column::Number(vec![numeric::MISSING; scene.rows()]),
        }
    }
}
