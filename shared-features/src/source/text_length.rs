//! `text_length`: how long a text is, in terms or in characters.

use serde::{Deserialize, Serialize};

use super::terms::terms;
use super::{Declared, Read};
use crate::column::{Column, Kind, NO_CODE};
use crate::numeric;
use crate::scene::Scene;
use crate::schema::FieldRef;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unit {
    /// Words, as the other text sources cut them.
    #[default]
    Terms,
    /// Unicode scalar values, spaces and signs too.
    Characters,
}

/// Length of a text; 0 where it is empty, missing where it is not sent or the item is unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextLength {
    field: FieldRef,
    #[serde(default)]
    unit: Unit,
}

impl Read for TextLength {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        match declared.field(&self.field)? {
            Kind::Text => Ok(Kind::Number),
            kind => Err(format!("`{}` is a {kind}; text_length needs text", self.field)),
        }
    }

    fn read(&self, scene: &Scene) -> Column {
        let Column::Category(texts) = scene.field(&self.field) else {
            return Column::Number(vec![numeric::MISSING; scene.rows()]);
        };
        let length = |text: &String| match self.unit {
            Unit::Terms => terms(text).len() as f32,
            Unit::Characters => text.chars().count() as f32,
        };
        let lengths: Vec<f32> = texts.names.iter().map(length).collect();
        let of_row = |&code: &u32| if code == NO_CODE { numeric::MISSING } else { lengths[code as usize] };
        Column::Number(texts.codes.iter().map(of_row).collect())
    }
}
