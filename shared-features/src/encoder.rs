//! The encoder: schema, features with their fitted constants, and baselines.
//!
//! Its bytes are canonical and its hash names it: never label, learner or gate.
//! An encoder that is not fitted yet reads values but gives no vectors.

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::column::{Column, ColumnError, Kind};
use crate::digest::Digest;
use crate::expression::Expression;
use crate::history;
use crate::numeric;
use crate::scene::Scene;
use crate::schema::{Entity, Schema};
use crate::source::{Declared, Read, Source};
use crate::tables::StatisticDef;
use crate::transform::{Apply, Fit, Step, Training, Transform};

/// Most numbers in a vector.
pub const MAX_WIDTH: usize = 8192;
/// Most numbers that one call may encode: what fits into a 32-bit guest's address space.
const MAX_NUMBERS: usize = i32::MAX as usize / size_of::<f32>();

/// What the engine needs to turn requests into vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    /// Fields of users, contexts, items and candidates.
    pub schema: Schema,
    /// Statistics that tables must carry.
    pub statistics: Vec<StatisticDef>,
    /// How many past interactions features see.
    pub history_length: u32,
    /// The features, in the order of the spec.
    pub features: Vec<EncodedFeature>,
    /// The baselines, in the order of the spec.
    pub baselines: Vec<Baseline>,
    /// Numbers in a vector; `None` while not fitted.
    pub width: Option<u32>,
}

/// A feature as declared in a spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name, unique in the spec.
    pub name: String,
    /// How its value is read.
    pub source: Source,
    /// How its value becomes numbers; not used where `encode` is false.
    pub transforms: Vec<Transform>,
    /// Whether the model sees it; baselines see every value.
    pub encode: bool,
}

/// A feature with fitted constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodedFeature {
    /// Its name.
    pub name: String,
    /// How its value is read.
    pub source: Source,
    /// The fitted transforms.
    pub steps: Vec<Step>,
    /// Whether the model sees it.
    pub encode: bool,
}

/// A heuristic that is reported beside every model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its name, unique in the spec.
    pub name: String,
    /// An expression over values; higher is better.
    pub expression: Expression,
}

/// Values of the rows of one request, a column a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// Number of rows.
    pub rows: u32,
    /// In the encoder's order of features.
    pub columns: Vec<Column>,
}

/// One number of a vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The feature it belongs to.
    pub feature: String,
    /// Its own name, such as `country=US`; the feature's where the feature is one number.
    pub name: String,
}

/// Why an encoder cannot be used, or values do not fit it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// Not an encoder of this version.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Declarations contradict each other.
    #[error("feature `{feature}`: {reason}")]
    Feature {
        /// Which.
        feature: String,
        /// Why.
        reason: String,
    },
    /// A baseline reads what is not a number.
    #[error("baseline `{baseline}`: {reason}")]
    Baseline {
        /// Which.
        baseline: String,
        /// Why.
        reason: String,
    },
    /// Other settings out of range.
    #[error("encoder: {reason}")]
    Settings {
        /// Why.
        reason: String,
    },
    /// Values that this encoder did not read.
    #[error("values of feature `{feature}`: {source}")]
    Values {
        /// Which.
        feature: String,
        /// Why.
        source: ColumnError,
    },
    /// No vectors before fitting.
    #[error("the encoder is not fitted; train first")]
    NotFitted,
}

impl Encoder {
    /// An encoder that reads values but is not fitted.
    ///
    /// # Errors
    /// Features, transforms or baselines that are impossible with these declarations.
    pub fn unfitted(
        schema: Schema,
        statistics: Vec<StatisticDef>,
        history_length: u32,
        features: &[Feature],
        baselines: Vec<Baseline>,
    ) -> Result<Encoder, EncoderError> {
        let declared = Declared { schema: &schema, statistics: &statistics };
        for feature in features {
            feature.output(&declared)?;
        }
        let features = features
            .iter()
            .map(|f| EncodedFeature {
                name: f.name.clone(),
                source: f.source.clone(),
                steps: Vec::new(),
                encode: f.encode,
            })
            .collect();
        let encoder = Encoder { schema, statistics, history_length, features, baselines, width: None };
        encoder.check()?;
        Ok(encoder)
    }

