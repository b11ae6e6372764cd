//! `decayed_count`: past interactions weighted `2^(-age / half_life)`; 0 where there are none.

use serde::{Deserialize, Serialize};

use super::filter::{Filter, Same};
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::duration::Duration;
use crate::scene::{Scene, Scope};

/// Exponentially decayed count of past interactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecayedCount {
    scope: Scope,
    half_life: Duration,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    same: Option<Same>,
}

impl Read for DecayedCount {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        if self.half_life.ms == 0 {
            return Err("`half_life` is 0; write a duration such as \"30d\"".into());
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let filter = Filter::new(scene, self.actions.as_deref(), None, self.same);
        let (weights, start) = (scene.decay(self.half_life), scene.window.start);
        scene.per_candidate(&self.scope, &|entries| {
            let mut sum = 0.0;
            for &entry in filter.of(entries).iter() {
                sum += weights[entry as usize - start];
            }
            sum
        })
    }
}
