//! The feature spec (TOML): schema, label, candidates, rules, exploration, tables, features and baselines.
//!
//! Every error points at a line.
//! Sections that only a trainer reads (learner, split, gate, import) are left in the [`Section`] for it;
//! whoever reads last calls [`Section::finish`], which refuses unknown keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::column::Kind;
use crate::duration::Duration;
use crate::encoder::{Baseline, Encoder, EncoderError, Feature};
use crate::expression::Expression;
use crate::history;
use crate::policy::{CandidateSource, Exploration, Policy, PolicyError, Rules};
use crate::schema::{Entity, Field, FieldRef, Schema};
use crate::source::{self, Declared, Source};
use crate::tables::StatisticDef;
use crate::transform::{self, Transform};

mod section;

pub use section::{Section, SpecError};

/// A surface as configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpec {
    /// The encoder before fitting.
    pub unfitted: Encoder,
    /// Features with their transforms.
    pub features: Vec<Feature>,
    /// Candidates, rules, exploration, fallback and log settings.
    pub policy: Policy,
    /// How rows are labelled.
    pub label: Label,
    /// How snapshots are made.
    pub tables: TablesSpec,
}

/// How rows are labelled: the highest grade of the interactions with the item within `window` after the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Grade by action; other actions do not count.
    pub grades: BTreeMap<String, u32>,
    /// How long after a request an interaction counts.
    #[serde(default = "thirty_minutes")]
    pub window: Duration,
    /// Whether every candidate counts as shown, for imports that have no impressions.
    #[serde(default)]
    pub assume_shown: bool,
    /// Which request an interaction belongs to that names none.
    #[serde(default)]
    pub touch: Touch,
}

/// Which of the requests that had shown an item to a user an interaction belongs to, where it names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Touch {
    /// The last one before the interaction.
    #[default]
    Last,
    /// The first one whose window the interaction is in.
    First,
}

/// How snapshots are made.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablesSpec {
    /// Time between two snapshots.
    #[serde(default = "one_day")]
    pub refresh: Duration,
    /// Time from a snapshot's `as_of` until requests may use it.
    #[serde(default)]
    pub delay: Duration,
    /// A statistic or a vocabulary entry needs at least this many distinct users.
    #[serde(default = "twenty")]
    pub min_users: u32,
    /// The statistics.
    #[serde(default)]
    pub statistics: Vec<Statistic>,
}

/// A statistic of items, computed from the events before a snapshot's `as_of`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistic {
    /// Its name.
    pub name: String,
    /// What is counted.
    pub count: Counted,
    /// Only interactions with one of these actions.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
    /// Only events of this surface.
    #[serde(default)]
    pub surface: Option<String>,
    /// Only events at most this old.
    #[serde(default)]
    pub window: Option<Duration>,
    /// Weights events `2^(-age / half_life)`.
    #[serde(default)]
    pub half_life: Option<Duration>,
    /// A user or context category; values are kept for each of its values.
    #[serde(default)]
    pub by: Option<FieldRef>,
}

/// What a statistic counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Interactions with the item.
    Interactions,
    /// Impressions of the item.
    Impressions,
    /// Distinct users who interacted with the item.
    Users,
}

impl FeatureSpec {
    /// Parses a spec that has no sections for a trainer, or whose sections for a trainer have been taken.
    ///
    /// # Errors
    /// See [`FeatureSpec::read`], and unknown keys.
    pub fn parse(text: &str) -> Result<FeatureSpec, SpecError> {
        let mut root = Section::parse(text)?;
        let spec = FeatureSpec::read(&mut root)?;
        root.finish()?;
        Ok(spec)
    }

