//! One instance of an engine: messages go in, replies come out, and nothing the guest says is believed unchecked.

use std::time::Duration;

use shared_features::codec;
use shared_features::wire::{ABI, Description, Op, Reply};
use wasmtime::{Engine, Instance as Started, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc};

use super::image::{self, GLOBAL, Parts};
use super::{HostError, Limits, TICK};

/// A compiled engine, and what its memory begins with.
pub(super) struct Code {
    module: Module,
    parts: Parts,
}

/// A loaded bundle: an engine's code, and the memory that it loaded the bundle into.
#[derive(Clone)]
pub(super) struct Image {
    code: Module,
    memory: Module,
}

/// A loaded instance.
pub(super) struct Instance {
    store: Store<StoreLimits>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    free: TypedFunc<(u32, u32), ()>,
    call: TypedFunc<(u32, u32, u32), u64>,
    started: Started,
}

impl Code {
    /// Takes apart and compiles an engine.
    pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> Result<Code, HostError> {
        let mut parts = image::take_apart(wasm).map_err(|reason| HostError::Compile { reason })?;
        let module = Module::new(engine, std::mem::take(&mut parts.code)).map_err(compile)?;
        Ok(Code { module, parts })
    }

    /// An engine that was taken apart and compiled before; the code is no part of it any more.
    pub(super) fn restore(module: Module, data: Vec<u8>, pages: (u64, Option<u64>), globals: u32) -> Code {
        Code { module, parts: Parts { code: Vec::new(), data, memory: image::memory_type(pages.0, pages.1), globals } }
    }

    /// The compiled code, and the rest.
    pub(super) fn parts(&self) -> (&Module, &Parts) {
        (&self.module, &self.parts)
    }

    /// Loads a bundle's parts into a first instance and takes the image of its memory.
    pub(super) fn load(&self, load: &[u8], limits: &Limits) -> Result<Image, HostError> {
        let engine = self.module.engine();
        let memory =
            |data: &[u8], pages| Module::new(engine, image::memory(data, pages, &self.parts.memory)).map_err(compile);
        let own = Image { code: self.module.clone(), memory: memory(&self.parts.data, self.parts.memory.minimum)? };
        let mut first = own.start(limits, limits.load)?;
        let fault = |e: wasmtime::Error| fault(&e, limits, limits.load);
        let abi = first.started.get_typed_func::<(), u32>(&mut first.store, "hearth_abi").map_err(fault)?;
        let got = abi.call(&mut first.store, ()).map_err(fault)?;
        if got != ABI {
            return Err(HostError::Abi { got, expected: ABI });
        }
        let globals = first.globals(self.parts.globals);
        let start = first.started.get_typed_func::<(u32, u32), u32>(&mut first.store, "hearth_load").map_err(fault)?;
        let (ptr, len) = first.write(load, limits, limits.load)?;
        let status = start.call(&mut first.store, (ptr, len)).map_err(fault)?;
        if status != 0 {
            let reply = first.call(Op::Describe, &codec::encode(&()), limits)?;
            let reason = match codec::decode::<Reply<Description>>(&reply, "reply") {
                Ok(Err(reason)) => reason,
                _ => format!("status {status} without a reason"),
            };
            return Err(HostError::Refused { reason });
        }
        if first.globals(self.parts.globals) != globals {
            let reason = "its globals are not what they were before it loaded the bundle".into();
            return Err(HostError::Compile { reason });
        }
        let pages = first.memory.size(&first.store);
        Ok(Image { code: self.module.clone(), memory: memory(first.memory.data(&first.store), pages)? })
    }
}

impl Image {
    /// The image of a bundle that was loaded before.
    pub(super) fn of(code: &Code, memory: Module) -> Image {
        Image { code: code.module.clone(), memory }
    }

    /// What every instance's memory begins with.
    pub(super) fn memory(&self) -> &Module {
        &self.memory
    }

    /// Whether its code was made for this engine of wasmtime.
    pub(super) fn is_of(&self, engine: Option<&Engine>) -> bool {
        engine.is_some_and(|engine| Engine::same(engine, self.code.engine()))
    }

