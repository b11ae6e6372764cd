//! `bm25`: how well a text answers a query, by Okapi BM25 among the request's own candidates.
//!
//! BM25 weighs a term by how few documents have it, and an engine has no index to count them in.
//! The documents are therefore the texts of the request's candidates, those without a text left out.
//! That keeps the value a pure function of request and tables, costs no more than the texts that are scored anyway,
//! works for texts that come with the candidate, and puts no word of anybody's text into a bundle.
//! Counting in the whole table would read up to 8 MB of text for every request.
//! The price: a value tells candidates of one request apart, and says less across requests;
//! a term that all candidates have weighs next to nothing, which `term_match` beside it makes up for.

use serde::{Deserialize, Serialize};

use super::terms::{self, Texts};
use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::scene::Scene;
use crate::schema::{Entity, FieldRef};
use crate::{numeric, order};

/// BM25, at least 0; 0 where no term of the query is in the text, missing where either is missing or the query
/// has no terms.
///
/// The sum over the query's terms, in their order (one that stands twice counts twice), of
/// `ln(1 + (N - n + 0.5) / (n + 0.5)) * f * (k1 + 1) / (f + k1 * (1 - b + b * length / mean_length))`,
/// with `N` texts, `n` of them with the term, and the term `f` times in this one; lengths are in terms.
///
/// # Source
/// Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, equation 3.15,
/// with the logarithm's `1 +` as in Lucene, so that no term weighs less than nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bm25 {
    query: FieldRef,
    text: FieldRef,
    #[serde(default = "default_k1")]
    k1: f64,
    #[serde(default = "default_b")]
    b: f64,
}

impl Read for Bm25 {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        terms::check(declared, &self.query)?;
        terms::check(declared, &self.text)?;
        if !matches!(self.text.entity, Entity::Item | Entity::Candidate) {
            return Err(format!("`{}` is one text for all candidates; write an item or candidate field", self.text));
        }
        if !(self.k1 >= 0.0 && self.k1.is_finite() && (0.0..=1.0).contains(&self.b)) {
            return Err("`k1` must be at least 0, and `b` within 0 to 1".into());
        }
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let (queries, texts) = (Texts::new(&scene.field(&self.query)), Texts::new(&scene.field(&self.text)));
        let sorted = texts.sorted();
        let (mut documents, mut length) = (0u32, 0.0);
        let mut each_text_once: Vec<&str> = Vec::new();
        for text in texts.rows.iter().flatten().map(|&text| &sorted[text]) {
            documents += 1;
            length += text.len() as f64;
            each_text_once.extend(text.chunk_by(|a, b| a == b).map(|same| same[0]));
        }
        let each_text_once = order::sorted_texts(&each_text_once);
        let occurrences = |sorted: &[&str], term: &str| {
            sorted.partition_point(|t| *t <= term) - sorted.partition_point(|t| *t < term)
        };
        let mean_length = length / f64::from(documents);
        let score = |query: &[String], text: &[&str]| {
            let norm = self.k1 * (1.0 - self.b + self.b * text.len() as f64 / mean_length);
            let mut sum = 0.0;
            for term in query.iter().map(String::as_str) {
                let count = occurrences(text, term) as f64;
                if count == 0.0 {
                    continue;
                }
                let with_term = occurrences(&each_text_once, term) as f64;
                let rarity = libm::log1p((f64::from(documents) - with_term + 0.5) / (with_term + 0.5));
                sum += rarity * (count * (self.k1 + 1.0) / (count + norm));
            }
            sum
        };
        let of_row = |(query, text): (&Option<usize>, &Option<usize>)| match (query, text) {
            (Some(query), Some(text)) if !queries.terms[*query].is_empty() => {
                numeric::store(score(&queries.terms[*query], &sorted[*text]))
            }
            _ => numeric::MISSING,
        };
        Column::Number(queries.rows.iter().zip(&texts.rows).map(of_row).collect())
    }
}

fn default_k1() -> f64 {
    1.2
}

fn default_b() -> f64 {
    0.75
}
