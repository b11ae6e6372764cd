//! `distinct`: how many different items the user has interacted with, in a window.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::duration::Duration;
use crate::scene::{Scene, Scope};

/// Number of distinct items; 0 where there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distinct {
    scope: Scope,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    window: Option<Duration>,
}

impl Read for Distinct {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let filter = Filter::new(scene, self.actions.as_deref(), self.window, None);
        scene.per_candidate(&self.scope, &|entries| {
            let mut items = filter.of(entries).into_owned();
            items.iter_mut().for_each(|entry| *entry = scene.history.item[*entry as usize]);
            items.sort_unstable();
            items.dedup();
            items.len() as f64
        })
    }
}
