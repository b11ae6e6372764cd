//! `clip`: limits to `[min, max]`; missing stays missing.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training, map_numbers, numeric_only};
use crate::column::{Column, Kind};

/// The limits; an absent one does not limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    #[serde(default)]
    min: Option<f64>,
    #[serde(default)]
    max: Option<f64>,
}

impl Fit for Clip {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        if [self.min, self.max].into_iter().flatten().any(f64::is_nan) {
            return Err("`clip` has the limit nan; write a number".into());
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err("`clip` has a min above its max".into());
        }
        numeric_only("clip", input)
    }

    fn fit(&self, _input: &Column, _training: &Training) -> Step {
        Step::Clip(self.clone())
    }
}

impl Apply for Clip {
    fn apply(&self, input: Column) -> Column {
        map_numbers(input, |x| match (self.min, self.max) {
            (Some(min), _) if x < min => min,
            (_, Some(max)) if x > max => max,
            _ => x,
        })
    }
}
