//! `mean`: mean of a number that past interactions carry: completion (0 to 1) or dwell (seconds).

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::duration::Duration;
use crate::scene::{Scene, Scope};

/// The number to average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    Completion,
    DwellSeconds,
}

/// Mean over past interactions that carry the number; missing where none does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    of: Of,
    scope: Scope,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    window: Option<Duration>,
}

impl Read for Mean {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.scope(&self.scope)?;
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let filter = Filter::new(scene, self.actions.as_deref(), self.window, None);
        scene.per_candidate(&self.scope, &|entries| {
            let (mut sum, mut count) = (0.0, 0u32);
            for &entry in filter.of(entries).iter() {
                let x = match self.of {
                    Of::Completion => f64::from(scene.history.completion[entry as usize]),
                    Of::DwellSeconds => f64::from(scene.history.dwell_ms[entry as usize]) / 1000.0,
                };
                if !x.is_nan() {
                    sum += x;
                    count += 1;
                }
            }
            if count == 0 { f64::NAN } else { sum / f64::from(count) }
        })
    }
}
