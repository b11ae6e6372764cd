//! `standardize`: `(x - mean) / deviation` of the training rows; missing stays missing.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training, map_numbers, numbers, numeric_only};
use crate::column::{Column, Kind};

/// No settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardize {}

/// The moments that were fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    mean: f64,
    deviation: f64,
}

impl Fit for Standardize {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        numeric_only("standardize", input)
    }

    fn fit(&self, input: &Column, _training: &Training) -> Step {
        let count = numbers(input).count() as f64;
        if count == 0.0 {
            return Step::Standardize(Moments { mean: 0.0, deviation: 1.0 });
        }
        let mean = numbers(input).sum::<f64>() / count;
        let variance = numbers(input).map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let deviation = libm::sqrt(variance);
        Step::Standardize(Moments { mean, deviation: if deviation > 0.0 { deviation } else { 1.0 } })
    }

    fn learns(&self) -> bool {
        true
    }
}

impl Apply for Moments {
    fn apply(&self, input: Column) -> Column {
        map_numbers(input, |x| (x - self.mean) / self.deviation)
    }
}