    /// Fits every transform on training rows; `values` and `training` have the same rows.
    ///
    /// # Errors
    /// Values of other features, or a vector that would be too wide.
    pub fn fit(&self, features: &[Feature], values: &Values, training: &Training) -> Result<Encoder, EncoderError> {
        let mut fitted = self.clone();
        let mut width = 0usize;
        for ((feature, encoded), column) in features.iter().zip(&mut fitted.features).zip(&values.columns) {
            encoded.steps.clear();
            if !feature.encode {
                continue;
            }
            let mut column = column.clone();
            for transform in &feature.transforms {
                let step = transform.fit(&column, training);
                column = step.apply(column);
                encoded.steps.push(step);
            }
            width += match &column {
                Column::Vector(v) => v.width as usize,
                _ => 1,
            };
        }
        fitted.width = Some(width as u32);
        fitted.check()?;
        Ok(fitted)
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The hash that names this encoder.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Reads and checks an encoder.
    ///
    /// # Errors
    /// Malformed bytes, or declarations that contradict each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Encoder, EncoderError> {
        let encoder: Encoder = codec::decode(bytes, "encoder")?;
        encoder.check()?;
        Ok(encoder)
    }

    fn check(&self) -> Result<(), EncoderError> {
        let settings = |reason: String| Err(EncoderError::Settings { reason });
        if !(1..=history::MAX_LENGTH).contains(&self.history_length) {
            return settings(format!(
                "history length {} is not within 1 to {}",
                self.history_length,
                history::MAX_LENGTH
            ));
        }
        if self.width.is_some_and(|w| w == 0 || w as usize > MAX_WIDTH) {
            return settings(format!("a vector of {} numbers; 1 to {MAX_WIDTH} are allowed", self.width.unwrap_or(0)));
        }
        for entity in [Entity::User, Entity::Context, Entity::Item, Entity::Candidate] {
            let (name, fields) = (entity.name(), self.schema.fields(entity));
            for (k, field) in fields.iter().enumerate() {
                if fields[..k].iter().any(|f| f.name == field.name) {
                    return settings(format!("{name} field `{}` is declared twice", field.name));
                }
                if let Kind::Vector(width) = field.kind
                    && !(1..=MAX_WIDTH).contains(&(width as usize))
                {
                    return settings(format!("{name} field `{}` is a vector of {width} numbers", field.name));
                }
            }
        }
        let declared = Declared { schema: &self.schema, statistics: &self.statistics };
        let mut width = 0usize;
        for (i, feature) in self.features.iter().enumerate() {
            let error = |reason| EncoderError::Feature { feature: feature.name.clone(), reason };
            if self.features[..i].iter().any(|f| f.name == feature.name) {
                return Err(error("declared twice".into()));
            }
            let kind = feature.source.kind(&declared).map_err(error)?;
            if self.width.is_some() && feature.encode {
                let out = feature.steps.iter().fold(Column::empty(kind), |column, step| step.apply(column));
                width += match out {
                    Column::Number(_) => 1,
                    Column::Vector(v) => v.width as usize,
                    _ => return Err(error("its steps do not end in numbers".into())),
                };
            }
        }
        if self.width.is_some_and(|declared| declared as usize != width) {
            return settings(format!("a vector of {} numbers, its features give {width}", self.width.unwrap_or(0)));
        }
        for (i, baseline) in self.baselines.iter().enumerate() {
            let error = |reason| EncoderError::Baseline { baseline: baseline.name.clone(), reason };
            if self.baselines[..i].iter().any(|b| b.name == baseline.name) {
                return Err(error("declared twice".into()));
            }
            baseline.expression.check().map_err(|e| error(e.to_string()))?;
            for name in baseline.expression.names() {
                let Some(feature) = self.features.iter().find(|f| f.name == *name) else {
                    return Err(error(format!("there is no feature `{name}`")));
                };
                match feature.source.kind(&declared).map_err(error)? {
                    Kind::Number => {}
                    kind => return Err(error(format!("`{name}` is a {kind}, baselines compute with numbers"))),
                }
            }
        }
        Ok(())
    }

    /// Reads the values of every feature for the candidates of a scene.
    pub fn extract(&self, scene: &Scene) -> Values {
        let columns = self.features.iter().map(|f| f.source.read(scene)).collect();
        Values { rows: scene.rows() as u32, columns }
    }

    /// Checks values that come from outside against this encoder's features.
    ///
    /// # Errors
    /// The first column that does not fit.
    pub fn check_values(&self, values: &Values) -> Result<(), EncoderError> {
        let declared = Declared { schema: &self.schema, statistics: &self.statistics };
        if values.columns.len() != self.features.len() {
            let reason = format!("{} columns of values for {} features", values.columns.len(), self.features.len());
            return Err(EncoderError::Settings { reason });
        }
        for (feature, column) in self.features.iter().zip(&values.columns) {
            let error = |reason| EncoderError::Feature { feature: feature.name.clone(), reason };
            let kind = feature.source.kind(&declared).map_err(error)?;
            column
                .check(kind, values.rows as usize)
                .map_err(|source| EncoderError::Values { feature: feature.name.clone(), source })?;
        }
        Ok(())
    }

