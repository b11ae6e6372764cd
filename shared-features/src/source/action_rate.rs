//! `action_rate`: how often one action followed another, `(of + prior * weight) / (over + weight)`.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::duration::Duration;
use crate::scene::{Scene, Scope};

/// Rate of one set of actions over another; missing where `over` never happened and `weight` is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRate {
    scope: Scope,
    of: Vec<String>,
    over: Vec<String>,
    #[serde(default)]
    prior: f64,
    #[serde(default)]
    weight: f64,
    #[serde(default)]
    window: Option<Duration>,
}

impl Read for ActionRate {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        if !(self.weight >= 0.0 && self.weight.is_finite() && self.prior.is_finite()) {
            return Err("`weight` must be at least 0 and `prior` finite".into());
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let of = Filter::new(scene, Some(&self.of), self.window, None);
        let over = Filter::new(scene, Some(&self.over), self.window, None);
        scene.per_candidate(&self.scope, &|entries| {
            let below = over.count(entries) + self.weight;
            if below == 0.0 { f64::NAN } else { (of.count(entries) + self.prior * self.weight) / below }
        })
    }
}
