//! `share`: the part of all past interactions that is in this scope, `(scope + prior * weight) / (all + weight)`.

use serde::{Deserialize, Serialize};

use super::filter::{Filter, Same};
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::duration::Duration;
use crate::scene::{Scene, Scope};

/// Share of past interactions; missing where there are none at all and `weight` is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    scope: Scope,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    window: Option<Duration>,
    #[serde(default)]
    same: Option<Same>,
    #[serde(default)]
    prior: f64,
    #[serde(default)]
    weight: f64,
}

impl Read for Share {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        if !(self.weight >= 0.0 && self.weight.is_finite() && self.prior.is_finite()) {
            return Err("`weight` must be at least 0 and `prior` finite".into());
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let filter = Filter::new(scene, self.actions.as_deref(), self.window, self.same);
        let window: Vec<u32> = scene.window.clone().map(|entry| entry as u32).collect();
        let all = filter.count(&window) + self.weight;
        scene.per_candidate(&self.scope, &|entries| {
            let count = filter.count(entries);
            if all == 0.0 { f64::NAN } else { (count + self.prior * self.weight) / all }
        })
    }
}