    /// The vectors of checked values, row-major `f32[rows, width]`.
    ///
    /// # Errors
    /// The encoder is not fitted, or the vectors would be too large for one call.
    pub fn encode(&self, values: &Values) -> Result<Vec<f32>, EncoderError> {
        let width = self.width.ok_or(EncoderError::NotFitted)? as usize;
        let rows = values.rows as usize;
        let Some(numbers) = rows.checked_mul(width).filter(|n| *n <= MAX_NUMBERS) else {
            let reason = format!("{rows} rows of {width} numbers are too many for one call; send fewer rows");
            return Err(EncoderError::Settings { reason });
        };
        let mut vectors = vec![numeric::MISSING; numbers];
        let mut at = 0;
        for (feature, column) in self.features.iter().zip(&values.columns).filter(|(f, _)| f.encode) {
            let stepped;
            let column = match feature.steps.as_slice() {
                [] => column,
                steps => {
                    stepped = steps.iter().fold(column.clone(), |column, step| step.apply(column));
                    &stepped
                }
            };
            let (data, columns): (&[f32], usize) = match column {
                Column::Number(x) => (x, 1),
                Column::Vector(v) => (&v.data, v.width as usize),
                _ => (&[], 1),
            };
            let fits = columns > 0 && at + columns <= width;
            let rows = vectors.chunks_exact_mut(width).take(if fits { rows } else { 0 });
            if columns == 1 {
                // Most columns; a copy of each number would be a call.
                rows.zip(data).for_each(|(row, x)| row[at] = *x);
            } else {
                let cells = data.chunks_exact(columns.max(1));
                rows.zip(cells).for_each(|(row, cells)| row[at..at + columns].copy_from_slice(cells));
            }
            at += columns;
        }
        Ok(vectors)
    }

    /// The numbers of a vector, in order.
    pub fn slots(&self) -> Vec<Slot> {
        let declared = Declared { schema: &self.schema, statistics: &self.statistics };
        let mut slots = Vec::new();
        for feature in self.features.iter().filter(|f| f.encode) {
            let slot = |name| Slot { feature: feature.name.clone(), name };
            let named = feature.steps.iter().rev().find_map(Step::slots);
            match (named, feature.source.kind(&declared)) {
                (Some(names), _) => slots.extend(names.iter().map(|s| slot(format!("{}={s}", feature.name)))),
                (None, Ok(Kind::Vector(width))) => {
                    slots.extend((0..width).map(|i| slot(format!("{}[{i}]", feature.name))));
                }
                _ => slots.push(slot(feature.name.clone())),
            }
        }
        slots
    }

    /// The scores of a baseline, a number a row; a missing operand gives a missing score.
    pub fn baseline(&self, baseline: &Baseline, values: &Values) -> Vec<f32> {
        let columns: Vec<&[f32]> = baseline
            .expression
            .names()
            .iter()
            .map(|name| match self.features.iter().position(|f| f.name == *name).map(|i| &values.columns[i]) {
                Some(Column::Number(x)) => x.as_slice(),
                _ => &[],
            })
            .collect();
        let missing = f64::from(numeric::MISSING);
        (0..values.rows as usize)
            .map(|row| {
                let value = |k: usize| columns.get(k).and_then(|c| c.get(row)).map_or(missing, |&x| f64::from(x));
                numeric::store(baseline.expression.evaluate(value))
            })
            .collect()
    }
}

impl Feature {
    /// The kind that reaches the model, and whether it can be missing.
    ///
    /// # Errors
    /// A source or transform that is impossible with these declarations.
    pub fn output(&self, declared: &Declared) -> Result<Kind, EncoderError> {
        let error = |reason| EncoderError::Feature { feature: self.name.clone(), reason };
        let mut kind = self.source.kind(declared).map_err(error)?;
        if !self.encode {
            return Ok(kind);
        }
        for transform in &self.transforms {
            kind = transform.output(kind).map_err(error)?;
        }
        match kind {
            Kind::Number | Kind::Vector(_) => Ok(kind),
            other => Err(error(format!(
                "ends as a {other}, models need numbers; add the transform one_hot or hash, or `encode = false`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
