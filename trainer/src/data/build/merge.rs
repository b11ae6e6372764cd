//! Rows and labels, both by `(ts, request)`, meet in one pass.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::days::Writer;
use super::{BuildError, Rows};
use crate::data::query::QueryError;

/// What is known of one item of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Label {
    shown: bool,
    position: Option<u32>,
    propensity: Option<f64>,
    grade: u32,
}

/// The request whose rows are being written.
#[derive(Default)]
struct Current {
    key: Option<(i64, String)>,
    /// Labels by item; those of written rows are taken out.
    labels: BTreeMap<String, Label>,
    /// Whether an impression showed any of it.
    shown: bool,
    /// Place of the last row.
    place: Option<u32>,
}

/// Writes every row once, with its label.
pub(super) async fn merge(
    mut rows: SendableRecordBatchStream,
    labels: SendableRecordBatchStream,
    assume_shown: bool,
    writer: &mut Writer,
) -> Result<Rows, BuildError> {
    let mut labels = Labels { stream: labels, batch: None, at: 0 };
    let mut counts = Rows::default();
    let mut current = Current::default();
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(QueryError::doing("cannot sort the rows"))?;
        let keys = RowKeys::of(&batch)?;
        let mut keep = BooleanBuilder::with_capacity(batch.num_rows());
        let mut added = Added::default();
        for row in 0..batch.num_rows() {
            let (ts, request, place) = (keys.ts.value(row), keys.request.value(row), keys.place.value(row));
            if current.key.as_ref().is_none_or(|(at, of)| *at != ts || of != request) {
                counts.labels_without_row += current.labels.len() as u64;
                current = labels.of(ts, request, &mut counts).await?;
                counts.requests += 1;
            }
            counts.read += 1;
            let again = current.place.replace(place) == Some(place);
            keep.append_value(!again);
            if again {
                counts.duplicates += 1;
                continue;
            }
            let label = current.labels.remove(keys.item.value(row)).unwrap_or_default();
            let shown = label.shown || (assume_shown && !current.shown);
            counts.written += 1;
            counts.shown += u64::from(shown);
            counts.positive += u64::from(shown && label.grade > 0);
            added.push(&label, shown);
        }
        writer.write(&added.beside(&batch, &keep.finish())?)?;
    }
    counts.labels_without_row += current.labels.len() as u64 + labels.rest().await?;
    Ok(counts)
}

/// The columns that say what a row is of.
struct RowKeys<'b> {
    ts: &'b Int64Array,
    request: &'b StringArray,
    place: &'b UInt32Array,
    item: &'b StringArray,
}

impl<'b> RowKeys<'b> {
    fn of(batch: &'b RecordBatch) -> Result<RowKeys<'b>, BuildError> {
        let keys = || {
            Some(RowKeys {
                ts: batch.column_by_name("ts")?.as_primitive_opt::<Int64Type>()?,
                request: batch.column_by_name("request")?.as_string_opt()?,
                place: batch.column_by_name("row")?.as_primitive_opt::<UInt32Type>()?,
                item: batch.column_by_name("item")?.as_string_opt()?,
            })
        };
        keys().ok_or_else(|| other_types("the rows"))
    }
}

/// The labels of one request after the other.
struct Labels {
    stream: SendableRecordBatchStream,
    batch: Option<RecordBatch>,
    at: usize,
}

impl Labels {
    /// The labels of a request; those of requests before it, which have no rows, are counted and passed over.
    async fn of(&mut self, ts: i64, request: &str, counts: &mut Rows) -> Result<Current, BuildError> {
        let mut current = Current { key: Some((ts, request.to_owned())), ..Current::default() };
        while let Some(batch) = self.batch().await? {
            let columns = LabelColumns::of(&batch)?;
            let row = self.at;
            match (columns.ts.value(row), columns.request.value(row)).cmp(&(ts, request)) {
                Ordering::Greater => break,
                Ordering::Less => counts.labels_without_row += 1,
                Ordering::Equal => {
                    let label = columns.label(row);
                    current.shown |= label.shown;
                    current.labels.insert(columns.item.value(row).to_owned(), label);
                }
            }
            self.at += 1;
        }
        Ok(current)
    }

