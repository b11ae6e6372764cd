//! `statistic`: a number of the held table snapshot, for the request's segment where it has one.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::scene::Scene;

/// A table statistic; missing where the item or the segment is unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistic {
    statistic: String,
}

impl Read for Statistic {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.statistic(&self.statistic)?;
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        Column::Number(scene.statistic(&self.statistic))
    }
}