    /// Takes this crate's keys out of the root section.
    ///
    /// # Errors
    /// The first thing that is impossible, with its line.
    pub fn read(root: &mut Section) -> Result<FeatureSpec, SpecError> {
        let surface: String = root.require("surface")?;
        let schema = read_schema(root)?;
        let history_length = match root.section("history")? {
            Some(mut history) => {
                let length = history.take("length")?.unwrap_or(history::DEFAULT_LENGTH);
                history.finish()?;
                length
            }
            None => history::DEFAULT_LENGTH,
        };
        let label: Label = root.require("label")?;
        let tables = root.take("tables")?.unwrap_or_else(TablesSpec::default);
        let statistics = check_statistics(root, &schema, &tables)?;
        let declared = Declared { schema: &schema, statistics: &statistics };
        let features = read_features(root, &declared)?;
        let (baselines, places) = read_baselines(root)?;
        let policy_span = root.whole();
        let policy = Policy {
            surface,
            candidates: root.take("candidates")?.unwrap_or_else(|| vec![CandidateSource::Request]),
            rules: root.take("rules")?.unwrap_or_else(Rules::default),
            exploration: root.take("exploration")?.unwrap_or_else(Exploration::default),
            fallback: root.require("fallback")?,
            slate: root.take("slate")?.unwrap_or(20),
            log_unshown: root.take("log_unshown")?.unwrap_or(4),
        };
        let unfitted = Encoder::unfitted(schema, statistics, history_length, &features, baselines)
            .map_err(|e| encoder_error(root, &places, &e))?;
        policy.check(&unfitted).map_err(|e| match &e {
            PolicyError::Settings { key, .. } => root.error_at_key(key, e.to_string()),
            _ => root.error(policy_span, e.to_string()),
        })?;
        Ok(FeatureSpec { unfitted, features, policy, label, tables })
    }

    /// The surface's name.
    pub fn surface(&self) -> &str {
        &self.policy.surface
    }
}

impl Label {
    /// The grade of an action; 0 where it does not count.
    pub fn grade(&self, action: &str) -> u32 {
        self.grades.get(action).copied().unwrap_or(0)
    }
}

impl Default for TablesSpec {
    fn default() -> Self {
        TablesSpec { refresh: one_day(), delay: Duration::default(), min_users: twenty(), statistics: Vec::new() }
    }
}

fn read_schema(root: &mut Section) -> Result<Schema, SpecError> {
    let mut schema = Schema::default();
    let Some(mut section) = root.section("schema")? else { return Ok(schema) };
    for (entity, fields) in [
        (Entity::User, &mut schema.user),
        (Entity::Context, &mut schema.context),
        (Entity::Item, &mut schema.item),
        (Entity::Candidate, &mut schema.candidate),
    ] {
        let Some(mut declared) = section.section(entity.name())? else { continue };
        for (name, span) in declared.keys() {
            let kind: String = declared.require(&name)?;
            let kind = parse_kind(&kind).ok_or_else(|| {
                let kinds = "number, boolean, category, tags, text, timestamp or vector(WIDTH)";
                declared.error(span, format!("`{kind}` is not a kind; write {kinds}"))
            })?;
            fields.push(Field { name, kind });
        }
    }
    section.finish()?;
    Ok(schema)
}

fn parse_kind(text: &str) -> Option<Kind> {
    Some(match text {
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        "category" => Kind::Category,
        "tags" => Kind::Tags,
        "text" => Kind::Text,
        "timestamp" => Kind::Timestamp,
        _ => {
            let width: u32 = text.strip_prefix("vector(")?.strip_suffix(')')?.parse().ok()?;
            (1..=4096).contains(&width).then_some(Kind::Vector(width))?
        }
    })
}

