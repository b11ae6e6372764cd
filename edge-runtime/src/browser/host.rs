//! The sandbox of a page: engines run in the browser's own WebAssembly, which gives them nothing to import.
//!
//! The interface is that of the server's `host`, so that everything built on it is the same code.
//! A [`Guest`] keeps what its engine's memory held once the bundle was loaded; every call gets a new instance of the
//! compiled engine with those bytes copied in, as the server's copy-on-write image does, so that nothing of one
//! request is there for the next one.
//!
//! Mutable globals are no part of those bytes: an engine whose globals differ after loading was refused by the host
//! that published it, and fails the golden self-test here.
//! A page cannot interrupt a call: whoever needs a deadline runs the edge in a worker and ends the worker.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::{BigInt, Function, Object, Reflect, Uint8Array, WebAssembly};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared_features::codec;
use shared_features::digest::Digest;
use shared_features::encoder::Values;
use shared_features::floats::Floats;
use shared_features::rank::Ranked;
use shared_features::wire::{ABI, Call, Description, Explanation, Load, Op, Reply};
use wasm_bindgen::prelude::*;

use crate::browser::words;
use crate::bundle::{EngineError, check_engine};

/// The page size of WebAssembly's memories.
const PAGE: u32 = 65_536;

/// Compiled engines by digest.
#[derive(Clone, Default)]
pub struct Host {
    compiled: Rc<RefCell<BTreeMap<Digest, WebAssembly::Module>>>,
}

/// What a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes; looked at after each call.
    pub memory_bytes: u32,
}

/// A loaded bundle.
pub struct Guest {
    module: WebAssembly::Module,
    memory: Uint8Array,
    limits: Limits,
}

/// Why a guest gives no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The engine's file is refused.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// The browser cannot compile or start it.
    #[error("the engine cannot be compiled or started: {reason}")]
    Compile {
        /// Why.
        reason: String,
    },
    /// Another ABI.
    #[error("the engine speaks ABI {got}, this host {expected}; publish with an engine of this version")]
    Abi {
        /// The engine's.
        got: u32,
        /// This host's.
        expected: u32,
    },
    /// The guest trapped.
    #[error("the engine trapped: {reason}")]
    Trap {
        /// What the browser says.
        reason: String,
    },
    /// The guest needs more memory than it may have.
    #[error("the engine needs more than {limit} bytes of memory")]
    Memory {
        /// The limit.
        limit: u32,
    },
    /// The guest refused its input, in its own words.
    #[error("the engine refused: {}", shared_features::printable::sentence(.reason))]
    Refused {
        /// Its words.
        reason: String,
    },
    /// A reply that is not one.
    #[error("the engine's reply makes no sense: {reason}")]
    Reply {
        /// Why.
        reason: String,
    },
}

/// One instance.
struct Instance {
    exports: Object,
    memory: WebAssembly::Memory,
}

impl Limits {
    /// For answering requests.
    pub fn serving() -> Limits {
        Limits { memory_bytes: 256 << 20 }
    }
}

impl Host {
    /// Checks and compiles an engine, once for each digest.
    fn compile(&self, wasm: &[u8]) -> Result<WebAssembly::Module, HostError> {
        let digest = Digest::of(wasm);
        if let Some(module) = self.compiled.borrow().get(&digest) {
            return Ok(module.clone());
        }
        check_engine(wasm)?;
        let module = WebAssembly::Module::new(&Uint8Array::from(wasm)).map_err(|e| compile(&e))?;
        self.compiled.borrow_mut().insert(digest, module.clone());
        Ok(module)
    }
}

impl Guest {
    /// Checks and compiles an engine, loads a bundle's parts into it, and keeps what its memory then holds.
    ///
    /// # Errors
    /// An engine that is refused, or parts that the engine refuses.
    pub fn new(host: &Host, wasm: &[u8], load: &Load, limits: Limits) -> Result<Guest, HostError> {
        let module = host.compile(wasm)?;
        let first = Instance::start(&module)?;
        let got = number(&first.invoke("hearth_abi", &[])?);
        if got != ABI {
            return Err(HostError::Abi { got, expected: ABI });
        }
        let (ptr, len) = first.write(&codec::encode(load), &limits)?;
        if number(&first.invoke("hearth_load", &[ptr, len])?) != 0 {
            let reply = first.call(Op::Describe, &codec::encode(&()), &limits)?;
            let reason = match codec::decode::<Reply<Description>>(&reply, "reply") {
                Ok(Err(reason)) => reason,
                _ => "it gives no reason".into(),
            };
            return Err(HostError::Refused { reason });
        }
        // A copy: the view's own buffer is the instance's.
        let memory = first.bytes().slice(0, first.bytes().length());
        Ok(Guest { module, memory, limits })
    }

    /// What the engine is and holds.
    ///
    /// # Errors
    /// The engine fails.
    pub fn describe(&self) -> Result<Description, HostError> {
        self.call(Op::Describe, &())
    }

    /// The vectors of values, row-major.
    ///
    /// # Errors
    /// The engine fails or refuses the values.
    pub fn encode(&self, values: &Values) -> Result<Vec<f32>, HostError> {
        self.call(Op::Encode, values).map(|Floats(vectors)| vectors)
    }

    /// A score for each vector.
    ///
    /// # Errors
    /// The engine fails or refuses the vectors.
    pub fn score(&self, vectors: &[f32]) -> Result<Vec<f32>, HostError> {
        self.call(Op::Score, &Floats(vectors.to_vec())).map(|Floats(scores)| scores)
    }

