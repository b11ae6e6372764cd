//! `field`: a field of the context, user, item or candidate, as it is.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::scene::Scene;
use crate::schema::FieldRef;

/// A field's value; missing where it is not sent or the item is unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    field: FieldRef,
}

impl Read for Field {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        match declared.field(&self.field)? {
            Kind::Timestamp => Err(format!("`{}` is a timestamp; read it with source = \"age\"", self.field)),
            Kind::Text => Err(format!("`{}` is text; read it with text_length, term_match or bm25", self.field)),
            Kind::Boolean => Ok(Kind::Number),
            kind => Ok(kind),
        }
    }

    fn read(&self, scene: &Scene) -> Column {
        scene.field(&self.field)
    }
}
