//! `indicator`: keeps the number and adds a second one: 1 where the first is missing, else 0.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training};
use crate::column::{Column, Kind, Vectors};
use crate::numeric;

/// No settings and no constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indicator {}

impl Fit for Indicator {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        match input {
            Kind::Number => Ok(Kind::Vector(2)),
            other => Err(format!("`indicator` needs a number, this is a {other}")),
        }
    }

    fn fit(&self, _input: &Column, _training: &Training) -> Step {
        Step::Indicator(Indicator {})
    }
}

impl Apply for Indicator {
    fn apply(&self, input: Column) -> Column {
        let Column::Number(x) = input else { return input };
        let data = x.iter().flat_map(|&x| [x, f32::from(u8::from(numeric::is_missing(x)))]).collect();
        Column::Vector(Vectors { width: 2, data })
    }

    fn slots(&self) -> Option<Vec<String>> {
        Some(vec!["value".into(), "missing".into()])
    }
}