    /// The slate and log rows of each request.
    ///
    /// # Errors
    /// The engine fails or refuses a request.
    pub fn rank(&self, call: &Call) -> Result<Vec<Ranked>, HostError> {
        let ranked: Vec<Ranked> = self.call(Op::Rank, call)?;
        if ranked.len() != call.requests.len() {
            let reason = format!("{} answers to {} requests", ranked.len(), call.requests.len());
            return Err(HostError::Reply { reason });
        }
        Ok(ranked)
    }

    /// What each number of a vector adds to the score of each candidate, as the engine says it: nothing is checked.
    ///
    /// # Errors
    /// The engine fails or refuses a request.
    pub fn explain(&self, call: &Call) -> Result<Explanation, HostError> {
        self.call(Op::Explain, call)
    }

    fn call<M: Serialize, R: DeserializeOwned>(&self, op: Op, message: &M) -> Result<R, HostError> {
        let instance = Instance::start(&self.module)?;
        instance.restore(&self.memory)?;
        let reply = instance.call(op, &codec::encode(message), &self.limits)?;
        let reply: Reply<R> = codec::decode(&reply, "reply").map_err(|e| HostError::Reply { reason: e.to_string() })?;
        reply.map_err(|reason| HostError::Refused { reason })
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Instance {
    fn start(module: &WebAssembly::Module) -> Result<Instance, HostError> {
        let started = WebAssembly::Instance::new(module, &Object::new()).map_err(|e| compile(&e))?;
        let exports = started.exports();
        let memory = Reflect::get(&exports, &"memory".into()).map_err(|e| compile(&e))?;
        let memory = memory.dyn_into::<WebAssembly::Memory>().map_err(|e| compile(&e))?;
        Ok(Instance { exports, memory })
    }

    /// Makes the memory what it was when `image` was taken.
    fn restore(&self, image: &Uint8Array) -> Result<(), HostError> {
        let more = image.length().saturating_sub(self.bytes().length()) / PAGE;
        if more > 0 {
            let grow = Reflect::get(&self.memory, &"grow".into()).map_err(|e| compile(&e))?;
            let grow = grow.dyn_into::<Function>().map_err(|e| compile(&e))?;
            grow.call1(&self.memory, &more.into()).map_err(|e| compile(&e))?;
        }
        self.bytes().set(image, 0);
        Ok(())
    }

    /// Runs an op and copies its reply out; the instance is not used again, so the reply is not freed.
    fn call(&self, op: Op, message: &[u8], limits: &Limits) -> Result<Vec<u8>, HostError> {
        let (ptr, len) = self.write(message, limits)?;
        let packed = self.invoke("hearth_call", &[op as u32, ptr, len])?;
        let malformed = || HostError::Reply { reason: "no 64-bit number".into() };
        let packed = packed.dyn_into::<BigInt>().map_err(|_| malformed())?;
        let packed = u64::try_from(BigInt::as_uint_n(64.0, &packed)).map_err(|_| malformed())?;
        let (ptr, len) = ((packed >> 32) as u32, packed as u32);
        let memory = self.bytes();
        if memory.length() > limits.memory_bytes {
            return Err(HostError::Memory { limit: limits.memory_bytes });
        }
        match ptr.checked_add(len) {
            Some(end) if ptr > 0 && end <= memory.length() => Ok(memory.subarray(ptr, end).to_vec()),
            _ => {
                let reason = format!("{len} bytes at {ptr} of a memory of {}", memory.length());
                Err(HostError::Reply { reason })
            }
        }
    }

    /// Copies a message into a buffer of the guest.
    fn write(&self, message: &[u8], limits: &Limits) -> Result<(u32, u32), HostError> {
        let too_large = || HostError::Memory { limit: limits.memory_bytes };
        let len = u32::try_from(message.len()).map_err(|_| too_large())?;
        let ptr = number(&self.invoke("hearth_alloc", &[len])?);
        let memory = self.bytes();
        if ptr == 0 || memory.length() > limits.memory_bytes {
            return Err(too_large());
        }
        match ptr.checked_add(len) {
            Some(end) if end <= memory.length() => memory.subarray(ptr, end).copy_from(message),
            _ => return Err(HostError::Reply { reason: format!("a buffer at {ptr} that is not in its memory") }),
        }
        Ok((ptr, len))
    }

    /// Calls an export that [`check_engine`] has seen.
    fn invoke(&self, name: &str, arguments: &[u32]) -> Result<JsValue, HostError> {
        let trap = |e: JsValue| HostError::Trap { reason: words(&e) };
        let function = Reflect::get(&self.exports, &name.into()).map_err(trap)?;
        let function = function.dyn_into::<Function>().map_err(trap)?;
        let arguments = arguments.iter().map(|&x| JsValue::from(x)).collect();
        Reflect::apply(&function, &JsValue::UNDEFINED, &arguments).map_err(trap)
    }

    /// The memory as it is now; growing it takes this view away.
    fn bytes(&self) -> Uint8Array {
        Uint8Array::new(&self.memory.buffer())
    }
}

/// A 32-bit result; the browser gives it with a sign.
fn number(result: &JsValue) -> u32 {
    result.as_f64().map_or(0, |x| x as i64 as u32)
}

fn compile(error: &JsValue) -> HostError {
    HostError::Compile { reason: words(error) }
}
