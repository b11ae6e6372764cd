//! `sessions`: number of sessions, runs of interactions with no gap longer than `gap` between neighbours.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::duration::Duration;
use crate::scene::{Scene, Scope};

/// Number of sessions; 0 where there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    scope: Scope,
    gap: Duration,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    window: Option<Duration>,
}

impl Read for Sessions {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let filter = Filter::new(scene, self.actions.as_deref(), self.window, None);
        scene.per_candidate(&self.scope, &|entries| {
            let (mut sessions, mut last) = (0u32, None);
            for &entry in filter.of(entries).iter() {
                let ts = scene.history.ts[entry as usize];
                if last.is_none_or(|last| ts.saturating_sub(last) > self.gap.ms) {
                    sessions += 1;
                }
                last = Some(ts);
            }
            f64::from(sessions)
        })
    }
}
