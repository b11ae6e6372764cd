//! `buckets`: the number of bounds that are at most `x`: 0 below the first, `n` from the last on; missing stays missing.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training, map_numbers, numeric_only};
use crate::column::{Column, Kind};

/// The bounds, ascending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buckets {
    bounds: Vec<f64>,
}

/// Bounds, declared or fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    pub(super) bounds: Vec<f64>,
}

impl Fit for Buckets {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        if self.bounds.is_empty()
            || self.bounds.iter().any(|b| b.is_nan())
            || !self.bounds.windows(2).all(|w| w[0] < w[1])
        {
            return Err("`buckets` needs `bounds` in ascending order".into());
        }
        numeric_only("buckets", input)
    }

    fn fit(&self, _input: &Column, _training: &Training) -> Step {
        Step::Buckets(Bounds { bounds: self.bounds.clone() })
    }
}

impl Apply for Bounds {
    fn apply(&self, input: Column) -> Column {
        map_numbers(input, |x| self.bounds.partition_point(|b| *b <= x) as f64)
    }
}
