//! The engine: a parsed bundle, and the ops on it.
//!
//! Parsing is the only fallible step before ranking; requests are checked before they are used.

use shared_features::codec;
use shared_features::encoder::{Encoder, EncoderError, Values};
use shared_features::floats::Floats;
use shared_features::numeric;
use shared_features::policy::{Policy, PolicyError};
use shared_features::rank::{Parts, Ranked, Scored};
use shared_features::request::Request;
use shared_features::tables::{Tables, TablesError};
use shared_features::wire::{ABI, Call, Description, Explained, Explanation, Extracted, Load, Op, Reply};

use crate::explain::Explainer;
use crate::onnx::{Model, ModelError};

/// A loaded bundle.
pub struct Engine {
    encoder: Encoder,
    policy: Policy,
    tables: Tables,
    model: Option<Model>,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The message itself.
    #[error(transparent)]
    Codec(#[from] codec::CodecError),
    /// The encoder.
    #[error("encoder: {0}")]
    Encoder(#[from] EncoderError),
    /// The policy.
    #[error("policy: {0}")]
    Policy(#[from] PolicyError),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The model.
    #[error("model: {0}")]
    Model(#[from] ModelError),
    /// A model without a fitted encoder.
    #[error("the bundle has a model, but its encoder is not fitted; train first")]
    NotFitted,
}

impl Engine {
    /// Parses and checks a bundle's parts.
    ///
    /// # Errors
    /// The first part that is refused.
    pub fn load(load: &Load) -> Result<Engine, LoadError> {
        let encoder = Encoder::from_bytes(&load.encoder)?;
        let policy = Policy::from_bytes(&load.policy, &encoder)?;
        let tables = if load.tables.is_empty() {
            Tables::empty(&encoder.schema, &encoder.statistics)
        } else {
            Tables::from_bytes(&load.tables, &encoder.schema, &encoder.statistics)?
        };
        let model = if load.model.is_empty() {
            None
        } else {
            Some(Model::load(&load.model, encoder.width.ok_or(LoadError::NotFitted)?)?)
        };
        Ok(Engine { encoder, policy, tables, model })
    }

    /// What this engine is and holds.
    pub fn describe(&self) -> Description {
        Description {
            abi: ABI,
            kind: if cfg!(feature = "onnx") { "onnx" } else { "compact" }.into(),
            features: self.encoder.features.len() as u32,
            width: self.encoder.width.unwrap_or(0),
            items: self.tables.items.len() as u32,
            model: self.model.as_ref().map(|m| m.describe().to_string()).unwrap_or_default(),
        }
    }

    /// The values of each request.
    ///
    /// # Errors
    /// A request that does not fit the schema, by name.
    pub fn extract(&self, call: &Call) -> Reply<Vec<Extracted>> {
        call.check(&self.encoder.schema)?;
        let parts = self.parts();
        Ok(call
            .requests
            .iter()
            .map(|(history, request)| {
                let (scene, sources) = parts.scene(&call.histories[*history as usize], request);
                Extracted {
                    items: scene.candidates.iter().map(|item| (*item).to_owned()).collect(),
                    sources,
                    history_entries: scene.window.len() as u32,
                    values: self.encoder.extract(&scene),
                }
            })
            .collect())
    }

    /// The vectors of values, row-major `f32[rows, width]`.
    ///
    /// # Errors
    /// Values that this encoder did not read, or an encoder that is not fitted.
    pub fn encode(&self, values: &Values) -> Reply<Vec<f32>> {
        self.encoder.check_values(values).map_err(|e| e.to_string())?;
        self.encoder.encode(values).map_err(|e| e.to_string())
    }

    /// A score for each vector; as in a log row, NaN is the one NaN and infinities are the largest finite numbers.
    ///
    /// # Errors
    /// No model, or a number of values that is not a multiple of the width.
    pub fn score(&self, vectors: &[f32]) -> Reply<Vec<f32>> {
        let (model, width) = self.model()?;
        if !vectors.len().is_multiple_of(width) {
            return Err(format!("{} numbers are not rows of {width}", vectors.len()));
        }
        let mut scores = Vec::with_capacity(vectors.len() / width);
        model.score(vectors, &mut scores);
        // Which NaN an operation on NaNs gives is the host's choice in WebAssembly.
        scores.iter_mut().for_each(|score| *score = numeric::store_f32(*score));
        Ok(scores)
    }

    /// The slate and log rows of each request.
    ///
    /// # Errors
    /// No model, or a request that does not fit the schema, by name.
    pub fn rank(&self, call: &Call) -> Reply<Vec<Ranked>> {
        let (model, _) = self.model()?;
        call.check(&self.encoder.schema)?;
        let parts = self.parts();
        Ok(call
            .requests
            .iter()
            .map(|(history, request)| {
                parts.rank(&call.histories[*history as usize], request, &call.salt, |values| {
                    let vectors = self.encoder.encode(values).unwrap_or_default();
                    let mut scores = Vec::with_capacity(values.rows as usize);
                    model.score(&vectors, &mut scores);
                    Scored { scores, vectors }
                })
            })
            .collect())
    }

    /// What each number of a vector adds to the score of each candidate.
    ///
    /// # Errors
    /// No model, or a request that does not fit the schema, by name.
    pub fn explain(&self, call: &Call) -> Reply<Explanation> {
        let (model, _) = self.model()?;
        call.check(&self.encoder.schema)?;
        let parts = self.parts();
        let explainer = Explainer::new(model);
        let explain = |(history, request): &(u32, Request)| {
            let (scene, _) = parts.scene(&call.histories[*history as usize], request);
            let vectors = self.encoder.encode(&self.encoder.extract(&scene)).map_err(|e| e.to_string())?;
            let (mut scores, mut raw) = (Vec::with_capacity(scene.rows()), Vec::with_capacity(scene.rows()));
            model.score(&vectors, &mut scores);
            model.raw(&vectors, &mut raw);
            let stored = |scores: Vec<f32>| scores.into_iter().map(numeric::store_f32).collect();
            Ok(Explained {
                items: scene.candidates.iter().map(|item| (*item).to_owned()).collect(),
                scores: stored(scores),
                raw: stored(raw),
                contributions: explainer.contributions(&vectors),
            })
        };
        Ok(Explanation {
            method: explainer.method(),
            slots: self.encoder.slots(),
            base: explainer.base(),
            requests: call.requests.iter().map(explain).collect::<Reply<_>>()?,
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts { encoder: &self.encoder, policy: &self.policy, tables: &self.tables }
    }

    fn model(&self) -> Reply<(&Model, usize)> {
        match (&self.model, self.encoder.width) {
            (Some(model), Some(width)) => Ok((model, width as usize)),
            _ => Err("this engine was loaded without a model".into()),
        }
    }
}

/// Runs an op on a loaded engine, or on the reason why loading was refused; always a reply, never a panic.
pub fn dispatch(engine: &Reply<Engine>, op: u32, message: &[u8]) -> Vec<u8> {
    let engine = engine.as_ref().map_err(Clone::clone);
    let read = |message| codec::decode::<Call>(message, "call").map_err(|e| e.to_string());
    match Op::from_u32(op) {
        Some(Op::Describe) => codec::encode(&engine.map(Engine::describe)),
        Some(Op::Extract) => codec::encode(&engine.and_then(|e| e.extract(&read(message)?))),
        Some(Op::Rank) => codec::encode(&engine.and_then(|e| e.rank(&read(message)?))),
        Some(Op::Encode) => {
            let values = || codec::decode(message, "values").map_err(|e| e.to_string());
            codec::encode(&engine.and_then(|e| e.encode(&values()?)).map(Floats))
        }
        Some(Op::Score) => {
            let vectors = || codec::decode::<Floats>(message, "vectors").map_err(|e| e.to_string());
            codec::encode(&engine.and_then(|e| e.score(&vectors()?.0)).map(Floats))
        }
        Some(Op::Explain) => codec::encode(&engine.and_then(|e| e.explain(&read(message)?))),
        None => codec::encode(&Reply::<()>::Err(format!("there is no op {op}"))),
    }
}
