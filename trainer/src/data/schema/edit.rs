//! Changes a schema's file in place: comments and order stay.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use super::{Schema, SchemaError, write_whole};

/// A schema's file that is being changed.
#[derive(Debug, Clone)]
pub struct Edited {
    path: PathBuf,
    document: DocumentMut,
}

/// A change that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Not `PATH=VALUE`.
    #[error("`{change}` is no change; write PATH=VALUE, PATH+=VALUE to add to a list, or PATH= to remove")]
    Form {
        /// What was asked for.
        change: String,
    },
    /// A path that is none.
    #[error("`{path}` is no path: {source}")]
    Path {
        /// The path.
        path: String,
        /// Why.
        source: Box<toml_edit::TomlError>,
    },
    /// A path through something that has no parts.
    #[error("`{at}` in `{path}` has no parts")]
    NoTable {
        /// The path.
        path: String,
        /// Where it fails.
        at: String,
    },
    /// Something to remove that is not there.
    #[error("`{path}` is not there")]
    NotThere {
        /// The path.
        path: String,
    },
    /// Something to add to that is no list.
    #[error("`{path}` is no list")]
    NoList {
        /// The path.
        path: String,
    },
    /// The changed file would be no schema.
    #[error("after `{change}`: {source}")]
    Refused {
        /// What was asked for.
        change: String,
        /// Why.
        source: Box<SchemaError>,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Edited {
    /// Opens a schema in TOML.
    ///
    /// # Errors
    /// A file that is none.
    pub fn open(path: &Path) -> Result<Edited, EditError> {
        let text = std::fs::read_to_string(path).map_err(|source| SchemaError::Io { path: path.into(), source })?;
        let document: DocumentMut = text.parse().map_err(|source: toml_edit::TomlError| SchemaError::Toml {
            path: path.into(),
            source: Box::new(source.into()),
        })?;
        let edited = Edited { path: path.into(), document };
        edited.schema()?;
        Ok(edited)
    }

    /// Makes a change: `feature.NAME.presence.min_fraction=0.9`; `+=` adds to a list and nothing after `=` removes.
    ///
    /// What is no TOML value is a string.
    ///
    /// # Errors
    /// A change that cannot be made, or after which the file would be no schema.
    pub fn change(&mut self, change: &str) -> Result<(), EditError> {
        let form = || EditError::Form { change: change.into() };
        let (path, value) = change.split_once('=').ok_or_else(form)?;
        let (path, adds) = match path.strip_suffix('+') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let keys =
            Key::parse(path).map_err(|source| EditError::Path { path: path.into(), source: Box::new(source) })?;
        let (last, parents) = keys.split_last().ok_or_else(form)?;
        let before = self.document.clone();
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for (depth, key) in parents.iter().enumerate() {
            // The file has tables for features and domains and writes what is in them inline.
            let new = match depth {
                0 | 1 => {
                    let mut table = Table::new();
                    table.set_implicit(depth == 0);
                    Item::Table(table)
                }
                _ => Item::Value(InlineTable::new().into()),
            };
            table = table
                .entry(key.get())
                .or_insert(new)
                .as_table_like_mut()
                .ok_or_else(|| EditError::NoTable { path: path.into(), at: key.get().into() })?;
        }
        let parsed = || value.trim().parse::<Value>().unwrap_or_else(|_| Value::from(value));
        if value.is_empty() {
            table.remove(last.get()).ok_or_else(|| EditError::NotThere { path: path.into() })?;
        } else if adds {
            let list = table.entry(last.get()).or_insert(Item::Value(toml_edit::Array::new().into()));
            let list = list.as_array_mut().ok_or_else(|| EditError::NoList { path: path.into() })?;
            // In the form of the value before it, such as on a line of its own.
            let prefix = list.iter().last().and_then(|v| v.decor().prefix()).cloned();
            list.push(parsed());
            let place = list.len() - 1;
            if let (Some(prefix), Some(value)) = (prefix.filter(|_| place > 1), list.get_mut(place)) {
                value.decor_mut().set_prefix(prefix);
            }
        } else {
            match table.get_mut(last.get()).and_then(Item::as_value_mut) {
                // What is around the old value, such as a comment, stays.
                Some(old) => {
                    let decor = old.decor().clone();
                    *old = parsed();
                    *old.decor_mut() = decor;
                }
                None => {
                    table.insert(last.get(), Item::Value(parsed()));
                }
            }
        }
        if parents.is_empty() && !before.contains_key(last.get()) {
            keep_heading(&mut self.document, last.get());
        }
        if let Err(source) = self.schema() {
            self.document = before;
            return Err(EditError::Refused { change: change.into(), source: Box::new(source) });
        }
        Ok(())
    }

    /// The schema as it would be read from the file.
    ///
    /// # Errors
    /// It is none.
    pub fn schema(&self) -> Result<Schema, SchemaError> {
        let path = || self.path.clone();
        let schema: Schema = toml_edit::de::from_str(&self.document.to_string())
            .map_err(|source| SchemaError::Toml { path: path(), source: Box::new(source) })?;
        schema.check().map_err(|source| SchemaError::Contradiction { path: path(), source })?;
        Ok(schema)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self) -> Result<(), EditError> {
        write_whole(&self.path, self.document.to_string().as_bytes())
            .map_err(|source| SchemaError::Io { path: self.path.clone(), source })?;
        Ok(())
    }
}

/// Keeps a comment at the top, set off by an empty line, above a new first setting, which TOML puts before all tables.
fn keep_heading(document: &mut DocumentMut, key: &str) {
    let root = document.as_table_mut();
    if root.iter().any(|(name, item)| name != key && item.is_value()) {
        return;
    }
    let Some(first) = first_table(root) else { return };
    let prefix = first.decor().prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
    let (heading, rest) = match prefix.rfind("\n\n") {
        Some(end) => (&prefix[..end + 2], &prefix[end + 2..]),
        None => ("", prefix.trim_start_matches('\n')),
    };
    first.decor_mut().set_prefix(format!("\n{rest}"));
    if let Some(mut key) = root.key_mut(key) {
        key.leaf_decor_mut().set_prefix(heading);
    }
}

/// The table whose header is the first in the file.
fn first_table(table: &mut Table) -> Option<&mut Table> {
    let (_, item) = table.iter_mut().find(|(_, item)| item.is_table())?;
    let inner = item.as_table_mut()?;
    if inner.is_implicit() && inner.iter().any(|(_, item)| item.is_table()) { first_table(inner) } else { Some(inner) }
}

/// A table a feature and a domain, inline what is in them, and a line a string of a domain.
pub(super) fn lay_out(document: &mut DocumentMut) {
    for (group, item) in document.as_table_mut().iter_mut() {
        let group = group.get().to_owned();
        let Some(mut table) = take_table(item) else { continue };
        if group == "feature" || group == "domain" {
            table.set_implicit(true);
            for (_, inner) in table.iter_mut() {
                if let Some(inner_table) = take_table(inner) {
                    *inner = Item::Table(inner_table);
                }
                if let Some(values) = inner.get_mut("values").filter(|_| group == "domain").and_then(Item::as_array_mut)
                {
                    values.iter_mut().for_each(|value| value.decor_mut().set_prefix("\n    "));
                    values.set_trailing("\n");
                    values.set_trailing_comma(true);
                }
            }
        }
        *item = Item::Table(table);
    }
}

/// The table that an item is, inline or not.
fn take_table(item: &mut Item) -> Option<Table> {
    match std::mem::take(item) {
        Item::Table(table) => Some(table),
        Item::Value(Value::InlineTable(table)) => {
            let mut table = table.into_table();
            table.fmt();
            Some(table)
        }
        other => {
            *item = other;
            None
        }
    }
}
