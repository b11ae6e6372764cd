//! `smoothed_rate`: one table statistic over another, `(of + a) / (over + b)`; a missing statistic counts as 0.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::numeric;
use crate::scene::Scene;

/// A smoothed rate; never missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmoothedRate {
    of: String,
    over: String,
    /// `[a, b]`, with `b` more than 0.
    prior: [f64; 2],
}

impl Read for SmoothedRate {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        declared.statistic(&self.of)?;
        declared.statistic(&self.over)?;
        let [a, b] = self.prior;
        if !(a.is_finite() && a >= 0.0 && b.is_finite() && b > 0.0) {
            return Err("`prior` is [a, b] with a at least 0 and b more than 0".into());
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let zero = |x: f32| if numeric::is_missing(x) { 0.0 } else { f64::from(x) };
        let (of, over) = (scene.statistic(&self.of), scene.statistic(&self.over));
        let [a, b] = self.prior;
        let rates = of.iter().zip(&over).map(|(&of, &over)| numeric::store((zero(of) + a) / (zero(over) + b)));
        Column::Number(rates.collect())
    }
}
