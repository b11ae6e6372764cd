//! Feature arithmetic of Hearth; placeholder while the crate is laid out.
#![forbid(unsafe_code)]
pub mod event;
