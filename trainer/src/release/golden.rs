//! Golden requests: made up from the schema and the catalogue, never from a user.
//!
//! Every edge ranks them before it serves a bundle and must get the very same bytes.
//! A model that has no number for one of their candidates is not bundled.

use edge_runtime::golden::Golden;
use edge_runtime::host::{Guest, HostError};
use shared_features::column::{Categories, Column, Kind, TagSets, Vectors};
use shared_features::encoder::Encoder;
use shared_features::history::{Entry, HistoryView};
use shared_features::numeric::MISSING;
use shared_features::random::Random;
use shared_features::request::Request;
use shared_features::schema::Field;
use shared_features::tables::Tables;
use shared_features::wire::Call;

/// How many requests.
const REQUESTS: u64 = 8;
/// Candidates of each.
const CANDIDATES: usize = 24;
/// Most missing numbers of a vector that an error names.
const NAMED: usize = 3;

/// Why there are no answers to golden requests.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The engine fails.
    #[error("the engine fails on the golden requests: {0}")]
    Host(#[from] HostError),
    /// A score that ranks nothing.
    #[error("the model's score of candidate `{item}` of golden request `{request}` is {score}{because}")]
    Score {
        /// The request.
        request: String,
        /// The candidate.
        item: String,
        /// `NaN` or `infinite`.
        score: &'static str,
        /// What may be the cause, and what to do.
        because: String,
    },
}

/// Asks a guest and keeps its answers, after every candidate of every request was given a finite score.
///
/// # Errors
/// The engine fails, or the first score that is no finite number.
pub fn record(guest: &Guest, encoder: &Encoder, call: Call) -> Result<Golden, GoldenError> {
    for (extracted, (_, request)) in guest.extract(&call)?.iter().zip(&call.requests) {
        let vectors = guest.encode(&extracted.values)?;
        let width = vectors.len() / extracted.items.len().max(1);
        for (row, score) in guest.score(&vectors)?.into_iter().enumerate() {
            // The engine makes infinities the largest finite numbers.
            let score = match score {
                _ if score.is_nan() => "NaN",
                f32::MAX | f32::MIN => "infinite",
                _ => continue,
            };
            let because = because(encoder, &vectors[row * width..(row + 1) * width]);
            return Err(GoldenError::Score {
                request: request.id.clone(),
                item: extracted.items[row].clone(),
                score,
                because,
            });
        }
    }
    Ok(Golden::record(guest, call)?)
}

/// The numbers of a vector that are missing, which not every model can bear.
fn because(encoder: &Encoder, vector: &[f32]) -> String {
    let slots = encoder.slots();
    let missing: Vec<&str> =
        slots.iter().zip(vector).filter(|(_, x)| x.is_nan()).map(|(slot, _)| slot.name.as_str()).collect();
    if missing.is_empty() {
        return "; look for a division by 0, a logarithm or an overflow in it".into();
    }
    let more = if missing.len() > NAMED { ", .." } else { "" };
    let named = missing[..missing.len().min(NAMED)].join("`, `");
    format!(
        ", where `{named}`{more} is missing: add `impute` to what may be missing and train again, or train a model that takes NaN"
    )
}

/// The same requests for the same encoder and tables.
pub fn requests(encoder: &Encoder, tables: &Tables) -> Call {
    let mut random = Random::keyed("golden", "requests");
    let now = tables.valid_from.max(0).saturating_add(1);
    let mut call = Call { histories: Vec::new(), requests: Vec::new(), salt: "golden".into() };
    for k in 0..REQUESTS {
        let candidates = candidates(tables, &mut random);
        // Every other user is new.
        let history = if k % 2 == 0 { HistoryView::default() } else { history(&candidates, now, &mut random) };
        call.histories.push(history);
        let rows = candidates.len();
        let request = Request {
            id: format!("golden-{k}"),
            ts: now.saturating_add((k as i64) * 3_600_000),
            offset_min: (random.below(25) as i16 - 12) * 60,
            user: columns(&encoder.schema.user, 1, now, &mut random),
            context: columns(&encoder.schema.context, 1, now, &mut random),
            fields: columns(&encoder.schema.candidate, rows, now, &mut random),
            exclude: candidates.iter().take(usize::from(k % 3 == 0)).cloned().collect(),
            candidates,
        };
        call.requests.push((k as u32, request));
    }
    call
}