    /// Starts an instance that has the bundle loaded.
    pub(super) fn start(&self, limits: &Limits, time: Duration) -> Result<Instance, HostError> {
        let store_limits = StoreLimitsBuilder::new()
            .memory_size(limits.memory_bytes)
            .memories(1)
            .instances(2)
            .tables(1)
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(self.code.engine(), store_limits);
        store.limiter(|limits| limits);
        store.epoch_deadline_trap();
        store.set_epoch_deadline(ticks(time));
        let fault = |e: wasmtime::Error| fault(&e, limits, time);
        let memory = Started::new(&mut store, &self.memory, &[]).map_err(fault)?;
        let memory = memory.get_memory(&mut store, "memory").ok_or_else(no_memory)?;
        let started = Started::new(&mut store, &self.code, &[memory.into()]).map_err(fault)?;
        let alloc = started.get_typed_func(&mut store, "hearth_alloc").map_err(fault)?;
        let free = started.get_typed_func(&mut store, "hearth_free").map_err(fault)?;
        let call = started.get_typed_func(&mut store, "hearth_call").map_err(fault)?;
        Ok(Instance { store, memory, alloc, free, call, started })
    }
}

impl Instance {
    /// Mutable globals; the bits of numbers, and nothing of references, which an engine has none of.
    fn globals(&mut self, count: u32) -> Vec<Option<u64>> {
        (0..count)
            .map(|k| match self.started.get_global(&mut self.store, &format!("{GLOBAL}{k}"))?.get(&mut self.store) {
                wasmtime::Val::I32(x) => Some(x as u32 as u64),
                wasmtime::Val::I64(x) => Some(x as u64),
                wasmtime::Val::F32(x) => Some(x.into()),
                wasmtime::Val::F64(x) => Some(x),
                _ => None,
            })
            .collect()
    }

    /// The linear memory it has grown to, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Runs an op and copies its reply out.
    pub(super) fn call(&mut self, op: Op, message: &[u8], limits: &Limits) -> Result<Vec<u8>, HostError> {
        self.store.set_epoch_deadline(ticks(limits.call));
        let (ptr, len) = self.write(message, limits, limits.call)?;
        let fault = |e: wasmtime::Error| fault(&e, limits, limits.call);
        let packed = self.call.call(&mut self.store, (op as u32, ptr, len)).map_err(fault)?;
        let (ptr, len) = ((packed >> 32) as u32, packed as u32);
        let end = u64::from(ptr) + u64::from(len);
        let memory = self.memory.data(&self.store);
        let reply = match (usize::try_from(end), ptr) {
            (Ok(end), 1..) if end <= memory.len() => memory[ptr as usize..end].to_vec(),
            _ => {
                let reason = format!("{len} bytes at {ptr} of a memory of {}", memory.len());
                return Err(HostError::Reply { reason });
            }
        };
        self.free.call(&mut self.store, (ptr, len)).map_err(fault)?;
        Ok(reply)
    }

    /// Copies a message into a buffer of the guest.
    fn write(&mut self, message: &[u8], limits: &Limits, time: Duration) -> Result<(u32, u32), HostError> {
        let too_large = || HostError::Memory { limit: limits.memory_bytes };
        let len = u32::try_from(message.len()).map_err(|_| too_large())?;
        let ptr = self.alloc.call(&mut self.store, len).map_err(|e| fault(&e, limits, time))?;
        if ptr == 0 {
            return Err(too_large());
        }
        self.memory
            .write(&mut self.store, ptr as usize, message)
            .map_err(|_| HostError::Reply { reason: format!("a buffer at {ptr} that is not in its memory") })?;
        Ok((ptr, len))
    }
}

fn compile(error: wasmtime::Error) -> HostError {
    HostError::Compile { reason: format!("{error:#}") }
}

fn no_memory() -> HostError {
    HostError::Compile { reason: "it exports no memory".into() }
}

/// Ticks from now, bounded so that the clock's count can be added.
fn ticks(time: Duration) -> u64 {
    // One more, as the current tick has begun already.
    u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).min(u64::MAX / 2) + 1
}

fn fault(error: &wasmtime::Error, limits: &Limits, time: Duration) -> HostError {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => HostError::Deadline { ms: time.as_millis() as u64 },
        Some(trap) => HostError::Trap { reason: trap.to_string() },
        None => {
            let reason = format!("{error:#}");
            if reason.contains("grow") {
                HostError::Memory { limit: limits.memory_bytes }
            } else {
                HostError::Trap { reason }
            }
        }
    }
}
