//! `quantiles`: buckets with about equally many training rows in each; missing stays missing.

use serde::{Deserialize, Serialize};

use super::buckets::Bounds;
use super::{Fit, Step, Training, numbers, numeric_only};
use crate::column::{Column, Kind};

/// How many buckets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    buckets: u32,
}

impl Fit for Quantiles {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        if !(2..=1024).contains(&self.buckets) {
            return Err(format!("`quantiles` has {} buckets; write 2 to 1024", self.buckets));
        }
        numeric_only("quantiles", input)
    }

    fn fit(&self, input: &Column, _training: &Training) -> Step {
        let mut known: Vec<f64> = numbers(input).collect();
        known.sort_by(f64::total_cmp);
        let mut bounds: Vec<f64> = (1..self.buckets as usize)
            .filter_map(|i| known.get(i * known.len() / self.buckets as usize).copied())
            .collect();
        bounds.dedup();
        Step::Quantiles(Bounds { bounds })
    }

    fn learns(&self) -> bool {
        true
    }
}
