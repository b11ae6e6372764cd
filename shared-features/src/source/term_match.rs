//! `term_match`: the share of a query's distinct terms that occur in a text.

use serde::{Deserialize, Serialize};

use super::terms::{self, Texts};
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::numeric;
use crate::scene::Scene;
use crate::schema::FieldRef;

/// Share of the query's terms, 0 to 1; missing where either is, and where the query has no terms.
///
/// Both sides may be text, a category or tags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermMatch {
    query: FieldRef,
    text: FieldRef,
}

impl Read for TermMatch {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        terms::check(declared, &self.query)?;
        terms::check(declared, &self.text)?;
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let (queries, texts) = (Texts::new(&scene.field(&self.query)), Texts::new(&scene.field(&self.text)));
        let (mut wanted, there) = (queries.sorted(), texts.sorted());
        wanted.iter_mut().for_each(Vec::dedup);
        let share = |(query, text): (&Option<usize>, &Option<usize>)| {
            let (Some(query), Some(text)) = (query, text) else { return numeric::MISSING };
            let (query, text) = (&wanted[*query], &there[*text]);
            // Without terms 0 / 0, which is missing.
            let found = query.iter().filter(|term| text.binary_search(term).is_ok()).count();
            numeric::store(found as f64 / query.len() as f64)
        };
        Column::Number(queries.rows.iter().zip(&texts.rows).map(share).collect())
    }
}
