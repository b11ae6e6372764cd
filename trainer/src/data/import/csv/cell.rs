//! Where one value of a row comes from, and how its text is read.

use std::collections::BTreeMap;
use std::fmt;

use csv::ByteRecord;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use shared_features::column::Kind;
use shared_features::event::FieldValue;
use toml::value::Datetime;

/// A column by its name, or a table of how to read it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped(Rule);

/// How a value is read: from a column, or always the same.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rule {
    column: Option<String>,
    value: Option<Constant>,
    /// Words that stand for a missing value, as an empty cell does.
    missing: Vec<String>,
    /// Other words for the column's; a word that is not in it is an error.
    map: Option<BTreeMap<String, String>>,
    /// What stands between tags or the numbers of a vector.
    split: Option<String>,
    /// Of a time: how long 1 is.
    unit: Option<Unit>,
    /// Of a time: when it is 0.
    origin: Option<Datetime>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Constant {
    Number(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Ms,
    Seconds,
    Minutes,
    Hours,
    Days,
}

/// A rule whose column was found.
#[derive(Debug)]
pub(super) struct Bound<'s> {
    rule: &'s Rule,
    index: Option<usize>,
    constant: Option<String>,
    origin_ms: i64,
}

/// One row of a file.
pub(super) struct Row<'r> {
    pub(super) record: &'r ByteRecord,
}

impl Mapped {
    /// Finds the column in a header.
    ///
    /// # Errors
    /// There is no such column, or the rule says both or neither of `column` and `value`.
    pub(super) fn bind(&self, part: &str, header: &[String]) -> Result<Bound<'_>, String> {
        let rule = &self.0;
        let origin_ms = match &rule.origin {
            None => 0,
            Some(origin) => ms_of(origin).ok_or_else(|| format!("`{part}`: the origin {origin} has no date"))?,
        };
        let constant = rule.value.as_ref().map(|value| match value {
            Constant::Number(x) => x.to_string(),
            Constant::Text(text) => text.clone(),
        });
        let index = match (&rule.column, &constant) {
            (Some(name), None) => Some(header.iter().position(|h| h == name).ok_or_else(|| {
                format!("there is no column `{name}` for `{part}`; the header has: {}", header.join(", "))
            })?),
            (None, Some(_)) => None,
            _ => return Err(format!("`{part}` needs one of `column` and `value`")),
        };
        Ok(Bound { rule, index, constant, origin_ms })
    }
}

impl Bound<'_> {
    /// The text; `None` where it is empty.
    pub(super) fn text(&self, row: &Row) -> Result<Option<String>, String> {
        let name = self.rule.column.as_deref().unwrap_or_default();
        let cell = match self.index {
            None => self.constant.as_deref().unwrap_or_default(),
            Some(index) => std::str::from_utf8(row.record.get(index).unwrap_or_default())
                .map_err(|_| format!("column `{name}` is not UTF-8"))?,
        };
        match &self.rule.map {
            _ if cell.is_empty() || self.rule.missing.iter().any(|word| word == cell) => Ok(None),
            None => Ok(Some(cell.to_owned())),
            Some(map) => match map.get(cell) {
                Some(word) => Ok(Some(word.clone())),
                None => Err(format!("column `{name}` is {cell:?}, which its `map` does not name")),
            },
        }
    }

    /// A number; `None` where it is empty.
    pub(super) fn number(&self, row: &Row) -> Result<Option<f64>, String> {
        self.text(row)?.map(|text| number(&text)).transpose()
    }

    /// Milliseconds since the epoch; `None` where it is empty.
    pub(super) fn time(&self, row: &Row) -> Result<Option<i64>, String> {
        let Some(text) = self.text(row)? else { return Ok(None) };
        if let Some(ms) = text.parse::<Datetime>().ok().as_ref().and_then(ms_of) {
            return Ok(Some(ms));
        }
        let unit_ms = self.rule.unit.map_or(1, Unit::ms);
        let out_of_range = || format!("the time {text:?} is out of range");
        let since_origin = match text.parse::<i64>() {
            Ok(whole) => whole.checked_mul(unit_ms).ok_or_else(out_of_range)?,
            Err(_) => match number(&text) {
                // Whole milliseconds within the range where `f64` is exact.
                Ok(x) if (x * unit_ms as f64).abs() <= 9_007_199_254_740_992.0 => (x * unit_ms as f64).round() as i64,
                _ => return Err(format!("{text:?} is no time; expected a number or such as 2026-01-31T09:00:00Z")),
            },
        };
        since_origin.checked_add(self.origin_ms).map(Some).ok_or_else(out_of_range)
    }

    /// A value of a field; `None` where it is empty.
    pub(super) fn value(&self, row: &Row, kind: Kind) -> Result<Option<FieldValue>, String> {
        if kind == Kind::Timestamp {
            return Ok(self.time(row)?.map(|ms| FieldValue::Number(ms as f64)));
        }
        let Some(text) = self.text(row)? else { return Ok(None) };
        Ok(Some(match kind {
            Kind::Number => FieldValue::Number(number(&text)?),
            Kind::Boolean => match text.as_str() {
                "true" | "True" | "TRUE" | "1" => FieldValue::Boolean(true),
                "false" | "False" | "FALSE" | "0" => FieldValue::Boolean(false),
                _ => return Err(format!("{text:?} is no boolean; expected true, false, 1 or 0")),
            },
            Kind::Tags => FieldValue::Strings(self.parts(&text).map(str::to_owned).collect()),
            Kind::Vector(_) => FieldValue::Numbers(self.parts(&text).map(number).collect::<Result<_, _>>()?),
            Kind::Category | Kind::Text | Kind::Timestamp => FieldValue::String(text),
        }))
    }

    fn parts<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let whole = self.rule.split.is_none().then_some(text);
        let split = self.rule.split.as_deref().map(|by| text.split(by).filter(|part| !part.is_empty()));
        whole.into_iter().chain(split.into_iter().flatten())
    }
}

impl Unit {
    fn ms(self) -> i64 {
        match self {
            Unit::Ms => 1,
            Unit::Seconds => 1_000,
            Unit::Minutes => 60_000,
            Unit::Hours => 3_600_000,
            Unit::Days => 86_400_000,
        }
    }
}

impl<'de> Deserialize<'de> for Mapped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrRule;
        impl<'de> Visitor<'de> for NameOrRule {
            type Value = Mapped;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a column's name, or a table such as { value = \"play\" }")
            }

            fn visit_str<E: Error>(self, column: &str) -> Result<Mapped, E> {
                Ok(Mapped(Rule { column: Some(column.to_owned()), ..Rule::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mapped, A::Error> {
                Rule::deserialize(MapAccessDeserializer::new(map)).map(Mapped)
            }
        }
        deserializer.deserialize_any(NameOrRule)
    }
}

fn number(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => Err(format!("{text:?} is no number")),
    }
}

/// Milliseconds since the epoch; a time without an offset is UTC, a date alone its midnight.
fn ms_of(datetime: &Datetime) -> Option<i64> {
    let date = datetime.date?;
    let days = days_from_civil(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let time = datetime.time.map_or(0, |t| {
        let seconds = (i64::from(t.hour) * 60 + i64::from(t.minute)) * 60 + i64::from(t.second.unwrap_or(0));
        seconds * 1000 + i64::from(t.nanosecond.unwrap_or(0) / 1_000_000)
    });
    let offset_min = match datetime.offset {
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
        Some(toml::value::Offset::Z) | None => 0,
    };
    Some(days * 86_400_000 + time - offset_min * 60_000)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
///
/// # Source
/// Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years that start in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
