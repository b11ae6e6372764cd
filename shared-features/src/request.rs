//! A request as the engine gets it: typed by a schema, without the user.

use serde::{Deserialize, Serialize};

use crate::column::{Column, ColumnError};
use crate::event::{Attributes, RequestEvent};
use crate::schema::{Entity, Schema, SchemaError};

/// A request, typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The request's id; with the channel's salt it keys exploration.
    pub id: String,
    /// "Now" for every feature, milliseconds since the epoch, UTC.
    pub ts: i64,
    /// Local time minus UTC, in minutes.
    pub offset_min: i16,
    /// A column of one row for each user field.
    pub user: Vec<Column>,
    /// A column of one row for each context field.
    pub context: Vec<Column>,
    /// Items to rank.
    pub candidates: Vec<String>,
    /// A column for each candidate field, a row a candidate.
    pub fields: Vec<Column>,
    /// Items that must not be in the slate.
    pub exclude: Vec<String>,
}

/// Why a typed request does not fit the schema it is used with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{entity} column {index}: {source}")]
pub struct RequestError {
    /// Whose column.
    pub entity: &'static str,
    /// Which one; the schema's count of columns where there are more or fewer.
    pub index: usize,
    /// What is wrong.
    pub source: ColumnError,
}

impl Request {
    /// Types an event's attributes; `user` stands in for a request that carries no user attributes.
    ///
    /// # Errors
    /// An undeclared field, or a value of another kind.
    pub fn new(event: &RequestEvent, user: Option<&Attributes>, schema: &Schema) -> Result<Request, SchemaError> {
        let attributes = match user {
            Some(known) if event.attributes.is_empty() => known,
            _ => &event.attributes,
        };
        let rows: Vec<&Attributes> = event.candidates.iter().map(|c| &c.fields).collect();
        Ok(Request {
            id: event.id.clone(),
            ts: event.ts,
            offset_min: event.offset_min,
            user: schema.columns(Entity::User, &[attributes])?,
            context: schema.columns(Entity::Context, &[&event.context])?,
            candidates: event.candidates.iter().map(|c| c.item.clone()).collect(),
            fields: schema.columns(Entity::Candidate, &rows)?,
            exclude: event.exclude.clone(),
        })
    }

    /// Checks everything that extraction relies on.
    ///
    /// # Errors
    /// Columns that do not fit the schema.
    pub fn check(&self, schema: &Schema) -> Result<(), RequestError> {
        for (entity, columns, rows) in [
            (Entity::User, &self.user, 1),
            (Entity::Context, &self.context, 1),
            (Entity::Candidate, &self.fields, self.candidates.len()),
        ] {
            let fields = schema.fields(entity);
            if columns.len() != fields.len() {
                let source = ColumnError::Rows { got: columns.len(), expected: fields.len() };
                return Err(RequestError { entity: entity.name(), index: fields.len(), source });
            }
            for (index, (column, field)) in columns.iter().zip(fields).enumerate() {
                column.check(field.kind, rows).map_err(|source| RequestError {
                    entity: entity.name(),
                    index,
                    source,
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
