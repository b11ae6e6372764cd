//! Hearth's functions in SQL; an executor of a cluster registers the same ones.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder, StringBuilder, StructBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Fields};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use shared_features::event::Shown;

/// All of them.
pub fn all() -> Vec<ScalarUDF> {
    vec![shown()]
}

/// Makes the functions known to a session.
pub fn register(session: &SessionContext) {
    all().into_iter().for_each(|function| session.register_udf(function));
}

/// `shown(text) -> list<{item, position, propensity}>`: the items of an impression, out of its JSON.
fn shown() -> ScalarUDF {
    let element = DataType::Struct(fields());
    let list = DataType::List(Arc::new(Field::new_list_field(element, true)));
    create_udf(
        "shown",
        vec![DataType::Utf8],
        list,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let texts = arrays.first().and_then(|a| a.as_string_opt::<i32>());
            let texts = texts.ok_or_else(|| DataFusionError::Execution("shown() takes one text".into()))?;
            let mut list = ListBuilder::new(StructBuilder::from_fields(fields(), texts.len()));
            for text in texts {
                let shown: Vec<Shown> = match text {
                    Some(json) => serde_json::from_str(json).map_err(|e| {
                        DataFusionError::Execution(format!("an impression's `shown` is not what it should be: {e}"))
                    })?,
                    None => Vec::new(),
                };
                for shown in shown {
                    append(list.values(), &shown)
                        .ok_or_else(|| DataFusionError::Internal("the columns of shown() have other types".into()))?;
                }
                list.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(list.finish()) as ArrayRef))
        }),
    )
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("item", DataType::Utf8, false),
        Field::new("position", DataType::UInt32, false),
        Field::new("propensity", DataType::Float64, true),
    ])
}

fn append(to: &mut StructBuilder, shown: &Shown) -> Option<()> {
    to.field_builder::<StringBuilder>(0)?.append_value(&shown.item);
    to.field_builder::<UInt32Builder>(1)?.append_value(shown.position);
    to.field_builder::<Float64Builder>(2)?.append_option(shown.propensity);
    to.append(true);
    Some(())
}
