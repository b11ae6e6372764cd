//! What a data set should look like: a schema, in TOML for people and in TFDV's `schema.pbtxt` for its users.
//!
//! It says of each feature what its values are, how often it must be there, which values it may have, in which
//! environments it exists, and how far it may be from the day before (drift) and from serving (skew).
//! [`infer`] makes a first one from statistics by TFDV's rules; [`Edited`] changes a file and keeps its comments.

mod edit;
mod infer;
mod ordered;
mod pbtxt;
#[cfg(test)]
mod tests;
pub mod text_proto;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use edit::{EditError, Edited};
pub use infer::infer;
pub use pbtxt::PbtxtError;

use super::statistics::Type;
use super::validation::{Kind, Severity};
use super::whole_file::write_whole;

/// What a data set should look like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Environments that features are in unless they say otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_environment: Vec<String>,
    /// How many rows there should be.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dataset: Dataset,
    /// The smallest changes that are worth an anomaly, where comparators are not said by feature.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tolerance: Tolerance,
    /// How bad anomalies are that are not errors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub severity: BTreeMap<Kind, Severity>,
    /// The features, by name.
    #[serde(default, rename = "feature", with = "ordered")]
    pub features: Vec<(String, Feature)>,
    /// Sets of strings that features share, by name.
    #[serde(default, rename = "domain", with = "ordered", skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<(String, StringDomain)>,
}

/// How many rows a data set should have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// The fewest rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_examples: Option<u64>,
    /// The most rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_examples: Option<u64>,
    /// Rows as a multiple of the day before's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Range<f64>>,
    /// Rows as a multiple of those of another version of the same data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Range<f64>>,
}

/// The smallest changes that are worth an anomaly, beside what chance explains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// Of the distribution of numbers: the greatest difference between the shares that are at most `x`.
    pub quantile: f64,
    /// Of the share of a category.
    pub category: f64,
    /// Of the share of rows without a value.
    pub missing: f64,
}

/// A feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// What its values are.
    #[serde(rename = "type")]
    pub of: Type,
    /// How often it must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
    /// How many values a row that has any has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_count: Option<Range<u64>>,
    /// How many values every row has: the product of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<u64>>,
    /// The name of a set of strings that its values are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its own set of strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_domain: Option<StringDomain>,
    /// Integers; as strings where its values are strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int_domain: Option<Range<i64>>,
    /// Floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float_domain: Option<FloatDomain>,
    /// Booleans: 0 and 1, or two strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bool_domain: Option<BoolDomain>,
    /// How much of it must be as the set of strings says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// How many different values it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Range<u64>>,
    /// Environments it is in beside the default ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_environment: Vec<String>,
    /// Default environments it is not in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_in_environment: Vec<String>,
    /// How far it may be from the day before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Comparators>,
    /// How far training may be from serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<Comparators>,
    /// Whether it is no longer looked at.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deprecated: bool,
}

/// How often a feature must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// The least share of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_fraction: Option<f64>,
    /// The fewest rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_count: Option<u64>,
}

/// Bounds, each included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range<T> {
    /// The least.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub min: Option<T>,
    /// The greatest.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub max: Option<T>,
}

/// A set of strings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StringDomain {
    /// The strings.
    pub values: Vec<String>,
}

/// Floats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloatDomain {
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Whether NaN is an anomaly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub disallow_nan: bool,
    /// Whether infinities are an anomaly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub disallow_inf: bool,
}

/// Which strings are true and false.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoolDomain {
    /// What is true.
    #[serde(default, rename = "true", skip_serializing_if = "Option::is_none")]
    pub true_value: Option<String>,
    /// What is false.
    #[serde(default, rename = "false", skip_serializing_if = "Option::is_none")]
    pub false_value: Option<String>,
}

/// How much of a feature must be as its set of strings says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// The least share of the values that must be in the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_domain_mass: Option<f64>,
}

/// How far a feature may be from a control; the first three as TFDV defines them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparators {
    /// The greatest difference of a string's share of the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infinity_norm: Option<f64>,
    /// The approximate Jensen-Shannon divergence, in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jensen_shannon_divergence: Option<f64>,
    /// The greatest difference of a string's counts, over the counts of all strings of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalized_abs_difference: Option<f64>,
    /// In place of the schema's [`Tolerance::quantile`]; 1 turns it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// In place of the schema's [`Tolerance::category`]; 1 turns it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<f64>,
    /// In place of the schema's [`Tolerance::missing`]; 1 turns it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<f64>,
}

