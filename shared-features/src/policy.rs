//! The policy of a surface: where candidates come from, the rules, exploration, the fallback and what is logged.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::column::Kind;
use crate::encoder::Encoder;
use crate::event::MAX_CANDIDATES;
use crate::expression::Expression;
use crate::schema::{Entity, FieldRef};

/// Most candidate sources; log rows name them by one byte.
const MAX_SOURCES: usize = 256;

/// A surface's policy; one part of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The surface.
    pub surface: String,
    /// Where candidates come from; the union, in this order.
    pub candidates: Vec<CandidateSource>,
    /// Rules after scoring.
    pub rules: Rules,
    /// Exploration after the rules.
    pub exploration: Exploration,
    /// The baseline that ranks when the model fails.
    pub fallback: String,
    /// Longest slate.
    pub slate: u32,
    /// How many candidates outside the slate are logged, by a uniform draw.
    pub log_unshown: u32,
}

/// A source of candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CandidateSource {
    /// Those of the request.
    Request,
    /// The items of the user's own history, newest first.
    History {
        /// Only items with one of these actions; all where absent.
        #[serde(default)]
        actions: Option<Vec<String>>,
        /// At most this many.
        length: u32,
    },
    /// The items of the table with the highest value.
    Table {
        /// An expression over table statistics (those of the request's segment).
        rank_by: RankBy,
        /// At most this many.
        length: u32,
    },
}

/// An expression that is written as a string.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RankBy {
    #[serde(with = "expression_text")]
    expression: Expression,
}

/// Rules: hidden and excluded items leave; at most so many per value of a field; similar items stand apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Items with one of these actions in the user's history leave.
    pub hide_after: Vec<String>,
    /// Limits on what one slate has of one field value.
    pub at_most: Vec<AtMost>,
    /// What a score loses for being like what stands above.
    pub diversity: Option<Diversity>,
}

/// At most `count` items of one slate share a value of `field`; items without a value are not limited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtMost {
    /// An item category.
    pub field: FieldRef,
    /// At least 1.
    pub count: u32,
}

/// Each of the first `top` places goes to the highest `score - weight * similarity`, where `similarity` is that to
/// the most similar item above: 1 for one category, the overlap of tags, 0 where either has no value.
///
/// The other rules go first. The rest of the slate is by score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diversity {
    /// An item category or item tags.
    pub field: FieldRef,
    /// Above 0; in units of the score, as a temperature is.
    pub weight: f64,
    /// Places that the rule chooses, 1 to 256.
    pub top: u32,
}

/// Exploration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Exploration {
    /// By score.
    #[default]
    None,
    /// The first `top` places are drawn without replacement with weights `exp(score / temperature)`;
    /// scores are those that the diversity rule leaves.
    PlackettLuce {
        /// Above 0; in units of the score.
        temperature: f64,
        /// Places that are drawn; the rest is by score.
        top: u32,
    },
}

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not a policy of this version.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Impossible settings.
    #[error("{key}: {reason}")]
    Settings {
        /// Which setting.
        key: &'static str,
        /// Why.
        reason: String,
    },
}

impl Policy {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads and checks a policy against the encoder it is used with.
    ///
    /// # Errors
    /// Malformed bytes or impossible settings.
    pub fn from_bytes(bytes: &[u8], encoder: &Encoder) -> Result<Policy, PolicyError> {
        let policy: Policy = codec::decode(bytes, "policy")?;
        policy.check(encoder)?;
        Ok(policy)
    }

    /// Checks the settings against the encoder's declarations.
    ///
    /// # Errors
    /// The first setting that is impossible.
    pub fn check(&self, encoder: &Encoder) -> Result<(), PolicyError> {
        let refuse = |key, reason: String| Err(PolicyError::Settings { key, reason });
        if !encoder.baselines.iter().any(|b| b.name == self.fallback) {
            let known: Vec<&str> = encoder.baselines.iter().map(|b| b.name.as_str()).collect();
            return refuse(
                "fallback",
                format!("there is no baseline `{}`; declared are: {}", self.fallback, known.join(", ")),
            );
        }
        if self.candidates.is_empty() {
            return refuse("candidates", "name at least one of request, history and table".into());
        }
        if self.candidates.len() > MAX_SOURCES {
            return refuse("candidates", format!("{} sources, at most {MAX_SOURCES}", self.candidates.len()));
        }
        if !(1..=MAX_CANDIDATES as u32).contains(&self.slate) {
            return refuse("slate", format!("{} is not within 1 to {MAX_CANDIDATES}", self.slate));
        }
        for source in &self.candidates {
            let length = match source {
                CandidateSource::Request => continue,
                CandidateSource::History { length, .. } => *length,
                CandidateSource::Table { rank_by, length } => {
                    let expression = rank_by.expression();
                    if let Err(e) = expression.check() {
                        return refuse("candidates", format!("rank_by: {e}"));
                    }
                    for name in expression.names() {
                        if !encoder.statistics.iter().any(|s| s.name == *name) {
                            return refuse("candidates", format!("rank_by: there is no table statistic `{name}`"));
                        }
                    }
                    *length
                }
            };
            if !(1..=MAX_CANDIDATES as u32).contains(&length) {
                return refuse("candidates", format!("length {length} is not within 1 to {MAX_CANDIDATES}"));
            }
        }
        for rule in &self.rules.at_most {
            let category = encoder.schema.find(&rule.field).is_some_and(|(_, kind)| kind == Kind::Category);
            if rule.field.entity != Entity::Item || !category || rule.count == 0 {
                return refuse(
                    "rules",
                    format!("at_most: `{}` must be an item category and count at least 1", rule.field),
                );
            }
        }
        if let Some(rule) = &self.rules.diversity {
            let kind = encoder.schema.find(&rule.field).map(|(_, kind)| kind);
            if rule.field.entity != Entity::Item || !matches!(kind, Some(Kind::Category | Kind::Tags)) {
                return refuse("rules", format!("diversity: `{}` must be an item category or item tags", rule.field));
            }
            if !(rule.weight > 0.0 && rule.weight.is_finite() && (1..=256).contains(&rule.top)) {
                return refuse(
                    "rules",
                    format!("diversity: weight must be a number above 0, top {} must be within 1 to 256", rule.top),
                );
            }
        }
        if let Exploration::PlackettLuce { temperature, top } = self.exploration
            && !(temperature > 0.0 && temperature.is_finite() && (1..=256).contains(&top))
        {
            return refuse(
                "exploration",
                format!("temperature must be a number above 0, top {top} must be within 1 to 256"),
            );
        }
        Ok(())
    }
}

impl RankBy {
    /// The expression.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }
}

mod expression_text {
    //! An expression is text for people and a checked program for machines.

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::expression::Expression;

    pub(super) fn serialize<S: Serializer>(expression: &Expression, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            expression.text.serialize(serializer)
        } else {
            expression.serialize(serializer)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Expression, D::Error> {
        if deserializer.is_human_readable() {
            Expression::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        } else {
            Expression::deserialize(deserializer)
        }
    }
}

#[cfg(test)]
mod tests;
