//! Code at once: a compiler that takes one pass, for the time until better code is there.
//!
//! An edge that has nothing to answer with starts on it. It makes the same bits, several times slower.
//! Where it cannot run an engine, as on processors that it does not know, the better code is waited for.

use std::sync::{Arc, Mutex};

use shared_features::digest::Digest;
use wasmtime::{Engine, Strategy};

use super::instance::Code;
use super::{lock, settings};

/// The fast compiler, with what it compiled last.
pub(super) struct Quick {
    pub(super) engine: Engine,
    last: Mutex<Option<(Digest, Arc<Code>)>>,
}

impl Quick {
    /// `None` where this machine has no such compiler.
    pub(super) fn new() -> Option<Quick> {
        let mut config = settings();
        config.strategy(Strategy::Winch);
        let engine = Engine::new(&config).ok()?;
        Some(Quick { engine, last: Mutex::default() })
    }

    /// An engine's code; `None` where this compiler cannot make it.
    pub(super) fn code(&self, wasm: &[u8], digest: Digest) -> Option<Arc<Code>> {
        let mut last = lock(&self.last);
        if let Some((known, code)) = &*last
            && *known == digest
        {
            return Some(Arc::clone(code));
        }
        let code = Arc::new(Code::compile(&self.engine, wasm).ok()?);
        *last = Some((digest, Arc::clone(&code)));
        Some(code)
    }

    /// Gives back what the last code takes.
    pub(super) fn forget(&self) {
        *lock(&self.last) = None;
    }
}
