//! `time`: a part of the request's local time; never missing.

use serde::{Deserialize, Serialize};

use super::{Declared, Read};
use crate::column::{Column, Kind};
use crate::numeric::{local_hour, local_weekday};
use crate::scene::Scene;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// 0 to 23.
    Hour,
    /// 0 (Monday) to 6.
    Weekday,
    /// 1 on Saturday and Sunday, else 0.
    Weekend,
}

/// A part of the local time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    part: Part,
}

impl Read for Time {
    fn kind(&self, _declared: &Declared) -> Result<Kind, String> {
        Ok(Kind::Number)
    }

    fn read(&self, scene: &Scene) -> Column {
        let (ts, offset_min) = (scene.request.ts, scene.request.offset_min);
        let value = match self.part {
            Part::Hour => local_hour(ts, offset_min),
            Part::Weekday => local_weekday(ts, offset_min),
            Part::Weekend => u32::from(local_weekday(ts, offset_min) >= 5),
        };
        Column::Number(vec![value as f32; scene.rows()])
    }
}
