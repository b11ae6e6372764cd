//! Events as Parquet columns: one flat table for all kinds, with nested parts as JSON text.
//!
//! A column is null where the kind has no such part, or the part is empty.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int16Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int16Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use serde::{Serialize, de::DeserializeOwned};
use shared_features::event::{Event, ImpressionEvent, InteractionEvent, ItemEvent, RequestEvent, UserEvent};

use super::Relevance;

/// One event, flat.
#[derive(Default)]
struct Row<'a> {
    event: &'static str,
    id: &'a str,
    ts: i64,
    offset_min: Option<i16>,
    user: Option<&'a str>,
    item: Option<&'a str>,
    action: Option<&'a str>,
    surface: Option<&'a str>,
    request: Option<&'a str>,
    dwell_ms: Option<f64>,
    completion: Option<f64>,
    attributes: Option<String>,
    context: Option<String>,
    candidates: Option<String>,
    exclude: Option<String>,
    shown: Option<String>,
}

impl<'a> From<&'a Event> for Row<'a> {
    fn from(event: &'a Event) -> Row<'a> {
        match event {
            Event::Item(e) => Row {
                event: "item",
                id: &e.id,
                ts: e.ts,
                attributes: json(&e.attributes, e.attributes.is_empty()),
                ..Row::default()
            },
            Event::User(e) => Row {
                event: "user",
                id: &e.id,
                ts: e.ts,
                attributes: json(&e.attributes, e.attributes.is_empty()),
                ..Row::default()
            },
            Event::Request(e) => Row {
                event: "request",
                id: &e.id,
                ts: e.ts,
                offset_min: Some(e.offset_min),
                user: Some(&e.user),
                surface: Some(&e.surface),
                attributes: json(&e.attributes, e.attributes.is_empty()),
                context: json(&e.context, e.context.is_empty()),
                candidates: json(&e.candidates, e.candidates.is_empty()),
                exclude: json(&e.exclude, e.exclude.is_empty()),
                ..Row::default()
            },
            Event::Impression(e) => Row {
                event: "impression",
                id: &e.id,
                ts: e.ts,
                request: Some(&e.request),
                shown: json(&e.shown, e.shown.is_empty()),
                ..Row::default()
            },
            Event::Interaction(e) => Row {
                event: "interaction",
                id: &e.id,
                ts: e.ts,
                offset_min: e.offset_min,
                user: Some(&e.user),
                item: Some(&e.item),
                action: Some(&e.action),
                surface: e.surface.as_deref(),
                request: e.request.as_deref(),
                dwell_ms: e.dwell_ms,
                completion: e.completion,
                ..Row::default()
            },
        }
    }
}

/// The rows of these events.
pub(crate) fn encode(events: &[Event]) -> RecordBatch {
    let rows: Vec<Row> = events.iter().map(Row::from).collect();
    let columns: [(&str, ArrayRef, bool); 16] = [
        ("event", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.event))), false),
        ("id", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.id))), false),
        ("ts", Arc::new(rows.iter().map(|r| Some(r.ts)).collect::<Int64Array>()), false),
        ("offset_min", Arc::new(rows.iter().map(|r| r.offset_min).collect::<Int16Array>()), true),
        ("user", Arc::new(rows.iter().map(|r| r.user).collect::<StringArray>()), true),
        ("item", Arc::new(rows.iter().map(|r| r.item).collect::<StringArray>()), true),
        ("action", Arc::new(rows.iter().map(|r| r.action).collect::<StringArray>()), true),
        ("surface", Arc::new(rows.iter().map(|r| r.surface).collect::<StringArray>()), true),
        ("request", Arc::new(rows.iter().map(|r| r.request).collect::<StringArray>()), true),
        ("dwell_ms", Arc::new(rows.iter().map(|r| r.dwell_ms).collect::<Float64Array>()), true),
        ("completion", Arc::new(rows.iter().map(|r| r.completion).collect::<Float64Array>()), true),
        ("attributes", Arc::new(rows.iter().map(|r| r.attributes.as_deref()).collect::<StringArray>()), true),
        ("context", Arc::new(rows.iter().map(|r| r.context.as_deref()).collect::<StringArray>()), true),
        ("candidates", Arc::new(rows.iter().map(|r| r.candidates.as_deref()).collect::<StringArray>()), true),
        ("exclude", Arc::new(rows.iter().map(|r| r.exclude.as_deref()).collect::<StringArray>()), true),
        ("shown", Arc::new(rows.iter().map(|r| r.shown.as_deref()).collect::<StringArray>()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns have a row an event")
}

/// The events of rows, each with the reason where it is refused.
///
/// # Errors
/// A column that is missing or of another type.
pub(crate) fn decode(batch: &RecordBatch) -> Result<impl Iterator<Item = Result<Event, String>>, String> {
    let columns = Columns {
        event: texts(batch, "event")?,
        id: texts(batch, "id")?,
        ts: numbers::<Int64Type>(batch, "ts")?,
        offset_min: numbers::<Int16Type>(batch, "offset_min")?,
        user: texts(batch, "user")?,
        item: texts(batch, "item")?,
        action: texts(batch, "action")?,
        surface: texts(batch, "surface")?,
        request: texts(batch, "request")?,
        dwell_ms: numbers::<Float64Type>(batch, "dwell_ms")?,
        completion: numbers::<Float64Type>(batch, "completion")?,
        attributes: texts(batch, "attributes")?,
        context: texts(batch, "context")?,
        candidates: texts(batch, "candidates")?,
        exclude: texts(batch, "exclude")?,
        shown: texts(batch, "shown")?,
    };
    Ok((0..batch.num_rows()).map(move |row| columns.event_of(row)))
}

/// The columns of a batch.
struct Columns<'b> {
    event: &'b StringArray,
    id: &'b StringArray,
    ts: &'b Int64Array,
    offset_min: &'b Int16Array,
    user: &'b StringArray,
    item: &'b StringArray,
    action: &'b StringArray,
    surface: &'b StringArray,
    request: &'b StringArray,
    dwell_ms: &'b Float64Array,
    completion: &'b Float64Array,
    attributes: &'b StringArray,
    context: &'b StringArray,
    candidates: &'b StringArray,
    exclude: &'b StringArray,
    shown: &'b StringArray,
}

