//! `since_last`: hours since the newest interaction, or since the `nth` newest; missing where there is none.

use serde::{Deserialize, Serialize};

use super::filter::{Filter, Same};
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::scene::{Scene, Scope};

/// Hours since the newest interaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinceLast {
    scope: Scope,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    same: Option<Same>,
    /// 1 (the default) is the newest.
    #[serde(default)]
    nth: Option<u32>,
}

impl Read for SinceLast {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        if self.nth == Some(0) {
            return Err("`nth` counts from 1, the newest".into());
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let filter = Filter::new(scene, self.actions.as_deref(), None, self.same);
        let skip = self.nth.unwrap_or(1).saturating_sub(1) as usize;
        scene.per_candidate(&self.scope, &|entries| {
            let newest = filter.of(entries).iter().rev().nth(skip).copied();
            newest.map_or(f64::NAN, |e| scene.age_hours(e))
        })
    }
}
