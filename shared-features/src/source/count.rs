//! `count`: how many past interactions, in a window; 0 where there are none.

use serde::{Deserialize, Serialize};

use super::filter::{Filter, Same};
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::duration::Duration;
use crate::scene::{Scene, Scope};

/// Count of past interactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    scope: Scope,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    window: Option<Duration>,
    #[serde(default)]
    same: Option<Same>,
}

impl Read for Count {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let filter = Filter::new(scene, self.actions.as_deref(), self.window, self.same);
        scene.per_candidate(&self.scope, &|entries| filter.count(entries))
    }
}
