//! Data: everything from raw events to a labelled feature log.
//!
//! A DATA folder ([`store`]) is made by [`import`] or [`simulate`]; [`replay`] drives it through the engine into a
//! feature log ([`feature_log`]), and [`labels`] say what people did with what they were shown ([`labelled`]).
//! What edges upload is kept in a store ([`warehouse`]); [`build`] joins what is larger than memory.
//! What is in the data is said by its [`statistics`], what should be by a [`schema`], and whether it is by [`validation`].

pub mod build;
pub mod collected;
pub mod compare;
pub mod edge_log;
pub mod engine;
pub mod feature_log;
pub mod forget;
pub mod import;
pub mod labelled;
pub mod labels;
pub mod observed;
pub mod query;
pub mod raw_requests;
pub mod replay;
pub mod schema;
pub mod shard;
pub mod simulate;
pub mod statistics;
pub mod store;
pub mod tables;
#[cfg(test)]
mod taxi;
pub mod validation;
pub mod vectors;
pub mod warehouse;
mod whole_file;
