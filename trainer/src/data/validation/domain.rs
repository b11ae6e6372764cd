//! Whether a feature's values are those that the schema says.
//!
//! # Source
//! TFDV 1.16, `anomalies/{string,int,float,bool}_domain_util.cc`.

use crate::data::schema::{BoolDomain, Feature, FloatDomain, Range, Schema, StringDomain};
use crate::data::statistics::{Content, FeatureStatistics, StringStatistics, Type};

use super::anomaly::{Finding, Kind, six_digits};

/// How many unexpected strings a sentence names.
const NAMED: usize = 1000;

pub(super) fn check(schema: &Schema, feature: &Feature, of: &FeatureStatistics, findings: &mut Vec<Finding>) {
    if let Some(domain) = schema.strings(feature) {
        findings.extend(strings(domain, feature, of));
    } else if let Some(domain) = &feature.bool_domain {
        findings.extend(booleans(domain, of));
    } else if let Some(domain) = &feature.int_domain {
        integers(domain, of, findings);
    } else if let Some(domain) = &feature.float_domain {
        floats(domain, of, findings);
    }
}

fn strings(domain: &StringDomain, feature: &Feature, of: &FeatureStatistics) -> Option<Finding> {
    let strings = of.strings()?;
    if strings.invalid_utf8 > 0 {
        let description = "Found strings that were not valid UTF8 strings.";
        return Some(Finding::new(Kind::InvalidUtf8, "Invalid UTF8 strings", description));
    }
    let mut unexpected: Vec<&(String, u64)> =
        strings.values.iter().filter(|(value, _)| !domain.values.contains(value)).collect();
    let all = of.valency.total as f64;
    let off = unexpected.iter().map(|(_, count)| *count as f64).sum::<f64>() / all;
    let most_off = 1.0 - feature.distribution.and_then(|d| d.min_domain_mass).unwrap_or(1.0);
    if !(off > most_off || most_off == 0.0 && !unexpected.is_empty()) {
        return None;
    }
    let worst = unexpected.first()?.0.clone();
    unexpected.sort();
    let percent = |count: u64| match 100.0 * count as f64 / all {
        percent if percent < 1.0 => "<1%".to_owned(),
        percent => format!("~{}%", percent as u64),
    };
    let named: Vec<String> = (unexpected.iter().take(NAMED))
        .map(|(value, count)| format!("{} ({})", escape(value), percent(*count)))
        .collect();
    let description = format!("Examples contain values missing from the schema: {}. ", named.join(", "));
    Some(
        Finding::new(Kind::UnexpectedStrings, "Unexpected string values", description)
            .worst(worst)
            .measured(off, most_off),
    )
}

fn integers(domain: &Range<i64>, of: &FeatureStatistics, findings: &mut Vec<Finding>) {
    let interval = match &of.content {
        Content::Numbers(numbers) if of.of == Type::Int && numbers.finite > 0 => {
            (numbers.min as i64, numbers.max as i64)
        }
        Content::Numbers(_) => return,
        Content::Strings(strings) => match interval(strings, |text| text.parse::<i64>().ok()) {
            Ok(Some(interval)) => interval,
            Ok(None) => return,
            Err(value) => {
                let description = format!("String values that were not ints were found, such as \"{value}\".");
                findings.push(Finding::new(Kind::StringNotInt, "Invalid values", description).worst(value));
                return;
            }
        },
    };
    let short = "Out-of-range values";
    if let Some(min) = domain.min.filter(|&min| interval.0 < min) {
        let description = format!("Unexpectedly small value: {}.", interval.0);
        let finding = Finding::new(Kind::SmallInt, short, description).worst(interval.0.to_string());
        findings.push(finding.measured(interval.0 as f64, min as f64));
    }
    if let Some(max) = domain.max.filter(|&max| interval.1 > max) {
        let description = format!("Unexpectedly large value: {}.", interval.1);
        let finding = Finding::new(Kind::BigInt, short, description).worst(interval.1.to_string());
        findings.push(finding.measured(interval.1 as f64, max as f64));
    }
}

