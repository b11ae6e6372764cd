//! Feature arithmetic of Hearth: events, history, schema, sources, transforms, encoder, baselines, wire messages.
//!
//! It exists once, and the trainer, the edge and the guest all run it.
//! There is no I/O, clock, ambient randomness, thread or global state in here, and every number obeys [`numeric`].
//!
//! The path of a value: a [`request`] and a [`history`] and [`tables`] make a [`scene`]; a [`source`] reads a value;
//! [`transform`]s turn it into numbers; the [`encoder`] puts them into a vector; a model scores it; [`slate`] ranks.
#![forbid(unsafe_code)]

pub mod codec;
pub mod column;
pub mod digest;
pub mod duration;
pub mod encoder;
pub mod event;
pub mod expression;
pub mod feature_log;
pub mod floats;
pub mod history;
pub mod numeric;
pub mod order;
pub mod policy;
pub mod printable;
pub mod random;
pub mod rank;
pub mod request;
pub mod scene;
pub mod schema;
pub mod slate;
pub mod source;
#[cfg(feature = "spec")]
pub mod spec;
pub mod tables;
pub mod transform;
pub mod wire;

#[cfg(test)]
mod properties;
