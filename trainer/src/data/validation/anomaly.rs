//! What can be wrong with a data set, by TFDV's names, and by names of our own where TFDV has none.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::statistics::Slice;

/// Something that is not as the schema or a control says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// In which rows; `None` for all.
    pub slice: Option<Slice>,
    /// Of which feature; `None` of the data set.
    pub feature: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// In a few words.
    pub short: String,
    /// In a sentence; TFDV's own, where it has one.
    pub description: String,
    /// What to do.
    pub advice: String,
    /// The value that is the farthest off, where there is one.
    pub worst: Option<String>,
    /// What was measured, where something was.
    pub measured: Option<f64>,
    /// What it may be.
    pub threshold: Option<f64>,
    /// Slices in which it is also seen.
    pub also_in: Vec<Slice>,
}

/// How bad an anomaly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To know.
    Info,
    /// To look at.
    Warning,
    /// Not to train on.
    Error,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal: $advice:literal,)*) => {
        /// What an anomaly is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Kind {
            /// Its name: TFDV's, where it is one of TFDV's.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$variant => $name,)*
                }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self {
                    $(Kind::$variant => $advice,)*
                }
            }
        }
    };
}

kinds! {
    /// A column that the schema lacks.
    NewColumn = "SCHEMA_NEW_COLUMN": "add the column to the schema, or stop writing it",
    /// A required column that the data lacks.
    MissingColumn = "SCHEMA_MISSING_COLUMN": "find out why the column is no longer written; where it is not meant to be, add the environment to its not_in_environment",
    /// A required column without a value.
    NotPresent = "FEATURE_TYPE_NOT_PRESENT": "find out why the column is empty",
    /// Too few rows with a value.
    LowNumberPresent = "FEATURE_TYPE_LOW_NUMBER_PRESENT": "find out why values are missing, or lower presence.min_count",
    /// Too small a share of rows with a value.
    LowFractionPresent = "FEATURE_TYPE_LOW_FRACTION_PRESENT": "find out why values are missing, or lower presence.min_fraction",
    /// Rows with too few values.
    LowNumberValues = "FEATURE_TYPE_LOW_NUMBER_VALUES": "find out why lists are shorter, or lower value_count.min",
    /// Rows with too many values.
    HighNumberValues = "FEATURE_TYPE_HIGH_NUMBER_VALUES": "find out why lists are longer, or raise value_count.max",
    /// Rows not of the shape.
    InvalidShape = "INVALID_FEATURE_SHAPE": "find out why rows lack values, or remove the shape",
    /// Too few different values.
    LowUnique = "FEATURE_TYPE_LOW_UNIQUE": "find out why values are lost or merged, or lower unique.min",
    /// Too many different values.
    HighUnique = "FEATURE_TYPE_HIGH_UNIQUE": "find out where the new values come from, or raise unique.max",
    /// Values of another type.
    UnexpectedType = "UNEXPECTED_DATA_TYPE": "find out which writer changed the type; one cell that is no number makes a column of strings",
    /// Strings that are not in the domain.
    UnexpectedStrings = "ENUM_TYPE_UNEXPECTED_STRING_VALUES": "add the values to the domain where they are right, or lower distribution.min_domain_mass where a few do no harm",
    /// Strings that are none.
    InvalidUtf8 = "ENUM_TYPE_INVALID_UTF8": "find the writer that does not write UTF-8",
    /// An integer above 1.
    BoolBigInt = "BOOL_TYPE_BIG_INT": "find out why it is no longer 0 or 1, or remove the bool_domain",
    /// An integer below 0.
    BoolSmallInt = "BOOL_TYPE_SMALL_INT": "find out why it is no longer 0 or 1, or remove the bool_domain",
    /// A string that is neither true nor false.
    BoolUnexpectedString = "BOOL_TYPE_UNEXPECTED_STRING": "find out where the value comes from, or remove the bool_domain",
    /// A float that is neither 0 nor 1.
    BoolUnexpectedFloat = "BOOL_TYPE_UNEXPECTED_FLOAT": "find out why it is no longer 0 or 1, or remove the bool_domain",
    /// A float above the domain.
    BigFloat = "FLOAT_TYPE_BIG_FLOAT": "find out whether the value is right, or raise float_domain.max",
    /// A float below the domain.
    SmallFloat = "FLOAT_TYPE_SMALL_FLOAT": "find out whether the value is right, or lower float_domain.min",
    /// A string that is no float.
    StringNotFloat = "FLOAT_TYPE_STRING_NOT_FLOAT": "find the writer of the value, or remove the float_domain",
    /// Not a number.
    HasNan = "FLOAT_TYPE_HAS_NAN": "find the division or parse that makes NaN",
    /// Infinite.
    HasInf = "FLOAT_TYPE_HAS_INF": "find the division or overflow that makes infinity",
    /// An integer above the domain.
    BigInt = "INT_TYPE_BIG_INT": "find out whether the value is right, or raise int_domain.max",
    /// An integer below the domain.
    SmallInt = "INT_TYPE_SMALL_INT": "find out whether the value is right, or lower int_domain.min",
    /// A string that is no integer.
    StringNotInt = "INT_TYPE_NOT_INT_STRING": "find the writer of the value, or remove the int_domain",
    /// Fewer rows than any data set should have.
    DatasetLow = "DATASET_LOW_NUM_EXAMPLES": "find out which rows were not collected, or lower dataset.min_examples",
    /// More rows than any data set should have.
    DatasetHigh = "DATASET_HIGH_NUM_EXAMPLES": "find out which rows are there twice, or raise dataset.max_examples",
    /// Fewer rows than the control.
    FewerExamples = "COMPARATOR_LOW_NUM_EXAMPLES": "find out which rows were not collected",
    /// More rows than the control.
    MoreExamples = "COMPARATOR_HIGH_NUM_EXAMPLES": "find out which rows are there twice",
    /// A control without the feature.
    ControlMissing = "COMPARATOR_CONTROL_DATA_MISSING": "give a control that has the feature, or wait a day",
    /// A far L-infinity distance.
    LInfinity = "COMPARATOR_L_INFTY_HIGH": "find out why the value's share changed, or raise the threshold",
    /// A high Jensen-Shannon divergence.
    JensenShannon = "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH": "compare the histograms, or raise the threshold",
    /// A high normalized absolute difference.
    NormalizedDifference = "COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH": "find out why the value's count changed, or raise the threshold",
    /// Numbers that are distributed differently.
    QuantileDistance = "QUANTILE_DISTANCE_HIGH": "compare the quantiles; where the change is right, raise drift.quantile or learn the noise floor from more days",
    /// Numbers in another unit.
    UnitChanged = "UNIT_CHANGED": "find the writer that changed the unit; do not train on a mix of both",
    /// Hours of another time zone.
    HoursShifted = "TIME_ZONE_SHIFTED": "find the writer that changed its time zone",
    /// Another share of a string.
    CategoryShare = "CATEGORY_SHARE_CHANGED": "find out why the value's share changed; where it is right, raise drift.category",
    /// Strings in another case.
    CasingChanged = "CASING_CHANGED": "find the writer that changed upper and lower case; do not train on a mix of both",
    /// More rows without a value.
    MissingRose = "MISSING_SHARE_ROSE": "find out why values are missing",
    /// Fewer rows without a value.
    MissingFell = "MISSING_SHARE_FELL": "check what fills the values in that were missing",
    /// More numbers that are NaN or infinite.
    NotFiniteRose = "NOT_FINITE_SHARE_ROSE": "find the division, parse or overflow that makes NaN or infinity",
    /// A slice that the control has.
    SliceMissing = "SLICE_MISSING": "find out why the slice has no rows",
}