/// Why a schema cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no schema in TOML.
    #[error("{path} is no schema: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<toml_edit::de::Error>,
    },
    /// It is no schema in TFDV's text format.
    #[error("{path}: {source}")]
    Pbtxt {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PbtxtError,
    },
    /// It contradicts itself.
    #[error("{path}: {source}")]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// How.
        source: Contradiction,
    },
    /// It cannot be written as TOML.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<toml_edit::ser::Error>,
    },
}

/// A schema that cannot mean what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// A feature of two domains.
    #[error("feature `{feature}` has {domains}; keep one")]
    Domains {
        /// Which.
        feature: String,
        /// Which domains.
        domains: String,
    },
    /// A domain that is none for its type.
    #[error("feature `{feature}` is {of} and cannot have {domain}")]
    Type {
        /// Which.
        feature: String,
        /// What it is.
        of: Type,
        /// Which domain.
        domain: &'static str,
    },
    /// A set of strings that is nowhere.
    #[error("feature `{feature}` has the domain `{domain}`, which is not there; add [domain.{domain}]")]
    NoDomain {
        /// Which.
        feature: String,
        /// Which domain.
        domain: String,
    },
    /// A share that must be in no set.
    #[error("feature `{feature}` has a min_domain_mass and no set of strings; give it a domain")]
    Mass {
        /// Which.
        feature: String,
    },
    /// A number that is out of bounds.
    #[error("{what} is {got}; it must be {expected}")]
    Bounds {
        /// Which.
        what: String,
        /// What it is.
        got: String,
        /// What it must be.
        expected: &'static str,
    },
}

impl Schema {
    /// Reads a schema: TFDV's text format where the name ends in `.pbtxt`, TOML elsewhere.
    ///
    /// # Errors
    /// A file that is none; the message has the line.
    pub fn read(path: &Path) -> Result<Schema, SchemaError> {
        let text = std::fs::read_to_string(path).map_err(|source| SchemaError::Io { path: path.into(), source })?;
        let schema = if is_pbtxt(path) {
            Schema::from_pbtxt(&text).map_err(|source| SchemaError::Pbtxt { path: path.into(), source })?
        } else {
            toml_edit::de::from_str(&text)
                .map_err(|source| SchemaError::Toml { path: path.into(), source: Box::new(source) })?
        };
        schema.check().map_err(|source| SchemaError::Contradiction { path: path.into(), source })?;
        Ok(schema)
    }

    /// Writes a schema: TFDV's text format where the name ends in `.pbtxt`, TOML elsewhere.
    ///
    /// Returns the settings that TFDV's format has no place for, which are then not in the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<Vec<String>, SchemaError> {
        let (text, left_out) = if is_pbtxt(path) {
            self.to_pbtxt()
        } else {
            let toml = self.to_toml();
            let toml = toml.map_err(|source| SchemaError::Write { path: path.into(), source: Box::new(source) })?;
            (toml, Vec::new())
        };
        write_whole(path, text.as_bytes()).map_err(|source| SchemaError::Io { path: path.into(), source })?;
        Ok(left_out)
    }

    /// As TOML: a table a feature, a line a setting.
    ///
    /// # Errors
    /// A number that TOML has no place for.
    pub fn to_toml(&self) -> Result<String, toml_edit::ser::Error> {
        let mut document = toml_edit::ser::to_document(self)?;
        edit::lay_out(&mut document);
        Ok(document.to_string())
    }

    /// A feature, by name.
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|(n, _)| n == name).map(|(_, feature)| feature)
    }

    /// The set of strings of a feature, its own or by name.
    pub fn strings<'a>(&'a self, feature: &'a Feature) -> Option<&'a StringDomain> {
        match &feature.domain {
            Some(name) => self.domains.iter().find(|(n, _)| n == name).map(|(_, domain)| domain),
            None => feature.string_domain.as_ref(),
        }
    }

    /// Whether a feature exists in an environment; `None` is every environment.
    pub fn is_in(&self, feature: &Feature, environment: Option<&str>) -> bool {
        let Some(environment) = environment else { return true };
        let says = |environments: &[String]| environments.iter().any(|e| e == environment);
        says(&feature.in_environment) || !says(&feature.not_in_environment) && says(&self.default_environment)
    }

    /// All environments that are named.
    pub fn environments(&self) -> Vec<&str> {
        let features = self.features.iter().flat_map(|(_, f)| f.in_environment.iter().chain(&f.not_in_environment));
        let mut all: Vec<&str> = self.default_environment.iter().chain(features).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Looks for what cannot be meant.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), Contradiction> {
        let share = |what: String, got: Option<f64>| match got {
            Some(x) if !(0.0..=1.0).contains(&x) => {
                Err(Contradiction::Bounds { what, got: x.to_string(), expected: "between 0 and 1" })
            }
            _ => Ok(()),
        };
        for (name, feature) in &self.features {
            feature.check_domains(self, name)?;
            let at = |what: &str| format!("{what} of feature `{name}`");
            share(at("presence.min_fraction"), feature.presence.and_then(|p| p.min_fraction))?;
            share(at("distribution.min_domain_mass"), feature.distribution.and_then(|d| d.min_domain_mass))?;
            ordered_range(at("value_count"), feature.value_count)?;
            ordered_range(at("int_domain"), feature.int_domain)?;
            ordered_range(at("float_domain"), feature.float_domain.map(|d| Range { min: d.min, max: d.max }))?;
            ordered_range(at("unique"), feature.unique)?;
            if feature.shape.as_ref().is_some_and(|shape| shape.contains(&0)) {
                return Err(Contradiction::Bounds { what: at("shape"), got: "0".into(), expected: "at least 1" });
            }
            for (kind, comparators) in [("drift", &feature.drift), ("skew", &feature.skew)] {
                for (measure, threshold) in comparators.iter().flat_map(|c| c.each()) {
                    share(at(&format!("{kind}.{measure}")), Some(threshold))?;
                }
            }
        }
        share("tolerance.quantile".into(), Some(self.tolerance.quantile))?;
        share("tolerance.category".into(), Some(self.tolerance.category))?;
        share("tolerance.missing".into(), Some(self.tolerance.missing))
    }
}

