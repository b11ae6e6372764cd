//! The compact guest's memory: blocks of some sizes, and of each size a list of those that are free.
//!
//! A request takes and gives back thousands of small blocks, which here are a few instructions each.
//! Blocks are never joined or split, so how much of each size a call needs depends on the call alone: whatever calls
//! come, memory grows to the largest need of each size and no further.
//! The price is up to a fifth of a block that is not used, and memory that one size had is of no use to another.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::null_mut;

/// The smallest block, and what blocks are aligned to.
const UNIT: usize = 16;
/// Sizes up to 2 GiB.
const SIZES: usize = 112;
/// What memory grows by.
pub(crate) const PAGE: usize = 65_536;

/// All memory from the end of the program's own data on.
pub(crate) struct Pool {
    /// The first free block of each size; a free block begins with the address of the next one.
    free: [Cell<*mut u8>; SIZES],
    /// What was never used: from here to the end of memory.
    unused: Cell<usize>,
    end: Cell<usize>,
    grow: Grow,
}

/// Makes the memory so many pages longer, and gives the address of the first one; `None` where there are no more.
pub(crate) type Grow = fn(usize) -> Option<usize>;

// SAFETY: a guest has one thread.
unsafe impl Sync for Pool {}

impl Pool {
    /// All memory that `grow` gives.
    pub(crate) const fn new(grow: Grow) -> Pool {
        let free = [const { Cell::new(null_mut()) }; SIZES];
        Pool { free, unused: Cell::new(0), end: Cell::new(0), grow }
    }

    /// A block that was never used; null where memory does not grow.
    fn take(&self, size: usize) -> *mut u8 {
        // Once more where what is new does not begin where the old ends: then what was left does not count.
        while self.end.get() - self.unused.get() < size {
            let left = self.end.get() - self.unused.get();
            let pages = (size - left).div_ceil(PAGE);
            let Some(start) = (self.grow)(pages) else { return null_mut() };
            if start != self.end.get() {
                self.unused.set(start);
            }
            self.end.set(start + pages * PAGE);
        }
        let block = self.unused.get();
        self.unused.set(block + size);
        block as *mut u8
    }
}

// SAFETY: blocks come from memory that nothing else uses, each is as large as its size says and aligned to `UNIT`,
// and one is in a list of free blocks only from `dealloc` to the next `alloc`.
unsafe impl GlobalAlloc for Pool {
    // One copy of it for all callers.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > UNIT {
            return null_mut();
        }
        let (number, size) = block(layout.size());
        let first = self.free[number].get();
        if first.is_null() {
            return self.take(size);
        }
        // SAFETY: a free block begins with an address, and is aligned for it.
        self.free[number].set(unsafe { first.cast::<*mut u8>().read() });
        first
    }

    #[inline(never)]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let list = &self.free[block(layout.size()).0];
        // SAFETY: the block is free from now on, at least `UNIT` bytes long, and aligned.
        unsafe { ptr.cast::<*mut u8>().write(list.get()) };
        list.set(ptr);
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if block(layout.size()).0 == block(size).0 {
            return ptr;
        }
        // SAFETY: `Layout`s that were valid differ in their size, which the caller keeps within limits.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both have the smaller of the two sizes, and the new block overlaps nothing that is in use.
            unsafe {
                new.copy_from_nonoverlapping(ptr, layout.size().min(size));
                self.dealloc(ptr, layout);
            }
        }
        new
    }
}