impl Columns<'_> {
    fn event_of(&self, row: usize) -> Result<Event, String> {
        let id = required(self.id, row, "id")?;
        let ts = value(self.ts, row).ok_or("`ts` is null")?;
        Ok(match text(self.event, row) {
            Some("item") => Event::Item(ItemEvent { id, ts, attributes: parse(self.attributes, row, "attributes")? }),
            Some("user") => Event::User(UserEvent { id, ts, attributes: parse(self.attributes, row, "attributes")? }),
            Some("request") => Event::Request(RequestEvent {
                id,
                ts,
                offset_min: value(self.offset_min, row).unwrap_or(0),
                user: required(self.user, row, "user")?,
                surface: required(self.surface, row, "surface")?,
                attributes: parse(self.attributes, row, "attributes")?,
                context: parse(self.context, row, "context")?,
                candidates: parse(self.candidates, row, "candidates")?,
                exclude: parse(self.exclude, row, "exclude")?,
            }),
            Some("impression") => Event::Impression(ImpressionEvent {
                id,
                ts,
                request: required(self.request, row, "request")?,
                shown: parse(self.shown, row, "shown")?,
            }),
            Some("interaction") => Event::Interaction(InteractionEvent {
                id,
                ts,
                offset_min: value(self.offset_min, row),
                user: required(self.user, row, "user")?,
                item: required(self.item, row, "item")?,
                action: required(self.action, row, "action")?,
                surface: text(self.surface, row).map(str::to_owned),
                request: text(self.request, row).map(str::to_owned),
                dwell_ms: value(self.dwell_ms, row),
                completion: value(self.completion, row),
            }),
            other => {
                return Err(format!("`event` is {other:?}; events are item, user, request, impression, interaction"));
            }
        })
    }
}

/// The rows of true relevance.
pub(super) fn encode_relevance(rows: &[Relevance]) -> RecordBatch {
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("request", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.request))), false),
        ("item", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.item))), false),
        ("relevance", Arc::new(rows.iter().map(|r| Some(r.relevance)).collect::<Float64Array>()), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns have a row an entry")
}

/// Reads rows of true relevance.
///
/// # Errors
/// A column that is missing or of another type, or a null.
pub(super) fn decode_relevance(batch: &RecordBatch, into: &mut Vec<Relevance>) -> Result<(), String> {
    let (request, item) = (texts(batch, "request")?, texts(batch, "item")?);
    let relevance = numbers::<Float64Type>(batch, "relevance")?;
    for row in 0..batch.num_rows() {
        into.push(Relevance {
            request: required(request, row, "request")?,
            item: required(item, row, "item")?,
            relevance: value(relevance, row).ok_or("`relevance` is null")?,
        });
    }
    Ok(())
}

fn json<T: Serialize>(value: &T, empty: bool) -> Option<String> {
    (!empty).then(|| serde_json::to_string(value).expect("attributes and lists are plain data"))
}

fn parse<T: DeserializeOwned + Default>(column: &StringArray, row: usize, name: &str) -> Result<T, String> {
    match text(column, row) {
        None => Ok(T::default()),
        Some(json) => serde_json::from_str(json).map_err(|e| format!("`{name}`: {e}")),
    }
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray, String> {
    let column = batch.column_by_name(name).and_then(|c| c.as_string_opt());
    column.ok_or_else(|| format!("there is no text column `{name}`"))
}

fn numbers<'b, T: ArrowPrimitiveType>(batch: &'b RecordBatch, name: &str) -> Result<&'b PrimitiveArray<T>, String> {
    let column = batch.column_by_name(name).and_then(|c| c.as_primitive_opt());
    column.ok_or_else(|| format!("there is no column `{name}` of type {}", T::DATA_TYPE))
}

fn text(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

fn required(column: &StringArray, row: usize, name: &str) -> Result<String, String> {
    text(column, row).map(str::to_owned).ok_or_else(|| format!("`{name}` is null"))
}

fn value<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}
