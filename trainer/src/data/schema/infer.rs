//! A first schema from statistics, by the rules of TFDV's `infer_schema` with its defaults.
//!
//! # Source
//! TFDV 1.16, `anomalies/schema.cc`, `feature_util.cc` and `bool_domain_util.cc`: `Updater::CreateColumn`.

use crate::data::statistics::{Content, FeatureStatistics, NumberStatistics, SliceStatistics, StringStatistics, Type};

use super::{BoolDomain, Feature, Presence, Range, Schema, StringDomain};

/// How many different strings are still a set.
const MAX_STRINGS: usize = 100;
const TRUE: [&str; 6] = ["TRUE", "true", "SET", "set", "1", ""];
const FALSE: [&str; 5] = ["FALSE", "false", "CLEAR", "clear", "0"];

/// A schema that the data fits.
pub fn infer(statistics: &SliceStatistics) -> Schema {
    let mut schema = Schema::default();
    for of in &statistics.features {
        let mut feature = Feature::new(of.of);
        feature.presence = Some(Presence {
            min_count: Some(u64::from(of.present > 0)),
            min_fraction: (of.present > 0 && of.missing == 0).then_some(1.0),
        });
        if of.present > 0 {
            let always_as_many = of.valency.min == of.valency.max && of.valency.min > 0;
            if of.missing == 0 && always_as_many {
                feature.shape = Some(vec![of.valency.min]);
            } else if of.valency.min > 0 {
                let (min, max) = if always_as_many { (of.valency.min, Some(of.valency.max)) } else { (1, None) };
                feature.value_count = Some(Range { min: Some(min), max });
            }
            infer_domain(&mut schema, of, &mut feature);
        }
        schema.features.push((of.name.clone(), feature));
    }
    schema
}

fn infer_domain(schema: &mut Schema, of: &FeatureStatistics, feature: &mut Feature) {
    match &of.content {
        Content::Numbers(numbers) => {
            if of.of == Type::Int && is_bool(numbers) {
                feature.bool_domain = Some(BoolDomain::default());
            }
        }
        Content::Strings(strings) if strings.invalid_utf8 == 0 && !strings.values.is_empty() => {
            if let Some(domain) = bool_of(strings) {
                feature.bool_domain = Some(domain);
            } else if strings.values.iter().all(|(value, _)| value.parse::<i64>().is_ok()) {
                feature.int_domain = Some(Range { min: None, max: None });
            } else if strings.values.len() <= MAX_STRINGS {
                let mut values: Vec<String> = strings.values.iter().map(|(value, _)| value.clone()).collect();
                values.sort();
                feature.domain = Some(of.name.clone());
                schema.domains.push((of.name.clone(), StringDomain { values }));
            }
        }
        Content::Strings(_) => {}
    }
}

fn is_bool(numbers: &NumberStatistics) -> bool {
    numbers.min >= 0.0 && numbers.max == 1.0
}

/// Which of its at most two strings is true and which false, where that is plain.
fn bool_of(strings: &StringStatistics) -> Option<BoolDomain> {
    let mut domain = BoolDomain::default();
    for (value, _) in &strings.values {
        let side = match value.as_str() {
            value if TRUE.contains(&value) => &mut domain.true_value,
            value if FALSE.contains(&value) => &mut domain.false_value,
            _ => return None,
        };
        if side.replace(value.clone()).is_some() {
            return None;
        }
    }
    Some(domain)
}
