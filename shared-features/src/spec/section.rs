//! A table of a TOML file that is read key by key, so that every error has its line and nothing is left unread.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Why a spec is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SpecError {
    /// From 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub reason: String,
}

/// A table; keys leave it as they are read.
pub struct Section<'i> {
    text: &'i str,
    name: String,
    span: Range<usize>,
    table: DeTable<'i>,
    seen: Vec<(String, Range<usize>)>,
}

impl<'i> Section<'i> {
    /// The root table of a file.
    ///
    /// # Errors
    /// A text that is not TOML.
    pub fn parse(text: &'i str) -> Result<Section<'i>, SpecError> {
        let table = DeTable::parse(text).map_err(|e| toml_error(text, &e))?;
        Ok(Section { text, name: String::new(), span: 0..0, table: table.into_inner(), seen: Vec::new() })
    }

    /// Reads a key; `None` where it is absent.
    ///
    /// # Errors
    /// A value of another type.
    pub fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, SpecError> {
        match self.remove(key) {
            None => Ok(None),
            Some(value) => T::deserialize(ValueDeserializer::from(value)).map(Some).map_err(|e| self.toml_error(&e)),
        }
    }

    /// Reads a key that must be there.
    ///
    /// # Errors
    /// It is absent, or of another type.
    pub fn require<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, SpecError> {
        let missing = self.error(self.span.clone(), format!("{} has no `{key}`; add it", self.title()));
        self.take(key)?.ok_or(missing)
    }

    /// A sub-table; `None` where it is absent.
    ///
    /// # Errors
    /// The key is not a table.
    pub fn section(&mut self, key: &str) -> Result<Option<Section<'i>>, SpecError> {
        self.remove(key).map(|value| self.child(key, value)).transpose()
    }

    /// An array of tables; empty where it is absent.
    ///
    /// # Errors
    /// The key is not an array of tables.
    pub fn sections(&mut self, key: &str) -> Result<Vec<Section<'i>>, SpecError> {
        let Some(value) = self.remove(key) else { return Ok(Vec::new()) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(values) => values.into_iter().map(|value| self.child(key, value)).collect(),
            _ => Err(self.error(span, format!("`{key}` must be an array of tables, [[{key}]]"))),
        }
    }

    /// An array of names and of tables with one key, `["log1p", { clip = { max = 9 } }]`: name, settings and place.
    ///
    /// # Errors
    /// An entry of another form.
    pub(super) fn steps(&mut self, key: &str) -> Result<Vec<(String, ValueDeserializer<'i>, Range<usize>)>, SpecError> {
        let Some(value) = self.remove(key) else { return Ok(Vec::new()) };
        let span = value.span();
        let DeValue::Array(values) = value.into_inner() else {
            return Err(self.error(span, format!("`{key}` must be an array")));
        };
        let mut steps = Vec::new();
        for value in values {
            let span = value.span();
            let (name, settings) = match value.into_inner() {
                DeValue::String(name) => {
                    (name.into_owned(), Spanned::new(span.clone(), DeValue::Table(DeTable::new())))
                }
                DeValue::Table(table) if table.len() == 1 => {
                    let Some((name, settings)) = table.into_iter().next() else { continue };
                    (name.into_inner().into_owned(), settings)
                }
                _ => return Err(self.error(span, format!("an entry of `{key}` is a name or {{ name = {{ .. }} }}"))),
            };
            steps.push((name, ValueDeserializer::from(settings), span));
        }
        Ok(steps)
    }

    /// Everything that was not read, for one deserializer.
    pub(super) fn rest(&mut self) -> ValueDeserializer<'i> {
        let table = std::mem::take(&mut self.table);
        ValueDeserializer::from(Spanned::new(self.span.clone(), DeValue::Table(table)))
    }

    /// The keys that were not read, with their places, in the order of the file.
    pub fn keys(&self) -> Vec<(String, Range<usize>)> {
        let mut keys: Vec<_> = self.table.keys().map(|k| (k.get_ref().to_string(), k.span())).collect();
        keys.sort_by_key(|(_, span)| span.start);
        keys
    }

    /// Refuses keys that nobody read.
    ///
    /// # Errors
    /// The first unknown key.
    pub fn finish(&self) -> Result<(), SpecError> {
        match self.keys().first() {
            None => Ok(()),
            Some((key, span)) => {
                Err(self.error(span.clone(), format!("{} has an unknown key `{key}`; remove it", self.title())))
            }
        }
    }

    /// Where this table stands.
    pub fn whole(&self) -> Range<usize> {
        self.span.clone()
    }

    /// An error at a place.
    pub fn error(&self, span: Range<usize>, reason: String) -> SpecError {
        SpecError { line: line(self.text, span.start), reason }
    }

    /// An error at a key that was read.
    pub fn error_at_key(&self, key: &str, reason: String) -> SpecError {
        let span = self.seen.iter().find(|(k, _)| k == key).map_or(self.span.clone(), |(_, span)| span.clone());
        self.error(span, reason)
    }

    pub(super) fn toml_error(&self, error: &toml::de::Error) -> SpecError {
        match error.span() {
            Some(_) => toml_error(self.text, error),
            None => self.error(self.span.clone(), error.message().to_owned()),
        }
    }

    fn remove(&mut self, key: &str) -> Option<Spanned<DeValue<'i>>> {
        let (name, value) = self.table.remove_entry(key)?;
        self.seen.push((key.to_owned(), name.span()));
        Some(value)
    }

    fn child(&self, key: &str, value: Spanned<DeValue<'i>>) -> Result<Section<'i>, SpecError> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => {
                Ok(Section { text: self.text, name: key.to_owned(), span, table, seen: Vec::new() })
            }
            _ => Err(self.error(span, format!("`{key}` must be a table"))),
        }
    }

    fn title(&self) -> Cow<'static, str> {
        if self.name.is_empty() { "the spec".into() } else { format!("[{}]", self.name).into() }
    }
}

fn toml_error(text: &str, error: &toml::de::Error) -> SpecError {
    SpecError { line: line(text, error.span().map_or(0, |s| s.start)), reason: error.message().to_owned() }
}

fn line(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}
