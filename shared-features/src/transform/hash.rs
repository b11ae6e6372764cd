//! `hash`: counts of values by a hash of their name (FNV-1a, 64 bits) into a fixed number of buckets.

use serde::{Deserialize, Serialize};

use super::{Apply, Fit, Step, Training};
use crate::column::{Column, Kind, Vectors};

/// How many buckets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hash {
    buckets: u32,
}

impl Fit for Hash {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        if !(1..=4096).contains(&self.buckets) {
            return Err(format!("`hash` has {} buckets; write 1 to 4096", self.buckets));
        }
        match input {
            Kind::Category | Kind::Tags => Ok(Kind::Vector(self.buckets)),
            other => Err(format!("`hash` needs a category or tags, this is a {other}")),
        }
    }

    fn fit(&self, _input: &Column, _training: &Training) -> Step {
        Step::Hash(self.clone())
    }

    fn imputes(&self) -> bool {
        true
    }
}

impl Apply for Hash {
    fn apply(&self, input: Column) -> Column {
        let width = self.buckets.max(1) as usize;
        let mut data = vec![0.0f32; width * input.rows()];
        match &input {
            Column::Category(c) => {
                for row in 0..input.rows() {
                    if let Some(name) = c.get(row) {
                        data[row * width + bucket(name, width)] += 1.0;
                    }
                }
            }
            Column::Tags(t) => {
                for row in 0..input.rows() {
                    for name in t.get(row) {
                        data[row * width + bucket(name, width)] += 1.0;
                    }
                }
            }
            _ => return input,
        }
        Column::Vector(Vectors { width: width as u32, data })
    }

    fn slots(&self) -> Option<Vec<String>> {
        Some((0..self.buckets).map(|i| i.to_string()).collect())
    }
}

fn bucket(name: &str, buckets: usize) -> usize {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash % buckets as u64) as usize
}