impl Kind {
    /// How bad it is where the schema says nothing else.
    pub fn severity(self) -> Severity {
        match self {
            Kind::MissingFell | Kind::SliceMissing => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// What a check found; the rest of an [`Anomaly`] is added by who asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) short: String,
    pub(super) description: String,
    pub(super) worst: Option<String>,
    pub(super) measured: Option<f64>,
    pub(super) threshold: Option<f64>,
}

impl Finding {
    pub(super) fn new(kind: Kind, short: impl Into<String>, description: impl Into<String>) -> Finding {
        let (short, description) = (short.into(), description.into());
        Finding { kind, short, description, worst: None, measured: None, threshold: None }
    }

    pub(super) fn worst(self, worst: impl Into<String>) -> Finding {
        Finding { worst: Some(worst.into()), ..self }
    }

    pub(super) fn measured(self, measured: f64, threshold: f64) -> Finding {
        Finding { measured: Some(measured), threshold: Some(threshold), ..self }
    }
}

/// A number in at most six significant digits, as C's `%g` and TFDV print it.
pub(super) fn six_digits(number: f64) -> String {
    if !number.is_finite() || number == 0.0 {
        return number.to_string();
    }
    let scientific = format!("{number:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let strip = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        strip(&format!("{number:.*}", (5 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", strip(digits), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_those_of_c() {
        let cases = [
            (0.008208911249736536, "0.00820891"),
            (0.0048, "0.0048"),
            (1234567.0, "1.23457e+06"),
            (100000.0, "100000"),
            (0.00001, "1e-05"),
            (0.0, "0"),
            (-87.6500001, "-87.65"),
            (999999.9, "1e+06"),
        ];
        for (number, text) in cases {
            assert_eq!(six_digits(number), text);
        }
    }

    #[test]
    fn a_kind_is_written_by_its_name() {
        assert_eq!(serde_json::to_string(&Kind::UnexpectedStrings).unwrap(), "\"ENUM_TYPE_UNEXPECTED_STRING_VALUES\"");
    }
}
