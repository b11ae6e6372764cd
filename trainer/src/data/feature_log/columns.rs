//! The columns of a feature log: records as Arrow arrays, and back to the same bits.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int16Type, Int64Type, UInt8Type, UInt32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float32Array, Int16Array, Int64Array, RecordBatch};
use arrow_array::{StringArray, UInt8Array, UInt32Array};
use shared_features::column::{Categories, Column, Kind, TagSets, Vectors};
use shared_features::digest::Digest;
use shared_features::encoder::{Encoder, Values};
use shared_features::feature_log::Record;
use shared_features::rank::LogRows;
use shared_features::source::{Declared, Read};

use super::VALUE_PREFIX;

/// The kind of each feature's values.
pub(super) fn kinds(encoder: &Encoder) -> Vec<Kind> {
    let declared = Declared { schema: &encoder.schema, statistics: &encoder.statistics };
    let kind =
        |source: &shared_features::source::Source| source.kind(&declared).expect("a checked encoder's sources fit");
    encoder.features.iter().map(|f| kind(&f.source)).collect()
}

/// Records as a batch with a row for each logged candidate.
pub(super) fn batch_of(records: &[Record], names: &[String], kinds: &[Kind]) -> RecordBatch {
    // A value of the record, repeated for each of its rows.
    fn repeat<'a, T: Clone>(records: &'a [Record], value: impl Fn(&'a Record) -> T) -> std::vec::IntoIter<T> {
        let each = records.iter().flat_map(|r| std::iter::repeat_n(value(r), r.rows.items.len()));
        each.collect::<Vec<T>>().into_iter()
    }
    fn rows<'a, T>(records: &'a [Record], column: impl Fn(&'a LogRows) -> &'a [T]) -> std::vec::IntoIter<&'a T> {
        records.iter().flat_map(|r| column(&r.rows)).collect::<Vec<&T>>().into_iter()
    }
    let text =
        |value: fn(&Record) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(repeat(records, value))) };
    let digest = |value: fn(&Record) -> Option<Digest>| -> ArrayRef {
        let texts: Vec<Option<String>> = records.iter().map(|r| value(r).map(|d| d.to_string())).collect();
        let each =
            records.iter().zip(&texts).flat_map(|(r, text)| std::iter::repeat_n(text.as_deref(), r.rows.items.len()));
        Arc::new(each.collect::<StringArray>())
    };
    let long =
        |value: fn(&Record) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(repeat(records, value))) };
    let count =
        |value: fn(&Record) -> u32| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(repeat(records, value))) };
    let float = |value: fn(&LogRows) -> &[f32]| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(rows(records, value).copied()))
    };
    let places: UInt32Array = records.iter().flat_map(|r| (0..r.rows.items.len() as u32).map(Some)).collect();
    let mut columns: Vec<(String, ArrayRef, bool)> = vec![
        ("request".into(), text(|r| &r.request), false),
        ("user".into(), text(|r| &r.user), false),
        ("surface".into(), text(|r| &r.surface), false),
        ("ts".into(), long(|r| r.ts), false),
        ("offset_min".into(), Arc::new(Int16Array::from_iter_values(repeat(records, |r| r.offset_min))), false),
        ("arrived".into(), long(|r| r.arrived), false),
        ("bundle".into(), digest(|r| r.bundle), true),
        ("encoder".into(), digest(|r| Some(r.encoder)), true),
        ("tables".into(), digest(|r| Some(r.tables)), true),
        ("arm".into(), text(|r| &r.arm), false),
        ("weight".into(), count(|r| r.weight), false),
        ("history_length".into(), count(|r| r.history_length), false),
        ("history_entries".into(), count(|r| r.rows.history_entries), false),
        ("fallback".into(), Arc::new(repeat(records, |r| Some(r.fallback)).collect::<BooleanArray>()), true),
        ("row".into(), Arc::new(places), false),
        ("item".into(), Arc::new(StringArray::from_iter_values(rows(records, |r| &r.items))), false),
        ("source".into(), Arc::new(UInt8Array::from_iter_values(rows(records, |r| &r.sources).copied())), false),
        ("rank".into(), Arc::new(UInt32Array::from_iter_values(rows(records, |r| &r.ranks).copied())), false),
        ("score".into(), float(|r| &r.scores), false),
        ("propensity".into(), float(|r| &r.propensity), false),
        ("sampling".into(), float(|r| &r.sampling), false),
    ];
    for (k, (name, kind)) in names.iter().zip(kinds).enumerate() {
        let parts: Vec<&Column> = records.iter().map(|r| &r.rows.values.columns[k]).collect();
        columns.push((format!("{VALUE_PREFIX}{name}"), value_array(&parts, *kind), true));
    }
    let mut vectors = ListBuilder::new(Float32Builder::new());
    for record in records {
        let width = record.rows.vectors.len() / record.rows.items.len().max(1);
        for row in 0..record.rows.items.len() {
            vectors.values().append_slice(&record.rows.vectors[row * width..(row + 1) * width]);
            vectors.append(true);
        }
    }
    columns.push(("vector".into(), Arc::new(vectors.finish()), true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("every column has a row for each logged candidate")
}

fn value_array(parts: &[&Column], kind: Kind) -> ArrayRef {
    match kind {
        Kind::Category | Kind::Text => {
            let mut builder = StringBuilder::new();
            for part in parts {
                if let Column::Category(c) = part {
                    (0..c.codes.len()).for_each(|row| builder.append_option(c.get(row)));
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Tags => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for part in parts {
                if let Column::Tags(t) = part {
                    for row in 0..part.rows() {
                        t.get(row).for_each(|tag| builder.values().append_value(tag));
                        builder.append(true);
                    }
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Vector(width) => {
            let mut builder = FixedSizeListBuilder::new(Float32Builder::new(), width as i32);
            for part in parts {
                if let Column::Vector(v) = part {
                    for row in v.data.chunks_exact(width.max(1) as usize) {
                        builder.values().append_slice(row);
                        builder.append(true);
                    }
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Number | Kind::Boolean | Kind::Timestamp => {
            let mut numbers = Vec::new();
            for part in parts {
                if let Column::Number(x) = part {
                    numbers.extend_from_slice(x);
                }
            }
            Arc::new(Float32Array::from(numbers))
        }
    }
}

/// Adds the records of a batch to those before; `None` where a column is missing or of another type.
pub(super) fn read_batch(
    batch: &RecordBatch,
    encoder: &Encoder,
    kinds: &[Kind],
    records: &mut Vec<Record>,
) -> Option<()> {
    let text = |name: &str| Some(batch.column_by_name(name)?.as_string_opt::<i32>()?.clone());
    let long = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?.clone());
    let count = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<UInt32Type>()?.clone());
    let float = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<Float32Type>()?.clone());
    let (request, user, surface, arm, item) =
        (text("request")?, text("user")?, text("surface")?, text("arm")?, text("item")?);
    let (bundle, hash, tables) = (text("bundle")?, text("encoder")?, text("tables")?);
    let (ts, arrived) = (long("ts")?, long("arrived")?);
    let (weight, length, entries, rank) =
        (count("weight")?, count("history_length")?, count("history_entries")?, count("rank")?);
    let (score, propensity, sampling) = (float("score")?, float("propensity")?, float("sampling")?);
    let offset = batch.column_by_name("offset_min")?.as_primitive_opt::<Int16Type>()?;
    let source = batch.column_by_name("source")?.as_primitive_opt::<UInt8Type>()?;
    let fallback = batch.column_by_name("fallback")?.as_boolean_opt()?;
    let vector = batch.column_by_name("vector")?.as_list_opt::<i32>()?;
    let digest = |array: &StringArray, row: usize| -> Option<Digest> { array.value(row).parse().ok() };
    let mut from = 0;
    while from < batch.num_rows() {
        let mut to = from + 1;
        while to < batch.num_rows() && request.value(to) == request.value(from) {
            to += 1;
        }
        let columns = encoder
            .features
            .iter()
            .zip(kinds)
            .map(|(feature, kind)| {
                let array = batch.column_by_name(&format!("{VALUE_PREFIX}{}", feature.name))?;
                value_column(&array.slice(from, to - from), *kind)
            })
            .collect::<Option<Vec<_>>>()?;
        let vectors = vector.slice(from, to - from);
        let record = Record {
            request: request.value(from).to_owned(),
            user: user.value(from).to_owned(),
            surface: surface.value(from).to_owned(),
            ts: ts.value(from),
            offset_min: offset.value(from),
            arrived: arrived.value(from),
            bundle: if bundle.is_null(from) { None } else { Some(digest(&bundle, from)?) },
            encoder: digest(&hash, from)?,
            tables: digest(&tables, from)?,
            arm: arm.value(from).to_owned(),
            weight: weight.value(from),
            history_length: length.value(from),
            fallback: fallback.value(from),
            rows: LogRows {
                items: (from..to).map(|i| item.value(i).to_owned()).collect(),
                sources: (from..to).map(|i| source.value(i)).collect(),
                ranks: (from..to).map(|i| rank.value(i)).collect(),
                scores: (from..to).map(|i| score.value(i)).collect(),
                propensity: (from..to).map(|i| propensity.value(i)).collect(),
                sampling: (from..to).map(|i| sampling.value(i)).collect(),
                history_entries: entries.value(from),
                values: Values { rows: (to - from) as u32, columns },
                vectors: (0..vectors.len())
                    .map(|i| Some(vectors.value(i).as_primitive_opt::<Float32Type>()?.values().to_vec()))
                    .collect::<Option<Vec<_>>>()?
                    .concat(),
            },
        };
        // A request whose rows were cut by the end of a batch goes on in the next one.
        match records.last_mut() {
            Some(last) if from == 0 && last.request == record.request => append(last, record)?,
            _ => records.push(record),
        }
        from = to;
    }
    Some(())
}

fn append(to: &mut Record, more: Record) -> Option<()> {
    let rows = &mut to.rows;
    rows.items.extend(more.rows.items);
    rows.sources.extend(more.rows.sources);
    rows.ranks.extend(more.rows.ranks);
    rows.scores.extend(more.rows.scores);
    rows.propensity.extend(more.rows.propensity);
    rows.sampling.extend(more.rows.sampling);
    rows.vectors.extend(more.rows.vectors);
    rows.values.rows += more.rows.values.rows;
    for (a, b) in rows.values.columns.iter_mut().zip(&more.rows.values.columns) {
        *a = Column::concat(&[a, b]).ok()?;
    }
    Some(())
}

fn value_column(array: &ArrayRef, kind: Kind) -> Option<Column> {
    Some(match kind {
        Kind::Number | Kind::Boolean | Kind::Timestamp => {
            Column::Number(array.as_primitive_opt::<Float32Type>()?.values().to_vec())
        }
        Kind::Category | Kind::Text => {
            let cells: Vec<Option<&str>> = array.as_string_opt::<i32>()?.iter().collect();
            Column::Category(Categories::collect(&cells))
        }
        Kind::Tags => {
            let lists = array.as_list_opt::<i32>()?;
            let rows: Vec<ArrayRef> = (0..lists.len()).map(|i| lists.value(i)).collect();
            let cells = rows
                .iter()
                .map(|row| Some(row.as_string_opt::<i32>()?.iter().flatten().collect()))
                .collect::<Option<Vec<Vec<&str>>>>()?;
            Column::Tags(TagSets::collect(&cells))
        }
        Kind::Vector(width) => {
            let lists = array.as_fixed_size_list_opt()?;
            let mut data = Vec::with_capacity(lists.len() * width as usize);
            for i in 0..lists.len() {
                data.extend_from_slice(lists.value(i).as_primitive_opt::<Float32Type>()?.values());
            }
            Column::Vector(Vectors { width, data })
        }
    })
}
