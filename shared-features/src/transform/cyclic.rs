//! `cyclic`: a point on a circle, `sin` and `cos` of `2 pi x / period`; missing gives two missing numbers.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training};
use crate::column::{Column, Kind, Vectors};
use crate::numeric;

/// The period, such as 24 for hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cyclic {
    period: f64,
}

impl Fit for Cyclic {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        if !(self.period > 0.0 && self.period.is_finite()) {
            return Err("`cyclic` needs a period above 0".into());
        }
        match input {
            Kind::Number => Ok(Kind::Vector(2)),
            other => Err(format!("`cyclic` needs a number, this is a {other}")),
        }
    }

    fn fit(&self, _input: &Column, _training: &Training) -> Step {
        Step::Cyclic(self.clone())
    }
}

impl Apply for Cyclic {
    fn apply(&self, input: Column) -> Column {
        let Column::Number(x) = input else { return input };
        let mut data = Vec::with_capacity(x.len() * 2);
        for x in x {
            let angle = std::f64::consts::TAU * f64::from(x) / self.period;
            data.extend([numeric::store(libm::sin(angle)), numeric::store(libm::cos(angle))]);
        }
        Column::Vector(Vectors { width: 2, data })
    }

    fn slots(&self) -> Option<Vec<String>> {
        Some(vec!["sin".into(), "cos".into()])
    }
}
