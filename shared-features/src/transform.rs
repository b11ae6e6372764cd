//! Transforms: from a value column to numbers, in steps.
//!
//! A spec declares a [`Transform`]; fitting it on training rows gives a [`Step`] with its constants,
//! which is what the encoder holds and the engine applies.
//! To add one, write its file in `transform/` and register it in `transforms!` below.

use serde::{Deserialize, Serialize};

use crate::column::{Column, Kind};
use crate::numeric;

mod buckets;
mod clip;
mod cyclic;
mod hash;
mod impute;
mod indicator;
mod log1p;
mod min_max;
mod one_hot;
mod quantiles;
mod standardize;

/// A transform's settings.
pub trait Fit {
    /// The kind that comes out, where this kind may go in.
    ///
    /// # Errors
    /// A sentence that says what is impossible.
    fn output(&self, input: Kind) -> Result<Kind, String>;

    /// The constants, fitted on training rows only.
    fn fit(&self, input: &Column, training: &Training) -> Step;

    /// Whether nothing is missing afterwards.
    fn imputes(&self) -> bool {
        false
    }

    /// Whether the constants come from the rows, and not from the settings alone.
    fn learns(&self) -> bool {
        false
    }
}

/// A transform's constants.
pub trait Apply {
    /// Transforms a column of the kind it was fitted on; another kind passes unchanged.
    fn apply(&self, input: Column) -> Column;

    /// Names of the numbers that come out; `None` where it is one number, or as many as went in.
    fn slots(&self) -> Option<Vec<String>> {
        None
    }
}

/// What fitting may use beside the values.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// The user of each row, as a dense number.
    pub users: &'a [u32],
    /// A value enters a vocabulary only with at least this many distinct users.
    pub min_users: u32,
}

macro_rules! transforms {
    ($($key:literal => $variant:ident($settings:ty, $constants:ty),)*) => {
        /// A transform with its settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Transform {
            $(#[doc = concat!("`", $key, "`")] $variant($settings),)*
        }

        /// A transform with its constants.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Step {
            $(#[doc = concat!("`", $key, "`")] $variant($constants),)*
        }

        /// The names a spec can write in `transforms`.
        pub const NAMES: &[&str] = &[$($key),*];

        impl Transform {
            /// Reads the settings of the transform with this name; `None` where there is none.
            ///
            /// # Errors
            /// The deserializer's, for settings that the transform does not have.
            pub fn deserialize_named<'de, D: serde::Deserializer<'de>>(
                name: &str,
                settings: D,
            ) -> Option<Result<Transform, D::Error>> {
                match name {
                    $($key => Some(<$settings>::deserialize(settings).map(Transform::$variant)),)*
                    _ => None,
                }
            }

            fn settings(&self) -> &dyn Fit {
                match self {
                    $(Transform::$variant(settings) => settings,)*
                }
            }
        }

        impl Step {
            fn constants(&self) -> &dyn Apply {
                match self {
                    $(Step::$variant(constants) => constants,)*
                }
            }
        }
    };
}

transforms! {
    "buckets" => Buckets(buckets::Buckets, buckets::Bounds),
    "clip" => Clip(clip::Clip, clip::Clip),
    "cyclic" => Cyclic(cyclic::Cyclic, cyclic::Cyclic),
    "hash" => Hash(hash::Hash, hash::Hash),
    "impute" => Impute(impute::Impute, impute::Imputed),
    "indicator" => Indicator(indicator::Indicator, indicator::Indicator),
    "log1p" => Log1p(log1p::Log1p, log1p::Log1p),
    "min_max" => MinMax(min_max::MinMax, min_max::Range),
    "one_hot" => OneHot(one_hot::OneHot, one_hot::Vocabulary),
    "quantiles" => Quantiles(quantiles::Quantiles, buckets::Bounds),
    "standardize" => Standardize(standardize::Standardize, standardize::Moments),
}

impl Fit for Transform {
    fn output(&self, input: Kind) -> Result<Kind, String> {
        self.settings().output(input)
    }

    fn fit(&self, input: &Column, training: &Training) -> Step {
        self.settings().fit(input, training)
    }

    fn imputes(&self) -> bool {
        self.settings().imputes()
    }

    fn learns(&self) -> bool {
        self.settings().learns()
    }
}

impl Apply for Step {
    fn apply(&self, input: Column) -> Column {
        self.constants().apply(input)
    }

    fn slots(&self) -> Option<Vec<String>> {
        self.constants().slots()
    }
}

/// Numbers and vectors go in and keep their kind; anything else is refused.
fn numeric_only(name: &str, input: Kind) -> Result<Kind, String> {
    match input {
        Kind::Number | Kind::Vector(_) => Ok(input),
        other => Err(format!("`{name}` needs a number, this is a {other}")),
    }
}

/// Applies a function to every number that is not missing; once where a number is the one before it again,
/// as where a value is the user's and not the candidate's.
fn map_numbers(input: Column, f: impl Fn(f64) -> f64) -> Column {
    let mut column = input;
    let numbers: &mut [f32] = match &mut column {
        Column::Number(x) => x,
        Column::Vector(v) => &mut v.data,
        _ => &mut [],
    };
    let mut last = (numeric::MISSING, numeric::MISSING);
    for x in numbers {
        if x.to_bits() != last.0.to_bits() {
            last = (*x, if numeric::is_missing(*x) { numeric::MISSING } else { numeric::store(f(f64::from(*x))) });
        }
        *x = last.1;
    }
    column
}

/// Every number of a column that is not missing.
fn numbers(input: &Column) -> impl Iterator<Item = f64> {
    let all: &[f32] = match input {
        Column::Number(x) => x,
        Column::Vector(v) => &v.data,
        _ => &[],
    };
    all.iter().filter(|x| !numeric::is_missing(**x)).map(|&x| f64::from(x))
}

#[cfg(test)]
mod tests;
