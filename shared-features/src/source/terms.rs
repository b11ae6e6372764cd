//! Terms: how the sources that read text cut it into words.
//!
//! A term is a longest run of alphanumeric characters (`char::is_alphanumeric`), lower-cased character by
//! character (`char::to_lowercase`).
//! Both are tables of the pinned toolchain's standard library, so every host has the same ones.
//! It is cut before it is lower-cased: lower-casing may add a combining mark, which would cut a word in two.
//!
//! Nothing is stemmed, left out or normalised, and scripts without spaces are not segmented.
//! A combining mark ends a term, so text should be sent composed (NFC).

use super::Declared;
use crate::column::{Column, Kind, NO_CODE};
use crate::order;
use crate::schema::FieldRef;

/// The texts of a column; equal ones are cut once.
pub(super) struct Texts {
    /// The terms of each text, in its order.
    pub(super) terms: Vec<Vec<String>>,
    /// For each row, its place in `terms`; `None` where missing.
    pub(super) rows: Vec<Option<usize>>,
}

impl Texts {
    /// Reads a column of texts or categories, or of tags, where a row has the terms of all its tags.
    pub(super) fn new(column: &Column) -> Texts {
        match column {
            Column::Category(c) => Texts {
                terms: c.names.iter().map(|name| terms(name)).collect(),
                rows: c.codes.iter().map(|&code| (code != NO_CODE).then_some(code as usize)).collect(),
            },
            Column::Tags(t) => {
                let names: Vec<Vec<String>> = t.names.iter().map(|name| terms(name)).collect();
                let of_row =
                    |row| t.codes_of(row).iter().flat_map(|&code| names[code as usize].iter().cloned()).collect();
                let rows = (0..column.rows()).map(|row| (!t.codes_of(row).is_empty()).then_some(row)).collect();
                Texts { terms: (0..column.rows()).map(of_row).collect(), rows }
            }
            _ => Texts { terms: Vec::new(), rows: vec![None; column.rows()] },
        }
    }

    /// The terms of each text, sorted; a term stands as often as in the text.
    pub(super) fn sorted(&self) -> Vec<Vec<&str>> {
        let unsorted = self.terms.iter().map(|terms| terms.iter().map(String::as_str).collect::<Vec<&str>>());
        unsorted.map(|terms| order::sorted_texts(&terms)).collect()
    }
}

/// The terms of a text, in its order.
pub(super) fn terms(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|term| !term.is_empty())
        .map(|term| term.chars().flat_map(char::to_lowercase).collect())
        .collect()
}

/// Checks that a field has terms.
///
/// # Errors
/// It is not declared, or neither text nor a category nor tags.
pub(super) fn check(declared: &Declared, field: &FieldRef) -> Result<(), String> {
    match declared.field(field)? {
        Kind::Text | Kind::Category | Kind::Tags => Ok(()),
        kind => Err(format!("`{field}` is a {kind}; only text, categories and tags have terms")),
    }
}
