//! `min_max`: `(x - min) / (max - min)` of the training rows, clipped to 0..1; missing stays missing.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training, map_numbers, numbers, numeric_only};
use crate::column::{Column, Kind};

/// No settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinMax {}

/// The range that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    min: f64,
    max: f64,
}

impl Fit for MinMax {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        numeric_only("min_max", input)
    }

    fn fit(&self, input: &Column, _training: &Training) -> Step {
        let mut known = numbers(input);
        let Some(first) = known.next() else { return Step::MinMax(Range { min: 0.0, max: 1.0 }) };
        let (min, max) =
            known.fold((first, first), |(min, max), x| (if x < min { x } else { min }, if x > max { x } else { max }));
        Step::MinMax(Range { min, max })
    }

    fn learns(&self) -> bool {
        true
    }
}

impl Apply for Range {
    fn apply(&self, input: Column) -> Column {
        let width = self.max - self.min;
        map_numbers(input, |x| {
            if x <= self.min {
                0.0
            } else if x >= self.max {
                1.0
            } else {
                (x - self.min) / width
            }
        })
    }
}
