//! The schema: which fields items, users, contexts and candidates have, and of what kind.

use serde::{Deserialize, Serialize};

use crate::column::{Column, ColumnError, Kind};
use crate::event::Attributes;

/// Whose field it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entity {
    /// Comes with the request.
    User,
    /// Comes with the request.
    Context,
    /// Comes from the held table snapshot.
    Item,
    /// Comes with the request's candidate.
    Candidate,
}

/// A declared field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its name, unique within the entity.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
}

/// All declared fields, each list in the order of the spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Fields of users.
    pub user: Vec<Field>,
    /// Fields of contexts.
    pub context: Vec<Field>,
    /// Fields of items.
    pub item: Vec<Field>,
    /// Fields of candidates.
    pub candidate: Vec<Field>,
}

/// A field by name, written `user.country`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldRef {
    /// Whose field.
    pub entity: Entity,
    /// Its name.
    pub name: String,
}

/// Why attributes do not fit a schema.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The schema has no such field.
    #[error("unknown {entity} field `{name}`; the schema declares: {known}")]
    Unknown {
        /// Whose.
        entity: &'static str,
        /// The field.
        name: String,
        /// What there is.
        known: String,
    },
    /// A value of another kind.
    #[error("{entity} field `{name}`: {source}")]
    Kind {
        /// Whose.
        entity: &'static str,
        /// The field.
        name: String,
        /// What was wrong.
        source: ColumnError,
    },
}

impl Entity {
    /// `user`, `context`, `item` or `candidate`.
    pub fn name(self) -> &'static str {
        match self {
            Entity::User => "user",
            Entity::Context => "context",
            Entity::Item => "item",
            Entity::Candidate => "candidate",
        }
    }
}

impl Schema {
    /// The fields of an entity.
    pub fn fields(&self, entity: Entity) -> &[Field] {
        match entity {
            Entity::User => &self.user,
            Entity::Context => &self.context,
            Entity::Item => &self.item,
            Entity::Candidate => &self.candidate,
        }
    }

    /// Where a field stands in its entity's list, and its kind.
    pub fn find(&self, field: &FieldRef) -> Option<(usize, Kind)> {
        let fields = self.fields(field.entity);
        let at = fields.iter().position(|f| f.name == field.name)?;
        Some((at, fields[at].kind))
    }

    /// A column a declared field, a row for each set of attributes; fields that are not sent are missing.
    ///
    /// # Errors
    /// An undeclared field, or a value of another kind.
    pub fn columns(&self, entity: Entity, rows: &[&Attributes]) -> Result<Vec<Column>, SchemaError> {
        let fields = self.fields(entity);
        for name in rows.iter().flat_map(|row| row.keys()) {
            if !fields.iter().any(|f| f.name == *name) {
                let known: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(SchemaError::Unknown { entity: entity.name(), name: name.clone(), known });
            }
        }
        fields
            .iter()
            .map(|field| {
                let cells = rows.iter().map(|row| row.get(&field.name).and_then(Option::as_ref));
                Column::from_json(field.kind, cells).map_err(|source| SchemaError::Kind {
                    entity: entity.name(),
                    name: field.name.clone(),
                    source,
                })
            })
            .collect()
    }
}

impl FieldRef {
    /// Reads `user.country`, `context.device`, `item.genres` or `candidate.score`.
    pub fn parse(text: &str) -> Option<FieldRef> {
        let (entity, name) = text.split_once('.')?;
        let entity = match entity {
            "user" => Entity::User,
            "context" => Entity::Context,
            "item" => Entity::Item,
            "candidate" => Entity::Candidate,
            _ => return None,
        };
        (!name.is_empty()).then(|| FieldRef { entity, name: name.to_owned() })
    }
}

impl TryFrom<String> for FieldRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        FieldRef::parse(&text).ok_or_else(|| {
            format!("`{text}` is not a field; write user.NAME, context.NAME, item.NAME or candidate.NAME")
        })
    }
}

impl From<FieldRef> for String {
    fn from(field: FieldRef) -> String {
        field.to_string()
    }
}

impl std::fmt::Display for FieldRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.entity.name(), self.name)
    }
}
