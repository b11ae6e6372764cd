//! One instance of an engine: messages go in, replies come out, and nothing the guest says is believed unchecked.

use std::time::Duration;

use shared_features::codec;
use shared_features::wire::{ABI, Description, Op, Reply};
use wasmtime::{Engine, InstancePre, Memory, Store, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc};

use super::{HostError, Limits, TICK};

/// What a store carries.
pub(super) struct State {
    limits: StoreLimits,
}

/// A loaded instance.
pub(super) struct Instance {
    store: Store<State>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    free: TypedFunc<(u32, u32), ()>,
    call: TypedFunc<(u32, u32, u32), u64>,
}

impl Instance {
    /// Starts an instance and loads a bundle's parts into it.
    pub(super) fn load(
        engine: &Engine,
        pre: &InstancePre<State>,
        load: &[u8],
        limits: &Limits,
    ) -> Result<Instance, HostError> {
        let store_limits = StoreLimitsBuilder::new()
            .memory_size(limits.memory_bytes)
            .memories(1)
            .instances(1)
            .tables(1)
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(engine, State { limits: store_limits });
        store.limiter(|state| &mut state.limits);
        store.epoch_deadline_trap();
        store.set_epoch_deadline(ticks(limits.load));
        let fault = |e: &wasmtime::Error| fault(e, limits, limits.load);
        let instance = pre.instantiate(&mut store).map_err(|e| fault(&e))?;
        let abi = instance.get_typed_func::<(), u32>(&mut store, "hearth_abi").map_err(|e| fault(&e))?;
        let got = abi.call(&mut store, ()).map_err(|e| fault(&e))?;
        if got != ABI {
            return Err(HostError::Abi { got, expected: ABI });
        }
        let no_memory = || HostError::Compile { reason: "it exports no memory".into() };
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(no_memory)?;
        let alloc = instance.get_typed_func(&mut store, "hearth_alloc").map_err(|e| fault(&e))?;
        let free = instance.get_typed_func(&mut store, "hearth_free").map_err(|e| fault(&e))?;
        let call = instance.get_typed_func(&mut store, "hearth_call").map_err(|e| fault(&e))?;
        let start = instance.get_typed_func::<(u32, u32), u32>(&mut store, "hearth_load").map_err(|e| fault(&e))?;
        let mut instance = Instance { store, memory, alloc, free, call };
        let (ptr, len) = instance.write(load, limits, limits.load)?;
        let status = start.call(&mut instance.store, (ptr, len)).map_err(|e| fault(&e))?;
        if status != 0 {
            let reply = instance.call(Op::Describe, &codec::encode(&()), limits)?;
            let reason = match codec::decode::<Reply<Description>>(&reply, "reply") {
                Ok(Err(reason)) => reason,
                _ => format!("status {status} without a reason"),
            };
            return Err(HostError::Refused { reason });
        }
        Ok(instance)
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

fn ticks(time: Duration) -> u64 {
    // One more, as the current tick has begun already.
    (time.as_millis() / TICK.as_millis()) as u64 + 1
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
