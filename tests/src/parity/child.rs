//! A host that is a child process: chunks to its standard input, digests from its standard output,
//! each after its length in bytes as a little-endian `u32`. `examples/native_host.rs` is one.

use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::compare::Worker;

/// Starts a child.
pub fn start(name: &str, program: &Path) -> Worker {
    let program = program.to_owned();
    Worker::on_thread(name, String::new(), move || {
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let mut input = child.stdin.take().ok_or("standard input is piped")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("standard output is piped")?);
        Ok(Box::new(move |chunk| {
            let mut exchange = || -> std::io::Result<Vec<u8>> {
                input.write_all(&(chunk.len() as u32).to_le_bytes())?;
                input.write_all(chunk)?;
                input.flush()?;
                let mut length = [0; 4];
                output.read_exact(&mut length)?;
                let mut digests = vec![0; u32::from_le_bytes(length) as usize];
                output.read_exact(&mut digests)?;
                Ok(digests)
            };
            let bytes = exchange().map_err(|e| e.to_string())?;
            Ok(bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect())
        }))
    })
}
