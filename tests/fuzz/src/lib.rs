//! What is done with bytes from nowhere: a function a fuzz target, none of which may panic.
//!
//! The fuzzers in `fuzz_targets` call them, and `tests/tests/fuzz.rs` calls them with every file of `corpus`, so that
//! what was found once is tested for ever. `bundle` holds one bundle's parts, for targets that alter one part of a good
//! whole. Both were written by `tests/examples/fuzz_corpus`, through the real encoders.
//!
//! Beside not panicking: what is accepted is the same after being written and read again, and what ranks, ranks.

pub mod guest;
pub mod host;

/// What a target does with bytes.
pub type Target = fn(&[u8]);

/// Every target by name, with what it does.
pub const TARGETS: [(&str, Target); 15] = [
    ("encoder", guest::encoder),
    ("policy", guest::policy),
    ("tables", guest::tables),
    ("history", guest::history),
    ("message", guest::message),
    ("onnx", guest::onnx),
    ("spec", guest::spec),
    ("event", guest::event),
    ("manifest", host::manifest),
    ("document", host::document),
    ("engine", host::engine),
    ("profile", host::profile),
    ("spool", host::spool),
    ("batch", host::batch),
    ("parity", host::parity),
];
