//! `log1p`: `sign(x) * ln(1 + |x|)`; missing stays missing.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training, map_numbers, numeric_only};
use crate::column::{Column, Kind};

/// No settings and no constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log1p {}

impl Fit for Log1p {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        numeric_only("log1p", input)
    }

    fn fit(&self, _input: &Column, _training: &Training) -> Step {
        Step::Log1p(Log1p {})
    }
}

impl Apply for Log1p {
    fn apply(&self, input: Column) -> Column {
        map_numbers(input, |x| libm::copysign(libm::log1p(libm::fabs(x)), x))
    }
}