/// The number of the smallest block that holds `size` bytes, and its size in bytes; there are four for each doubling.
fn block(size: usize) -> (usize, usize) {
    let last = size.max(UNIT) - 1;
    // The place of the highest bit, at least 3, and the two bits below it.
    let high = last.ilog2() as usize;
    let step = 1 << (high - 2);
    let quarters = last / step;
    ((high - 3) * 4 + quarters - 4, ((quarters + 1) * step).next_multiple_of(UNIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool of 64 MiB; it begins at a page, and each further page follows the one before.
    fn pool() -> Pool {
        thread_local! {
            static NEXT: Cell<usize> = const { Cell::new(0) };
            static LEFT: Cell<usize> = const { Cell::new(1024) };
        }
        Pool::new(|pages| {
            if NEXT.get() == 0 {
                NEXT.set((vec![0u8; 1025 * PAGE].leak().as_ptr() as usize).next_multiple_of(PAGE));
            }
            let start = NEXT.get();
            LEFT.set(LEFT.get().checked_sub(pages)?);
            NEXT.set(start + pages * PAGE);
            Some(start)
        })
    }

    #[test]
    fn blocks_hold_what_is_asked_for_and_little_more() {
        for size in (0..5_000).chain((12..31).flat_map(|k| [(1 << k) - 1, 1 << k, (1 << k) + 1])) {
            let (number, bytes) = block(size);
            assert!(number < SIZES && bytes >= size && bytes.is_multiple_of(UNIT), "{size}: {number}, {bytes}");
            assert!(bytes <= size + size / 4 + UNIT, "{size}: {bytes}");
            assert_eq!(block(bytes).1, bytes, "{size}");
        }
        assert!(block(isize::MAX as u32 as usize >> 1).0 < SIZES);
    }

    #[test]
    fn blocks_keep_their_bytes_and_memory_does_not_grow_with_calls() {
        let (pool, mut random) = (pool(), 1u32);
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % below
        };
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        let mut after_first = 0;
        for call in 0..50 {
            let mut blocks: Vec<(*mut u8, usize)> = Vec::new();
            // The same sizes each time, in another order of taking and giving back.
            let mut sizes: Vec<usize> = (0..400).map(|k| (k * k * 7) % 40_000 + 1).collect();
            (0..sizes.len()).for_each(|k| sizes.swap(k, next(400) as usize));
            for size in sizes {
                // SAFETY: as `GlobalAlloc` asks; sizes are not 0.
                let ptr = unsafe { pool.alloc(layout(size)) };
                assert!(!ptr.is_null() && (ptr as usize).is_multiple_of(UNIT));
                // SAFETY: the block has `size` bytes.
                unsafe { ptr.write_bytes(size as u8, size) };
                blocks.push((ptr, size));
            }
            blocks.sort_by_key(|(_, size)| *size);
            for (ptr, size) in blocks.iter_mut().filter(|(_, size)| size.is_multiple_of(3)) {
                // SAFETY: the block has `size` bytes, and is replaced.
                *ptr = unsafe { pool.realloc(*ptr, layout(*size), *size * 2) };
                assert!(!ptr.is_null());
            }
            while !blocks.is_empty() {
                let (ptr, size) = blocks.swap_remove(next(blocks.len() as u32) as usize);
                // SAFETY: it has at least `size` bytes, which were written.
                let bytes = unsafe { std::slice::from_raw_parts(ptr, size) };
                assert!(bytes.iter().all(|byte| *byte == size as u8), "a block of {size} bytes");
                let now = if size.is_multiple_of(3) { size * 2 } else { size };
                // SAFETY: a block of this size, given back once.
                unsafe { pool.dealloc(ptr, layout(now)) };
            }
            match call {
                0 => after_first = pool.unused.get(),
                _ => assert_eq!(pool.unused.get(), after_first, "after call {call}"),
            }
        }
    }

    #[test]
    fn a_block_is_whole_where_memory_grows_elsewhere() {
        thread_local! {
            static MEMORY: Cell<usize> = const { Cell::new(0) };
            static GROWN: Cell<usize> = const { Cell::new(0) };
        }
        // Pages 0, 2, 3, 4 and so on: the second one does not follow the first.
        let pool = Pool::new(|pages| {
            if MEMORY.get() == 0 {
                MEMORY.set((vec![0u8; 9 * PAGE].leak().as_ptr() as usize).next_multiple_of(PAGE));
            }
            let grown = GROWN.get();
            GROWN.set(grown + pages);
            Some(MEMORY.get() + (grown + usize::from(grown > 0)) * PAGE)
        });
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: as `GlobalAlloc` asks.
        let blocks = [PAGE / 2, PAGE / 2 * 3, PAGE].map(|size| unsafe { pool.alloc(layout(size)) } as usize);
        assert_eq!(blocks.map(|at| at - MEMORY.get()), [0, 2 * PAGE, 2 * PAGE + PAGE / 2 * 3]);
        assert_eq!(pool.end.get(), MEMORY.get() + (GROWN.get() + 1) * PAGE, "no block ends beyond what was given");
        assert!(pool.unused.get() <= pool.end.get());
    }

    #[test]
    fn without_memory_there_is_no_block() {
        let pool = pool();
        // SAFETY: as `GlobalAlloc` asks.
        let none = |size, align| unsafe { pool.alloc(Layout::from_size_align(size, align).unwrap()) }.is_null();
        assert!(none(65 << 20, 8) && none(16, 64));
        assert!(!none(16, 8));
    }
}
