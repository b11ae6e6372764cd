//! The engine, linked natively, as a child process of parity: chunks come in, digests of their replies go out.
//!
//! Parity's self-check builds this file against altered copies of the crates.

use std::io::{Read, Write};

use shared_features::codec;
use wasm_model::engine::{Engine, dispatch};

#[path = "../src/parity/chunk.rs"]
#[allow(dead_code, reason = "it reads chunks and writes none")]
mod chunk;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut engine = Err(String::new());
    loop {
        let mut length = [0; 4];
        match input.read_exact(&mut length) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut bytes)?;
        let digests = chunk::answer(&bytes, |op, message| {
            if op != chunk::LOAD {
                return Ok(dispatch(&engine, op, message));
            }
            let load = codec::decode(message, "load").map_err(|e| e.to_string())?;
            engine = Engine::load(&load).map_err(|e| e.to_string());
            Ok(vec![u8::from(engine.is_err())])
        })?;
        output.write_all(&(8 * digests.len() as u32).to_le_bytes())?;
        output.write_all(&digests.iter().flat_map(|d| d.to_le_bytes()).collect::<Vec<u8>>())?;
        output.flush()?;
    }
}
