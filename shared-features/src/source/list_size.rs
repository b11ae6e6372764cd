//! `list_size`: how many candidates the request has.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::scene::Scene;

/// Number of candidates; never missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListSize {}

impl Read for ListSize {
    fn kind(&self, _declared: &Declared) -> Result<Kind, String> {
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        Column::Number(vec![scene.rows() as f32; scene.rows()])
    }
}