fn check_statistics(root: &Section, schema: &Schema, tables: &TablesSpec) -> Result<Vec<StatisticDef>, SpecError> {
    let refuse = |reason: String| Err(root.error_at_key("tables", reason));
    if tables.refresh.ms == 0 {
        return refuse("`refresh` is 0; write a duration such as \"1h\"".into());
    }
    for (i, statistic) in tables.statistics.iter().enumerate() {
        let name = &statistic.name;
        if tables.statistics[..i].iter().any(|s| s.name == *name) {
            return refuse(format!("statistic `{name}` is declared twice"));
        }
        if let Some(by) = &statistic.by {
            let category = schema.find(by).is_some_and(|(_, kind)| kind == Kind::Category);
            if !category || !matches!(by.entity, Entity::User | Entity::Context) {
                return refuse(format!("statistic `{name}` is kept by `{by}`, which is no user or context category"));
            }
        }
        if [statistic.window, statistic.half_life].contains(&Some(Duration::default())) {
            return refuse(format!(
                "statistic `{name}` has a window or half-life of 0; write a duration such as \"30d\""
            ));
        }
        if statistic.actions.is_some() && statistic.count == Counted::Impressions {
            return refuse(format!("statistic `{name}` counts impressions, which have no actions"));
        }
    }
    Ok(tables.statistics.iter().map(|s| StatisticDef { name: s.name.clone(), by: s.by.clone() }).collect())
}

fn read_features(root: &mut Section, declared: &Declared) -> Result<Vec<Feature>, SpecError> {
    let mut features: Vec<Feature> = Vec::new();
    for mut table in root.sections("features")? {
        let name: String = table.require("name")?;
        let valid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            let rule = "use letters, digits and `_`, and no digit first";
            return Err(table.error_at_key("name", format!("`{name}` is not a feature name; {rule}")));
        }
        if features.iter().any(|f| f.name == name) {
            return Err(table.error_at_key("name", format!("feature `{name}` is declared twice")));
        }
        let kind: String = table.require("source")?;
        let transforms = read_transforms(&mut table)?;
        let encode = table.take("encode")?.unwrap_or(true);
        let source = Source::deserialize_named(&kind, table.rest())
            .ok_or_else(|| {
                let known = source::NAMES.join(", ");
                table.error_at_key("source", format!("there is no source `{kind}`; there are: {known}"))
            })?
            .map_err(|e| table.toml_error(&e))?;
        let feature = Feature { name, source, transforms, encode };
        feature.output(declared).map_err(|e| table.error_at_key("source", e.to_string()))?;
        features.push(feature);
    }
    Ok(features)
}

fn read_transforms(table: &mut Section) -> Result<Vec<Transform>, SpecError> {
    let mut transforms = Vec::new();
    for (name, settings, span) in table.steps("transforms")? {
        let transform = Transform::deserialize_named(&name, settings)
            .ok_or_else(|| {
                let known = transform::NAMES.join(", ");
                table.error(span, format!("there is no transform `{name}`; there are: {known}"))
            })?
            .map_err(|e| table.toml_error(&e))?;
        transforms.push(transform);
    }
    Ok(transforms)
}

/// The baselines, and where each one's score stands.
fn read_baselines(root: &mut Section) -> Result<(Vec<Baseline>, Vec<SpecError>), SpecError> {
    let (mut baselines, mut places) = (Vec::new(), Vec::new());
    for mut table in root.sections("baselines")? {
        let name: String = table.require("name")?;
        let text: String = table.require("score")?;
        let expression = Expression::parse(&text).map_err(|e| table.error_at_key("score", e.to_string()))?;
        table.finish()?;
        places.push(table.error_at_key("score", name.clone()));
        baselines.push(Baseline { name, expression });
    }
    Ok((baselines, places))
}

/// Points at the baseline or section that an encoder error is about.
fn encoder_error(root: &Section, baselines: &[SpecError], error: &EncoderError) -> SpecError {
    let reason = error.to_string();
    let place = match error {
        EncoderError::Baseline { baseline, .. } => baselines.iter().rfind(|place| place.reason == *baseline),
        _ => None,
    };
    match place {
        Some(place) => SpecError { line: place.line, reason },
        None => root.error_at_key("history", reason),
    }
}

fn thirty_minutes() -> Duration {
    Duration { ms: 30 * 60_000 }
}

fn one_day() -> Duration {
    Duration::hours(24)
}

fn twenty() -> u32 {
    20
}

#[cfg(test)]
mod tests;
