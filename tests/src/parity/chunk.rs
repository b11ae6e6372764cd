//! Chunks: messages for an engine as bytes, and the digest of a reply. `worker.mjs` does the same in JavaScript.
//!
//! A chunk is frames one after the other: the op and the message's length as little-endian `u32`, then the message.
//! The op [`LOAD`] loads a bundle; its reply is the status as one byte.

/// Loads a bundle instead of calling an op.
pub const LOAD: u32 = u32::MAX;

/// A chunk being written.
#[derive(Default)]
pub struct Chunk(pub Vec<u8>);

impl Chunk {
    /// Adds a message.
    pub fn push(&mut self, op: u32, message: &[u8]) {
        self.0.extend_from_slice(&op.to_le_bytes());
        self.0.extend_from_slice(&(message.len() as u32).to_le_bytes());
        self.0.extend_from_slice(message);
    }
}

/// The digest of every reply of a chunk; `answer` gives the reply to an op and a message.
///
/// # Errors
/// The first error of `answer`, or bytes that are no chunk.
pub fn answer(
    mut chunk: &[u8],
    mut answer: impl FnMut(u32, &[u8]) -> Result<Vec<u8>, String>,
) -> Result<Vec<u64>, String> {
    let mut digests = Vec::new();
    while !chunk.is_empty() {
        let (head, rest) = chunk.split_at_checked(8).ok_or("half a frame")?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (message, rest) = rest.split_at_checked(number(4) as usize).ok_or("half a message")?;
        digests.push(digest(&answer(number(0), message)?));
        chunk = rest;
    }
    Ok(digests)
}

/// A digest of bytes, in arithmetic that JavaScript has too: two 32-bit lanes over little-endian words.
///
/// Each step is a bijection of a lane, so that two replies that differ in one word never have the same digest.
pub fn digest(bytes: &[u8]) -> u64 {
    let (mut a, mut b) = (0x9e37_79b9u32, 0x85eb_ca6bu32);
    let mut step = |word: u32| {
        a = (a ^ word).rotate_left(13).wrapping_mul(0xcc9e_2d51);
        b = b.wrapping_add(word).rotate_left(19).wrapping_mul(0x1b87_3593);
    };
    let words = bytes.chunks_exact(4);
    let rest = words.remainder();
    words.for_each(|w| step(u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
    rest.iter().for_each(|&byte| step(u32::from(byte)));
    step(bytes.len() as u32);
    u64::from(b) << 32 | u64::from(a)
}