fn candidates(tables: &Tables, random: &mut Random) -> Vec<String> {
    let mut items: Vec<String> = (0..CANDIDATES)
        .filter_map(|_| tables.items.get(random.below(tables.items.len() as u64) as usize).cloned())
        .collect();
    items.push("golden-unknown-item".into());
    items.sort();
    items.dedup();
    items
}

fn history(items: &[String], now: i64, random: &mut Random) -> HistoryView {
    let actions = ["play", "click", "skip", "like", "hide"];
    let mut entries: Vec<Entry> = (0..40u64)
        .map(|k| Entry {
            ts: now - 1 - random.below(60 * 86_400_000) as i64,
            id: format!("golden-{k}"),
            item: items[random.below(items.len() as u64) as usize].clone(),
            action: actions[random.below(actions.len() as u64) as usize].into(),
            offset_min: 0,
            dwell_ms: random.below(3_600_000) as f32,
            completion: if k % 5 == 0 { MISSING } else { random.next_f64() as f32 },
        })
        .collect();
    entries.sort_by(|a, b| (a.ts, &a.id).cmp(&(b.ts, &b.id)));
    HistoryView::of(&entries)
}

fn columns(fields: &[Field], rows: usize, now: i64, random: &mut Random) -> Vec<Column> {
    fields.iter().map(|field| column(field.kind, rows, now, random)).collect()
}

fn column(kind: Kind, rows: usize, now: i64, random: &mut Random) -> Column {
    let names = ["a", "b", "c", "d"];
    let mut pick = || if random.below(5) == 0 { None } else { Some(random.next_u64()) };
    let drawn: Vec<Option<u64>> = (0..rows).map(|_| pick()).collect();
    match kind {
        Kind::Number => Column::Number(drawn.iter().map(|d| d.map_or(MISSING, |d| (d % 1000) as f32 / 10.0)).collect()),
        Kind::Boolean => Column::Number(drawn.iter().map(|d| d.map_or(MISSING, |d| (d % 2) as f32)).collect()),
        Kind::Timestamp => Column::Timestamp(
            drawn
                .iter()
                .map(|d| d.map_or(shared_features::column::NO_TIME, |d| now - (d % 1_000_000_000) as i64))
                .collect(),
        ),
        Kind::Category | Kind::Text => {
            let cells: Vec<Option<&str>> = drawn.iter().map(|d| d.map(|d| names[(d % 4) as usize])).collect();
            Column::Category(Categories::collect(&cells))
        }
        Kind::Tags => {
            let cells: Vec<Vec<&str>> = drawn
                .iter()
                .map(|d| {
                    names
                        .iter()
                        .enumerate()
                        .filter(|(i, _)| d.is_some_and(|d| d >> i & 1 == 1))
                        .map(|(_, n)| *n)
                        .collect()
                })
                .collect();
            Column::Tags(TagSets::collect(&cells))
        }
        Kind::Vector(width) => {
            let data = drawn
                .iter()
                .flat_map(|d| {
                    (0..width).map(move |i| d.map_or(MISSING, |d| ((d >> (i % 32)) % 100) as f32 / 50.0 - 1.0))
                })
                .collect();
            Column::Vector(Vectors { width, data })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_at_the_ends_of_time_have_golden_requests_too() {
        let spec = crate::spec::TrainerSpec::parse(include_str!("../../specs/podcasts.toml")).unwrap();
        let encoder = spec.features.unfitted;
        for valid_from in [i64::MIN, 0, i64::MAX] {
            let tables = Tables { valid_from, ..Tables::empty(&encoder.schema, &encoder.statistics) };
            let call = requests(&encoder, &tables);
            assert_eq!(call.requests.len() as u64, REQUESTS);
            assert_eq!(call.check(&encoder.schema), Ok(()));
        }
    }
}
