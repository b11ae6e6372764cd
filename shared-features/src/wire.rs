//! Messages between a host and the guest: columnar, many requests per call, through [`crate::codec`].

use serde::{Deserialize, Serialize};

use crate::encoder::{Slot, Values};
use crate::floats::Floats;
use crate::history::HistoryView;
use crate::rank::Ranked;
use crate::request::Request;

/// Version of the ABI; what `hearth_abi` returns.
pub const ABI: u32 = 1;

/// What `hearth_call` is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Op {
    /// Nothing -> [`Description`].
    Describe = 0,
    /// [`Call`] -> [`Extracted`] of each request.
    Extract = 1,
    /// [`Values`] -> vectors, row-major.
    Encode = 2,
    /// Vectors -> scores; both [`Floats`].
    Score = 3,
    /// [`Call`] -> [`Ranked`] of each request.
    Rank = 4,
    /// [`Call`] -> [`Explanation`] of the candidates of each request.
    Explain = 5,
}

/// What `hearth_load` gets: the parts of a bundle that answers depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// An encoder's bytes.
    #[serde(with = "serde_bytes")]
    pub encoder: Vec<u8>,
    /// A policy's bytes.
    #[serde(with = "serde_bytes")]
    pub policy: Vec<u8>,
    /// A snapshot's bytes; empty for none.
    #[serde(with = "serde_bytes")]
    pub tables: Vec<u8>,
    /// An ONNX file; empty for an engine that only extracts and encodes.
    #[serde(with = "serde_bytes")]
    pub model: Vec<u8>,
}

/// Requests of one or more users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Each user's history once.
    pub histories: Vec<HistoryView>,
    /// Index into `histories`, and the request.
    pub requests: Vec<(u32, Request)>,
    /// The channel's salt; keys exploration.
    pub salt: String,
}

/// The values of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// The candidates, in order.
    pub items: Vec<String>,
    /// Index of the policy's candidate source each came from.
    pub sources: Vec<u8>,
    /// Interactions of the history that features saw.
    pub history_entries: u32,
    /// A row a candidate.
    pub values: Values,
}

/// What each number of a vector adds to the score of each candidate.
///
/// Scores are explained *before* a final logistic function: `base` plus a candidate's contributions is its `raw` score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// How contributions were found.
    pub method: ExplainMethod,
    /// The numbers of a vector, in order.
    pub slots: Vec<Slot>,
    /// The raw score before any feature is known: the expected one of trees, else that of a vector of zeros.
    pub base: f32,
    /// One for each request of the call.
    pub requests: Vec<Explained>,
}

/// How contributions are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainMethod {
    /// Trees: exact Shapley values of path-dependent expectations.
    TreeShap,
    /// Linear models: coefficient times number.
    Linear,
    /// Other models: what is lost without a number, scaled to sum to the score.
    Occlusion,
}

/// The candidates of one request, explained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// All candidates, in their order before ranking.
    pub items: Vec<String>,
    /// Scores, as ranking uses them.
    #[serde(with = "crate::floats")]
    pub scores: Vec<f32>,
    /// Scores before a final logistic function; the same as `scores` where the model has none.
    #[serde(with = "crate::floats")]
    pub raw: Vec<f32>,
    /// What each slot adds, `f32[items, slots]`, row-major.
    #[serde(with = "crate::floats")]
    pub contributions: Vec<f32>,
}

/// What an engine is and holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The ABI version.
    pub abi: u32,
    /// `compact` or `onnx`.
    pub kind: String,
    /// Features read.
    pub features: u32,
    /// Numbers in a vector; 0 while the encoder is not fitted.
    pub width: u32,
    /// Items in the tables.
    pub items: u32,
    /// What the model is, in words; empty for none.
    pub model: String,
}

/// A reply: the encoded result, or a refusal in words.
pub type Reply<T> = Result<T, String>;

/// The reply to [`Op::Extract`].
pub type ExtractReply = Reply<Vec<Extracted>>;
/// The reply to [`Op::Encode`] and [`Op::Score`].
pub type NumbersReply = Reply<Floats>;
/// The reply to [`Op::Rank`].
pub type RankReply = Reply<Vec<Ranked>>;
/// The reply to [`Op::Explain`].
pub type ExplainReply = Reply<Explanation>;
/// The reply to [`Op::Describe`] and, as a status with a reason, to `hearth_load`.
pub type DescribeReply = Reply<Description>;

impl Op {
    /// The op with this number.
    pub fn from_u32(op: u32) -> Option<Op> {
        match op {
            0 => Some(Op::Describe),
            1 => Some(Op::Extract),
            2 => Some(Op::Encode),
            3 => Some(Op::Score),
            4 => Some(Op::Rank),
            5 => Some(Op::Explain),
            _ => None,
        }
    }
}

impl Call {
    /// Checks everything that ranking relies on.
    ///
    /// # Errors
    /// A sentence that names the request.
    pub fn check(&self, schema: &crate::schema::Schema) -> Result<(), String> {
        if let Some(k) = self.histories.iter().position(|h| !h.is_consistent()) {
            return Err(format!("history {k} is inconsistent"));
        }
        for (history, request) in &self.requests {
            if *history as usize >= self.histories.len() {
                return Err(format!("request `{}` names history {history} of {}", request.id, self.histories.len()));
            }
            request.check(schema).map_err(|e| format!("request `{}`: {e}", request.id))?;
        }
        Ok(())
    }
}
