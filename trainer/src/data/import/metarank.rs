//! Metarank's event JSON: item, user, ranking and interaction, an object a line.
//!
//! Fields that the spec's schema does not declare are left out and counted; keys that Hearth has no use for are skipped.
//! A ranking is a request of the spec's surface; where it names no user, its session stands in.

use std::path::PathBuf;

use serde::Deserialize;
use shared_features::column::Kind;
use shared_features::event::{
    Attributes, Candidate, Event, FieldValue, InteractionEvent, ItemEvent, RequestEvent, UserEvent,
};
use shared_features::schema::Entity;

use super::{ImportError, Intake, file_name, lines};

/// `[import.metarank]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Timestamp fields that are given in seconds since the epoch; others are in milliseconds.
    pub seconds: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Item {
        item: String,
        timestamp: Time,
        #[serde(default)]
        fields: Vec<Field>,
    },
    User {
        user: String,
        timestamp: Time,
        #[serde(default)]
        fields: Vec<Field>,
    },
    Ranking(Ranking),
    Interaction(Interaction),
}

#[derive(Deserialize)]
struct Ranking {
    id: String,
    timestamp: Time,
    user: Option<String>,
    session: Option<String>,
    items: Vec<RankedItem>,
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct RankedItem {
    id: String,
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Interaction {
    id: String,
    timestamp: Time,
    user: Option<String>,
    session: Option<String>,
    item: String,
    #[serde(rename = "type")]
    action: String,
    ranking: Option<String>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: Option<FieldValue>,
}

/// Milliseconds, as a number or in a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Number(i64),
    Text(String),
}

/// Reads files.
///
/// # Errors
/// A file that cannot be read, or settings that name no timestamp field.
pub(super) fn read(files: &[PathBuf], settings: &Settings, intake: &mut Intake) -> Result<(), ImportError> {
    let schema = &intake.spec.unfitted.schema;
    for name in &settings.seconds {
        let all = [&schema.user, &schema.context, &schema.item, &schema.candidate];
        if !all.iter().any(|fields| fields.iter().any(|f| f.name == *name && f.kind == Kind::Timestamp)) {
            let reason = format!("metarank.seconds names `{name}`, which [schema] does not declare as a timestamp");
            return Err(ImportError::Settings { reason });
        }
    }
    for path in files {
        let name = file_name(path);
        let io = |source| ImportError::Io { path: path.clone(), source };
        let mut reader = lines::open(path, &intake.read).map_err(io)?;
        lines::for_each(&mut reader, |line, text| {
            let event = text
                .and_then(|text| serde_json::from_str::<Line>(text).map_err(|e| e.to_string()))
                .and_then(|parsed| convert(parsed, settings, intake));
            intake.take(&name, line, event);
        })
        .map_err(io)?;
    }
    Ok(())
}

fn convert(line: Line, settings: &Settings, intake: &mut Intake) -> Result<Event, String> {
    let mut attributes = |entity, fields| attributes(entity, fields, settings, intake);
    Ok(match line {
        Line::Item { item, timestamp, fields } => {
            let attributes = attributes(Entity::Item, fields);
            Event::Item(ItemEvent { id: item, ts: timestamp.ms()?, attributes })
        }
        Line::User { user, timestamp, fields } => {
            let attributes = attributes(Entity::User, fields);
            Event::User(UserEvent { id: user, ts: timestamp.ms()?, attributes })
        }
        Line::Ranking(e) => Event::Request(RequestEvent {
            id: e.id,
            ts: e.timestamp.ms()?,
            offset_min: 0,
            user: e.user.or(e.session).ok_or("the ranking has neither `user` nor `session`")?,
            attributes: Attributes::new(),
            context: attributes(Entity::Context, e.fields),
            candidates: e
                .items
                .into_iter()
                .map(|item| Candidate { item: item.id, fields: attributes(Entity::Candidate, item.fields) })
                .collect(),
            exclude: Vec::new(),
            surface: intake.spec.surface().to_owned(),
        }),
        Line::Interaction(e) => Event::Interaction(InteractionEvent {
            id: e.id,
            ts: e.timestamp.ms()?,
            offset_min: None,
            user: e.user.or(e.session).ok_or("the interaction has neither `user` nor `session`")?,
            item: e.item,
            action: e.action,
            surface: Some(intake.spec.surface().to_owned()),
            request: e.ranking,
            dwell_ms: None,
            completion: None,
        }),
    })
}

fn attributes(entity: Entity, fields: Vec<Field>, settings: &Settings, intake: &mut Intake) -> Attributes {
    let declared = intake.spec.unfitted.schema.fields(entity);
    let mut attributes = Attributes::new();
    for Field { name, value } in fields {
        match declared.iter().find(|f| f.name == name) {
            None => intake.ignore(entity, &name),
            Some(field) => {
                let seconds = field.kind == Kind::Timestamp && settings.seconds.contains(&name);
                let value = value.map(|value| match value {
                    FieldValue::Number(x) if seconds => FieldValue::Number(x * 1000.0),
                    other => other,
                });
                attributes.insert(name, value);
            }
        }
    }
    attributes
}

impl Time {
    fn ms(&self) -> Result<i64, String> {
        match self {
            Time::Number(ms) => Ok(*ms),
            Time::Text(text) => {
                text.parse().map_err(|_| format!("`timestamp` is {text:?}, expected milliseconds since the epoch"))
            }
        }
    }
}