    /// How many labels are left.
    async fn rest(&mut self) -> Result<u64, BuildError> {
        let mut count = 0;
        while let Some(batch) = self.batch().await? {
            count += (batch.num_rows() - self.at) as u64;
            self.at = batch.num_rows();
        }
        Ok(count)
    }

    /// The batch that the next label is in.
    async fn batch(&mut self) -> Result<Option<RecordBatch>, BuildError> {
        while self.batch.as_ref().is_none_or(|batch| self.at >= batch.num_rows()) {
            self.at = 0;
            self.batch = match self.stream.next().await {
                Some(batch) => Some(batch.map_err(QueryError::doing("cannot join the log with its events"))?),
                None => return Ok(None),
            };
        }
        Ok(self.batch.clone())
    }
}

/// The columns of the view `label`.
struct LabelColumns<'b> {
    ts: &'b Int64Array,
    request: &'b StringArray,
    item: &'b StringArray,
    shown: &'b BooleanArray,
    position: &'b UInt32Array,
    propensity: &'b Float64Array,
    grade: &'b UInt32Array,
}

impl<'b> LabelColumns<'b> {
    fn of(batch: &'b RecordBatch) -> Result<LabelColumns<'b>, BuildError> {
        let columns = || {
            Some(LabelColumns {
                ts: batch.column_by_name("ts")?.as_primitive_opt::<Int64Type>()?,
                request: batch.column_by_name("request")?.as_string_opt()?,
                item: batch.column_by_name("item")?.as_string_opt()?,
                shown: batch.column_by_name("shown")?.as_boolean_opt()?,
                position: batch.column_by_name("position")?.as_primitive_opt::<UInt32Type>()?,
                propensity: batch.column_by_name("propensity")?.as_primitive_opt::<Float64Type>()?,
                grade: batch.column_by_name("grade")?.as_primitive_opt::<UInt32Type>()?,
            })
        };
        columns().ok_or_else(|| other_types("the labels"))
    }

    fn label(&self, row: usize) -> Label {
        Label {
            shown: self.shown.is_valid(row) && self.shown.value(row),
            position: self.position.is_valid(row).then(|| self.position.value(row)),
            propensity: self.propensity.is_valid(row).then(|| self.propensity.value(row)),
            grade: if self.grade.is_valid(row) { self.grade.value(row) } else { 0 },
        }
    }
}

/// The columns that a dataset has beside the log's.
#[derive(Default)]
struct Added {
    grade: UInt32Builder,
    position: UInt32Builder,
    propensity: Float64Builder,
}

impl Added {
    fn push(&mut self, label: &Label, shown: bool) {
        self.grade.append_option(shown.then_some(label.grade));
        self.position.append_option(label.position);
        self.propensity.append_option(label.propensity);
    }

    /// The rows that are kept, with these columns.
    fn beside(mut self, batch: &RecordBatch, keep: &BooleanArray) -> Result<RecordBatch, BuildError> {
        let taken = filter_record_batch(batch, keep)
            .map_err(|e| QueryError::doing("cannot take rows")(DataFusionError::from(e)))?;
        let added: [(&str, ArrayRef); 3] = [
            ("grade", Arc::new(self.grade.finish())),
            ("position", Arc::new(self.position.finish())),
            ("shown_propensity", Arc::new(self.propensity.finish())),
        ];
        let schema = taken.schema();
        let logged = schema.fields().iter().zip(taken.columns());
        let logged = logged.map(|(f, column)| (f.name().as_str(), Arc::clone(column), f.is_nullable()));
        let all = logged.chain(added.into_iter().map(|(name, column)| (name, column, true)));
        Ok(RecordBatch::try_from_iter_with_nullable(all).expect("every column has a value for each kept row"))
    }
}

fn other_types(what: &'static str) -> BuildError {
    let reason = format!("a column of {what} is missing or of another type");
    QueryError::doing("cannot join the log with its events")(DataFusionError::Execution(reason)).into()
}
