//! `impute`: puts a number where one is missing: a constant, or the training rows' mean or median.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training, numbers, numeric_only};
use crate::column::{Column, Kind};
use crate::numeric;

/// What to put.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impute {
    with: With,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum With {
    Mean,
    Median,
    Value(f64),
}

/// The number that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imputed {
    value: f32,
}

impl Fit for Impute {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        if let With::Value(value) = self.with
            && value.is_nan()
        {
            return Err("`impute` puts nan where a number is missing; write a number".into());
        }
        numeric_only("impute", input)
    }

    fn fit(&self, input: &Column, _training: &Training) -> Step {
        let mut known: Vec<f64> = numbers(input).collect();
        let value = match self.with {
            With::Value(value) => value,
            _ if known.is_empty() => 0.0,
            With::Mean => known.iter().sum::<f64>() / known.len() as f64,
            With::Median => {
                known.sort_by(f64::total_cmp);
                known[(known.len() - 1) / 2]
            }
        };
        Step::Impute(Imputed { value: numeric::store(value) })
    }

    fn imputes(&self) -> bool {
        true
    }

    fn learns(&self) -> bool {
        !matches!(self.with, With::Value(_))
    }
}

impl Apply for Imputed {
    fn apply(&self, input: Column) -> Column {
        let fill = |x: f32| if numeric::is_missing(x) { self.value } else { x };
        match input {
            Column::Number(x) => Column::Number(x.into_iter().map(fill).collect()),
            Column::Vector(mut v) => {
                v.data = v.data.into_iter().map(fill).collect();
                Column::Vector(v)
            }
            other => other,
        }
    }
}
