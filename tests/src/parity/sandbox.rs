//! The engine in wasmtime: compiled by Cranelift or by Winch, or in the Pulley interpreter.

use wasmtime::{Config, Engine, Instance, Memory, Module, Store, Strategy, TypedFunc};

use super::chunk::{self, LOAD};
use super::compare::Worker;

/// wasmtime with Cranelift.
pub fn cranelift(wasm: &[u8]) -> Worker {
    worker("wasmtime, Cranelift", |_| Ok(()), wasm)
}

/// wasmtime with the one-pass compiler Winch, on which a cold edge starts.
pub fn winch(wasm: &[u8]) -> Worker {
    let set = |config: &mut Config| {
        config.strategy(Strategy::Winch);
        Ok(())
    };
    worker("wasmtime, Winch", set, wasm)
}

/// wasmtime with the Pulley interpreter.
pub fn pulley(wasm: &[u8]) -> Worker {
    worker("wasmtime, Pulley", |config| config.target("pulley64").map(drop), wasm)
}

fn worker(name: &str, set: fn(&mut Config) -> wasmtime::Result<()>, wasm: &[u8]) -> Worker {
    let wasm = wasm.to_vec();
    Worker::on_thread(name, version(), move || {
        let mut guest = Guest::start(set, &wasm).map_err(|e| format!("{e:#}"))?;
        Ok(Box::new(move |chunk| {
            chunk::answer(chunk, |op, message| guest.answer(op, message).map_err(|e| format!("{e:#}")))
        }))
    })
}

/// What Cargo.lock says.
fn version() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let rest = lock.split_once("name = \"wasmtime\"\nversion = \"").map_or("", |(_, rest)| rest);
    rest.split('"').next().unwrap_or("").to_owned()
}

struct Guest {
    store: Store<()>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    free: TypedFunc<(u32, u32), ()>,
    load: TypedFunc<(u32, u32), u32>,
    call: TypedFunc<(u32, u32, u32), u64>,
}

impl Guest {
    fn start(set: fn(&mut Config) -> wasmtime::Result<()>, wasm: &[u8]) -> wasmtime::Result<Guest> {
        let mut config = Config::new();
        set(&mut config)?;
        let engine = Engine::new(&config)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &Module::new(&engine, wasm)?, &[])?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| wasmtime::Error::msg("no memory"))?;
        let alloc = instance.get_typed_func(&mut store, "hearth_alloc")?;
        let free = instance.get_typed_func(&mut store, "hearth_free")?;
        let load = instance.get_typed_func(&mut store, "hearth_load")?;
        let call = instance.get_typed_func(&mut store, "hearth_call")?;
        Ok(Guest { store, memory, alloc, free, load, call })
    }

    fn answer(&mut self, op: u32, message: &[u8]) -> wasmtime::Result<Vec<u8>> {
        let len = message.len() as u32;
        let ptr = self.alloc.call(&mut self.store, len)?;
        self.memory.write(&mut self.store, ptr as usize, message)?;
        if op == LOAD {
            return Ok(vec![self.load.call(&mut self.store, (ptr, len))? as u8]);
        }
        let packed = self.call.call(&mut self.store, (op, ptr, len))?;
        let (ptr, len) = ((packed >> 32) as u32, packed as u32);
        let mut reply = vec![0; len as usize];
        self.memory.read(&self.store, ptr as usize, &mut reply)?;
        self.free.call(&mut self.store, (ptr, len))?;
        Ok(reply)
    }
}