fn floats(domain: &FloatDomain, of: &FeatureStatistics, findings: &mut Vec<Finding>) {
    let (interval, nan) = match &of.content {
        Content::Numbers(_) if of.of == Type::Int => return,
        Content::Numbers(numbers) => {
            let low = if numbers.negative_infinities > 0 { f64::NEG_INFINITY } else { numbers.min };
            let high = if numbers.positive_infinities > 0 { f64::INFINITY } else { numbers.max };
            let any = numbers.finite + numbers.positive_infinities + numbers.negative_infinities > 0;
            (any.then_some((low, high)), numbers.nan > 0)
        }
        Content::Strings(strings) => match interval(strings, |text| text.parse::<f64>().ok()) {
            Ok(interval) => {
                let nan = strings.values.iter().any(|(v, _)| v.parse::<f64>().is_ok_and(f64::is_nan));
                (interval, nan)
            }
            Err(value) => {
                let description = format!("String values that were not floats were found, such as \"{value}\".");
                findings.push(Finding::new(Kind::StringNotFloat, "Invalid values", description).worst(value));
                return;
            }
        },
    };
    if domain.disallow_nan && nan {
        findings.push(Finding::new(Kind::HasNan, "Invalid values", "Float feature has NaN values."));
    }
    let Some((low, high)) = interval else { return };
    let mut out_of_range = |kind, what: &str, sign, value: f64, bound: f64| {
        let (got, may) = (six_digits(value), six_digits(bound));
        let description = format!("Unexpectedly {what}: {got}{sign}{may}(upto six significant digits)");
        let finding = Finding::new(kind, "Out-of-range values", description);
        findings.push(finding.worst(got).measured(value, bound));
    };
    if let Some(min) = domain.min.filter(|&min| low < min) {
        out_of_range(Kind::SmallFloat, "low values", '<', low, min);
    }
    if let Some(max) = domain.max.filter(|&max| high > max) {
        out_of_range(Kind::BigFloat, "high value", '>', high, max);
    }
    if domain.disallow_inf && (low.is_infinite() || high.is_infinite()) {
        findings.push(Finding::new(Kind::HasInf, "Invalid values", "Float feature has Inf values."));
    }
}

fn booleans(domain: &BoolDomain, of: &FeatureStatistics) -> Option<Finding> {
    let short = "Non-boolean values";
    match &of.content {
        Content::Numbers(numbers) if of.of == Type::Int => {
            let (kind, worst) = match numbers {
                n if n.min < 0.0 => (Kind::BoolSmallInt, n.min),
                n if n.max > 1.0 => (Kind::BoolBigInt, n.max),
                _ => return None,
            };
            let worst = six_digits(worst);
            let description = format!("Integers (such as {worst}) not in {{0, 1}}: converting to an integer.");
            Some(Finding::new(kind, short, description).worst(worst))
        }
        Content::Numbers(numbers) => {
            let infinite = numbers.positive_infinities + numbers.negative_infinities > 0;
            let other = numbers.ranks.points.iter().map(|&(x, _)| x).find(|&x| x != 0.0 && x != 1.0);
            let worst = match other {
                Some(x) => six_digits(x),
                None if numbers.nan > 0 => "NaN".to_owned(),
                None if infinite => "inf".to_owned(),
                None => return None,
            };
            let description = format!("Floats (such as {worst}) not in {{0, 1}}: converting to float_domain.");
            Some(Finding::new(Kind::BoolUnexpectedFloat, short, description).worst(worst))
        }
        Content::Strings(strings) => {
            let valid: Vec<&String> = domain.true_value.iter().chain(&domain.false_value).collect();
            let mut values: Vec<&String> = strings.values.iter().map(|(value, _)| value).collect();
            values.sort();
            let worst = values.into_iter().find(|value| !valid.contains(value))?;
            let mut valid: Vec<String> = valid.into_iter().map(|v| format!("\"{v}\"")).collect();
            valid.sort();
            let description = format!("Saw unexpected value \"{worst}\" instead of {{{}}}.", valid.join(", "));
            Some(Finding::new(Kind::BoolUnexpectedString, short, description).worst(worst))
        }
    }
}

/// The least and greatest number that strings are, `None` of no strings; or the first that is none.
fn interval<T: PartialOrd + Copy>(
    strings: &StringStatistics,
    number: impl Fn(&str) -> Option<T>,
) -> Result<Option<(T, T)>, String> {
    let mut values: Vec<&String> = strings.values.iter().map(|(value, _)| value).collect();
    values.sort();
    let mut interval: Option<(T, T)> = None;
    for value in values {
        let x = number(value).ok_or_else(|| value.clone())?;
        interval = Some(match interval {
            None => (x, x),
            Some((min, max)) => (if x < min { x } else { min }, if x > max { x } else { max }),
        });
    }
    Ok(interval)
}

/// As C escapes a string, with its UTF-8 left as it is.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '"' | '\'' | '\\' => escaped.extend(['\\', character]),
            c if c.is_ascii_control() => escaped.push_str(&format!("\\{:03o}", c as u32)),
            c => escaped.push(c),
        }
    }
    escaped
}
