//! Data: everything from raw events to a labelled feature log.
//!
//! A DATA folder ([`store`]) is made by [`import`] or [`simulate`]; [`replay`] drives it through the engine into a
//! feature log ([`feature_log`]), and [`labels`] say what people did with what they were shown ([`labelled`]).
//! What edges upload is kept in a store ([`warehouse`]).

pub mod collected;
pub mod edge_log;
pub mod feature_log;
pub mod import;
pub mod labelled;
pub mod labels;
pub mod replay;
pub mod simulate;
pub mod store;
pub mod tables;
pub mod vectors;
pub mod warehouse;
