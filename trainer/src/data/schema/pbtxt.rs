//! TFDV's `schema.pbtxt`: the part of it that [`Schema`] has a place for; any other field is refused by name and line.

use std::fmt::Write;

use crate::data::statistics::Type;

use super::text_proto::{Field as Entry, Message, TextProtoError, Value, quote};
use super::{
    BoolDomain, Comparators, Dataset, Distribution, Feature, FloatDomain, Presence, Range, Schema, StringDomain,
};

/// Why a text is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PbtxtError {
    /// It is not in the text format.
    #[error(transparent)]
    Text(#[from] TextProtoError),
    /// A field that there is no place for.
    #[error("line {line}: there is no place for `{field}` of {message}; remove it")]
    Unknown {
        /// The line.
        line: usize,
        /// The field.
        field: String,
        /// Where it is.
        message: &'static str,
    },
    /// A field of another kind.
    #[error("line {line}: `{field}` is no {expected}")]
    Kind {
        /// The line.
        line: usize,
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A feature or domain without a name, or a feature without a type.
    #[error("line {line}: a {what} has no {field}")]
    Without {
        /// The line.
        line: usize,
        /// What.
        what: &'static str,
        /// What it lacks.
        field: &'static str,
    },
}

impl Schema {
    /// Reads TFDV's text format.
    ///
    /// # Errors
    /// The line where it is none, or has a field that there is no place for.
    pub fn from_pbtxt(text: &str) -> Result<Schema, PbtxtError> {
        Schema::from_message(&Message::parse(text)?)
    }

    /// Reads a `Schema` message that is part of another text.
    ///
    /// # Errors
    /// The line of a field that there is no place for.
    pub fn from_message(message: &Message) -> Result<Schema, PbtxtError> {
        let mut schema = Schema::default();
        for entry in &message.fields {
            match entry.name.as_str() {
                "feature" => schema.features.push(feature(entry)?),
                "string_domain" => {
                    let (name, domain) = string_domain(entry)?;
                    let name =
                        name.ok_or(PbtxtError::Without { line: entry.line, what: "string_domain", field: "name" })?;
                    schema.domains.push((name, domain));
                }
                "default_environment" => schema.default_environment.push(string(entry)?),
                "dataset_constraints" => schema.dataset = dataset(entry)?,
                _ => return unknown(entry, "a schema"),
            }
        }
        Ok(schema)
    }

    /// TFDV's text format, and the settings that it has no place for.
    pub fn to_pbtxt(&self) -> (String, Vec<String>) {
        let (mut text, mut left_out) = (String::new(), Vec::new());
        for (name, feature) in &self.features {
            write_feature(&mut text, name, feature);
            for (kind, comparators) in [("drift", &feature.drift), ("skew", &feature.skew)] {
                for (measure, _) in comparators.iter().flat_map(|c| c.each()) {
                    if ["quantile", "category", "missing"].contains(&measure) {
                        left_out.push(format!("feature.{name}.{kind}.{measure}"));
                    }
                }
            }
        }
        for (name, domain) in &self.domains {
            write_strings(&mut text, 0, Some(name), domain);
        }
        for environment in &self.default_environment {
            put(&mut text, 0, "default_environment", quote(environment));
        }
        if self.dataset != Dataset::default() {
            let dataset = &self.dataset;
            block(&mut text, 0, "dataset_constraints", |text| {
                for (name, ratio) in [
                    ("num_examples_drift_comparator", dataset.drift),
                    ("num_examples_version_comparator", dataset.version),
                ] {
                    if let Some(ratio) = ratio {
                        block(text, 1, name, |text| {
                            put_some(text, 2, "min_fraction_threshold", ratio.min.map(float));
                            put_some(text, 2, "max_fraction_threshold", ratio.max.map(float));
                        });
                    }
                }
                put_some(text, 1, "min_examples_count", dataset.min_examples);
                put_some(text, 1, "max_examples_count", dataset.max_examples);
            });
        }
        if self.tolerance != Default::default() {
            left_out.push("tolerance".into());
        }
        left_out.extend(self.severity.keys().map(|kind| format!("severity.{kind}")));
        (text, left_out)
    }
}

fn feature(entry: &Entry) -> Result<(String, Feature), PbtxtError> {
    let without = |field| PbtxtError::Without { line: entry.line, what: "feature", field };
    let message = message(entry)?;
    let of = message.fields.iter().find(|f| f.name == "type");
    let strings = message.fields.iter().any(|f| f.name == "domain" || f.name == "string_domain");
    let mut feature = Feature::new(match of {
        Some(of) => match word(of)? {
            "INT" => Type::Int,
            "FLOAT" => Type::Float,
            "BYTES" => Type::Bytes,
            _ => return Err(kind(of, "INT, FLOAT or BYTES")),
        },
        None if strings => Type::Bytes,
        None => return Err(without("type")),
    });
    let mut name = None;
    for entry in &message.fields {
        match entry.name.as_str() {
            "name" => name = Some(string(entry)?),
            "type" => {}
            "deprecated" => feature.deprecated = boolean(entry)?,
            "lifecycle_stage" => {
                feature.deprecated |=
                    ["PLANNED", "ALPHA", "DEPRECATED", "DEBUG_ONLY", "DISABLED"].contains(&word(entry)?);
            }
            "value_count" => feature.value_count = Some(range(entry, "a value_count", ["min", "max"])?),
            "unique_constraints" => feature.unique = Some(range(entry, "unique_constraints", ["min", "max"])?),
            "int_domain" => feature.int_domain = Some(range(entry, "an int_domain", ["min", "max"])?),
            "domain" => feature.domain = Some(string(entry)?),
            "string_domain" => feature.string_domain = Some(string_domain(entry)?.1),
            "float_domain" => {
                let mut domain = FloatDomain::default();
                each(entry, "a float_domain", &mut |entry| {
                    match entry.name.as_str() {
                        "min" => domain.min = Some(number(entry)?),
                        "max" => domain.max = Some(number(entry)?),
                        "disallow_nan" => domain.disallow_nan = boolean(entry)?,
                        "disallow_inf" => domain.disallow_inf = boolean(entry)?,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
                feature.float_domain = Some(domain);
            }
            "bool_domain" => {
                let mut domain = BoolDomain::default();
                each(entry, "a bool_domain", &mut |entry| {
                    match entry.name.as_str() {
                        "true_value" => domain.true_value = Some(string(entry)?),
                        "false_value" => domain.false_value = Some(string(entry)?),
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
                feature.bool_domain = Some(domain);
            }
            "presence" => {
                let mut presence = Presence::default();
                each(entry, "a presence", &mut |entry| {
                    match entry.name.as_str() {
                        "min_fraction" => presence.min_fraction = Some(number(entry)?),
                        "min_count" => presence.min_count = Some(number(entry)?),
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
                feature.presence = Some(presence);
            }
            "shape" => {
                let mut shape = Vec::new();
                each(entry, "a shape", &mut |dim| {
                    if dim.name == "dim" {
                        each(dim, "a dim", &mut |size| {
                            if size.name == "size" {
                                shape.push(number(size)?);
                            }
                            Ok(size.name == "size")
                        })?;
                    }
                    Ok(dim.name == "dim")
                })?;
                feature.shape = Some(shape);
            }
            "distribution_constraints" => {
                let mut distribution = Distribution::default();
                each(entry, "distribution_constraints", &mut |entry| {
                    if entry.name == "min_domain_mass" {
                        distribution.min_domain_mass = Some(number(entry)?);
                    }
                    Ok(entry.name == "min_domain_mass")
                })?;
                feature.distribution = Some(distribution);
            }
            "in_environment" => feature.in_environment.push(string(entry)?),
            "not_in_environment" => feature.not_in_environment.push(string(entry)?),
            "drift_comparator" => feature.drift = Some(comparators(entry)?),
            "skew_comparator" => feature.skew = Some(comparators(entry)?),
            _ => return unknown(entry, "a feature"),
        }
    }
    Ok((name.ok_or_else(|| without("name"))?, feature))
}

fn string_domain(entry: &Entry) -> Result<(Option<String>, StringDomain), PbtxtError> {
    let (mut name, mut domain) = (None, StringDomain::default());
    each(entry, "a string_domain", &mut |entry| {
        match entry.name.as_str() {
            "name" => name = Some(string(entry)?),
            "value" => domain.values.push(string(entry)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((name, domain))
}

fn comparators(entry: &Entry) -> Result<Comparators, PbtxtError> {
    let mut comparators = Comparators::default();
    each(entry, "a comparator", &mut |measure| {
        let threshold = match measure.name.as_str() {
            "infinity_norm" => &mut comparators.infinity_norm,
            "jensen_shannon_divergence" => &mut comparators.jensen_shannon_divergence,
            "normalized_abs_difference" => &mut comparators.normalized_abs_difference,
            _ => return Ok(false),
        };
        each(measure, "a threshold", &mut |entry| {
            if entry.name == "threshold" {
                *threshold = Some(number(entry)?);
            }
            Ok(entry.name == "threshold")
        })?;
        Ok(true)
    })?;
    Ok(comparators)
}

fn dataset(entry: &Entry) -> Result<Dataset, PbtxtError> {
    let mut dataset = Dataset::default();
    let ratio = ["min_fraction_threshold", "max_fraction_threshold"];
    each(entry, "dataset_constraints", &mut |entry| {
        match entry.name.as_str() {
            "num_examples_drift_comparator" => dataset.drift = Some(range(entry, "a comparator", ratio)?),
            "num_examples_version_comparator" => dataset.version = Some(range(entry, "a comparator", ratio)?),
            "min_examples_count" => dataset.min_examples = Some(number(entry)?),
            "max_examples_count" => dataset.max_examples = Some(number(entry)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(dataset)
}

fn range<T: std::str::FromStr>(entry: &Entry, of: &'static str, names: [&str; 2]) -> Result<Range<T>, PbtxtError> {
    let mut range = Range { min: None, max: None };
    each(entry, of, &mut |entry| {
        match entry.name.as_str() {
            name if name == names[0] => range.min = Some(number(entry)?),
            name if name == names[1] => range.max = Some(number(entry)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(range)
}

/// Shows the fields of a message; one that is not taken is refused, save the names that TFDV gives to domains.
fn each(
    entry: &Entry,
    of: &'static str,
    take: &mut dyn FnMut(&Entry) -> Result<bool, PbtxtError>,
) -> Result<(), PbtxtError> {
    for field in &message(entry)?.fields {
        let is_domains_name = field.name == "name" && entry.name.ends_with("_domain");
        if !take(field)? && !is_domains_name {
            return unknown(field, of);
        }
    }
    Ok(())
}

fn unknown<T>(entry: &Entry, message: &'static str) -> Result<T, PbtxtError> {
    Err(PbtxtError::Unknown { line: entry.line, field: entry.name.clone(), message })
}

fn kind(entry: &Entry, expected: &'static str) -> PbtxtError {
    PbtxtError::Kind { line: entry.line, field: entry.name.clone(), expected }
}

fn message(entry: &Entry) -> Result<&Message, PbtxtError> {
    match &entry.value {
        Value::Message(message) => Ok(message),
        _ => Err(kind(entry, "message")),
    }
}

fn string(entry: &Entry) -> Result<String, PbtxtError> {
    match &entry.value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(kind(entry, "string")),
    }
}

fn word(entry: &Entry) -> Result<&str, PbtxtError> {
    match &entry.value {
        Value::Word(word) => Ok(word),
        _ => Err(kind(entry, "word")),
    }
}

fn number<T: std::str::FromStr>(entry: &Entry) -> Result<T, PbtxtError> {
    word(entry)?.parse().map_err(|_| kind(entry, "number that fits"))
}

fn boolean(entry: &Entry) -> Result<bool, PbtxtError> {
    match word(entry)? {
        "true" | "True" | "t" | "1" => Ok(true),
        "false" | "False" | "f" | "0" => Ok(false),
        _ => Err(kind(entry, "true or false")),
    }
}

/// In the order of the fields' numbers, as protocol buffers print them.
fn write_feature(text: &mut String, name: &str, feature: &Feature) {
    let bounds = |text: &mut String, name: &str, range: &Option<Range<u64>>| {
        if let Some(range) = range {
            block(text, 1, name, |text| {
                put_some(text, 2, "min", range.min);
                put_some(text, 2, "max", range.max);
            });
        }
    };
    block(text, 0, "feature", |text| {
        put(text, 1, "name", quote(name));
        if feature.deprecated {
            put(text, 1, "deprecated", true);
        }
        bounds(text, "value_count", &feature.value_count);
        put(text, 1, "type", feature.of.to_string().to_uppercase());
        put_some(text, 1, "domain", feature.domain.as_deref().map(quote));
        if let Some(domain) = &feature.int_domain {
            block(text, 1, "int_domain", |text| {
                put_some(text, 2, "min", domain.min);
                put_some(text, 2, "max", domain.max);
            });
        }
        if let Some(domain) = &feature.float_domain {
            block(text, 1, "float_domain", |text| {
                put_some(text, 2, "min", domain.min.map(float));
                put_some(text, 2, "max", domain.max.map(float));
                put_some(text, 2, "disallow_nan", domain.disallow_nan.then_some(true));
                put_some(text, 2, "disallow_inf", domain.disallow_inf.then_some(true));
            });
        }
        if let Some(domain) = &feature.string_domain {
            write_strings(text, 1, None, domain);
        }
        if let Some(domain) = &feature.bool_domain {
            block(text, 1, "bool_domain", |text| {
                put_some(text, 2, "true_value", domain.true_value.as_deref().map(quote));
                put_some(text, 2, "false_value", domain.false_value.as_deref().map(quote));
            });
        }
        if let Some(presence) = &feature.presence {
            block(text, 1, "presence", |text| {
                put_some(text, 2, "min_fraction", presence.min_fraction.map(float));
                put_some(text, 2, "min_count", presence.min_count);
            });
        }
        if let Some(distribution) = &feature.distribution {
            block(text, 1, "distribution_constraints", |text| {
                put_some(text, 2, "min_domain_mass", distribution.min_domain_mass.map(float));
            });
        }
        write_comparators(text, "skew_comparator", &feature.skew);
        feature.in_environment.iter().for_each(|e| put(text, 1, "in_environment", quote(e)));
        feature.not_in_environment.iter().for_each(|e| put(text, 1, "not_in_environment", quote(e)));
        write_comparators(text, "drift_comparator", &feature.drift);
        if let Some(shape) = &feature.shape {
            block(text, 1, "shape", |text| {
                shape.iter().for_each(|size| block(text, 2, "dim", |text| put(text, 3, "size", size)));
            });
        }
        bounds(text, "unique_constraints", &feature.unique);
    });
}

fn write_comparators(text: &mut String, name: &str, comparators: &Option<Comparators>) {
    let Some(comparators) = comparators else { return };
    block(text, 1, name, |text| {
        for (measure, threshold) in [
            ("infinity_norm", comparators.infinity_norm),
            ("jensen_shannon_divergence", comparators.jensen_shannon_divergence),
            ("normalized_abs_difference", comparators.normalized_abs_difference),
        ] {
            if let Some(threshold) = threshold {
                block(text, 2, measure, |text| put(text, 3, "threshold", float(threshold)));
            }
        }
    });
}

fn write_strings(text: &mut String, depth: usize, name: Option<&str>, domain: &StringDomain) {
    block(text, depth, "string_domain", |text| {
        put_some(text, depth + 1, "name", name.map(quote));
        domain.values.iter().for_each(|value| put(text, depth + 1, "value", quote(value)));
    });
}

fn block(text: &mut String, depth: usize, name: &str, inside: impl FnOnce(&mut String)) {
    let indent = "  ".repeat(depth);
    let _ = writeln!(text, "{indent}{name} {{");
    inside(text);
    let _ = writeln!(text, "{indent}}}");
}

fn put(text: &mut String, depth: usize, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{}{name}: {value}", "  ".repeat(depth));
}

fn put_some(text: &mut String, depth: usize, name: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        put(text, depth, name, value);
    }
}

/// With a point where it is whole.
fn float(number: f64) -> String {
    format!("{number:?}")
}