impl Feature {
    /// A feature of which nothing but its type is said.
    pub fn new(of: Type) -> Feature {
        Feature {
            of,
            presence: None,
            value_count: None,
            shape: None,
            domain: None,
            string_domain: None,
            int_domain: None,
            float_domain: None,
            bool_domain: None,
            distribution: None,
            unique: None,
            in_environment: Vec::new(),
            not_in_environment: Vec::new(),
            drift: None,
            skew: None,
            deprecated: false,
        }
    }

    /// Whether rows must have it, where it exists.
    pub fn is_required(&self) -> bool {
        self.presence.is_some_and(|p| p.min_count.unwrap_or(0) > 0 || p.min_fraction.unwrap_or(0.0) > 0.0)
    }

    fn check_domains(&self, schema: &Schema, name: &str) -> Result<(), Contradiction> {
        let strings = &[Type::Bytes][..];
        let domains = [
            ("domain", self.domain.is_some(), strings),
            ("string_domain", self.string_domain.is_some(), strings),
            ("int_domain", self.int_domain.is_some(), &[Type::Int, Type::Bytes]),
            ("float_domain", self.float_domain.is_some(), &[Type::Float, Type::Bytes]),
            ("bool_domain", self.bool_domain.is_some(), &[Type::Int, Type::Float, Type::Bytes]),
        ];
        let said: Vec<_> = domains.iter().filter(|(_, said, _)| *said).collect();
        if said.len() > 1 {
            let domains = said.iter().map(|(domain, ..)| *domain).collect::<Vec<_>>().join(" and ");
            return Err(Contradiction::Domains { feature: name.into(), domains });
        }
        for (domain, _, types) in said {
            if !types.contains(&self.of) {
                return Err(Contradiction::Type { feature: name.into(), of: self.of, domain });
            }
        }
        match &self.domain {
            Some(domain) if schema.strings(self).is_none() => {
                Err(Contradiction::NoDomain { feature: name.into(), domain: domain.clone() })
            }
            _ if self.distribution.is_some() && schema.strings(self).is_none() => {
                Err(Contradiction::Mass { feature: name.into() })
            }
            _ => Ok(()),
        }
    }
}

impl Comparators {
    /// The thresholds that are said, by name.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, f64)> {
        [
            ("infinity_norm", self.infinity_norm),
            ("jensen_shannon_divergence", self.jensen_shannon_divergence),
            ("normalized_abs_difference", self.normalized_abs_difference),
            ("quantile", self.quantile),
            ("category", self.category),
            ("missing", self.missing),
        ]
        .into_iter()
        .filter_map(|(name, threshold)| Some((name, threshold?)))
    }
}

impl Default for Tolerance {
    /// Five percentage points.
    fn default() -> Tolerance {
        Tolerance { quantile: 0.05, category: 0.05, missing: 0.05 }
    }
}

/// Whether a file's name says that it is in TFDV's text format.
pub fn is_pbtxt(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "pbtxt")
}

fn ordered_range<T: PartialOrd + std::fmt::Display>(
    what: String,
    range: Option<Range<T>>,
) -> Result<(), Contradiction> {
    match range {
        Some(Range { min: Some(min), max: Some(max) }) if min > max => {
            Err(Contradiction::Bounds { what, got: format!("{min} to {max}"), expected: "from less to more" })
        }
        _ => Ok(()),
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn none<T>() -> Option<T> {
    None
}
