//! The C ABI, version 1: the guest's unsafe code beside its allocator.
//!
//! Buffers: the host asks for one with `hearth_alloc`, writes it and passes it to `hearth_load` or `hearth_call`,
//! which take it over. A reply is the guest's; the host frees it with `hearth_free`.
//! A guest has one thread and one engine; loading again replaces it.
#![allow(unsafe_code)]
// The exports are the engine's, not the crate's.
#![allow(unreachable_pub)]

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;

use shared_features::codec;
use shared_features::wire::{ABI, Load, Reply};

use crate::engine::{Engine, dispatch};

thread_local! {
    static ENGINE: RefCell<Reply<Engine>> = const { RefCell::new(Err(String::new())) };
}

#[cfg(not(feature = "onnx"))]
#[global_allocator]
static POOL: crate::pool::Pool = crate::pool::Pool::new(|pages| {
    let before = core::arch::wasm32::memory_grow(0, pages);
    (before != usize::MAX).then(|| before * crate::pool::PAGE)
});

fn layout(len: u32) -> Option<Layout> {
    Layout::from_size_align((len as usize).max(1), 8).ok()
}

/// The version of this ABI.
#[unsafe(no_mangle)]
pub extern "C" fn hearth_abi() -> u32 {
    ABI
}

/// A buffer of `len` bytes, or null where there is no memory left.
#[unsafe(no_mangle)]
pub extern "C" fn hearth_alloc(len: u32) -> *mut u8 {
    match layout(len) {
        // SAFETY: the layout has a size of at least 1.
        Some(layout) => unsafe { alloc(layout) },
        None => std::ptr::null_mut(),
    }
}

/// Frees a buffer of `hearth_alloc` or a reply.
///
/// # Safety
/// `ptr` and `len` are those of one buffer or reply that was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hearth_free(ptr: *mut u8, len: u32) {
    if let (false, Some(layout)) = (ptr.is_null(), layout(len)) {
        // SAFETY: the caller's contract; every buffer was made with this layout.
        unsafe { dealloc(ptr, layout) }
    }
}

/// Loads a [`Load`] message; 0 where it is accepted, 1 where it is refused (`describe` then says why).
///
/// # Safety
/// `ptr` and `len` are those of one buffer of `hearth_alloc`, written in full.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hearth_load(ptr: *mut u8, len: u32) -> u32 {
    // SAFETY: the caller's contract.
    let message = unsafe { Message::take(ptr, len) };
    let loaded = codec::decode::<Load>(message.bytes(), "load")
        .map_err(|e| e.to_string())
        .and_then(|load| Engine::load(&load).map_err(|e| e.to_string()));
    drop(message);
    let status = u32::from(loaded.is_err());
    ENGINE.with(|engine| *engine.borrow_mut() = loaded);
    status
}

/// Runs an op; the reply's address in the upper half, its length in the lower.
///
/// # Safety
/// `ptr` and `len` are those of one buffer of `hearth_alloc`, written in full.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hearth_call(op: u32, ptr: *mut u8, len: u32) -> u64 {
    // SAFETY: the caller's contract.
    let message = unsafe { Message::take(ptr, len) };
    let reply = ENGINE.with(|engine| dispatch(&engine.borrow(), op, message.bytes()));
    let len = reply.len() as u32;
    let out = hearth_alloc(len);
    if out.is_null() {
        return 0;
    }
    // SAFETY: `out` has `len` bytes and overlaps nothing.
    unsafe { std::ptr::copy_nonoverlapping(reply.as_ptr(), out, reply.len()) };
    (out as usize as u64) << 32 | u64::from(len)
}

/// A buffer that the host handed over; freed when dropped.
struct Message {
    ptr: *mut u8,
    len: u32,
}

impl Message {
    /// # Safety
    /// See [`hearth_call`].
    unsafe fn take(ptr: *mut u8, len: u32) -> Message {
        Message { ptr, len }
    }

    fn bytes(&self) -> &[u8] {
        if self.ptr.is_null() {
            return &[];
        }
        // SAFETY: `take`'s contract: the buffer has `len` written bytes and is ours.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len as usize) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: `take`'s contract, and nothing else frees it.
        unsafe { hearth_free(self.ptr, self.len) }
    }
}
