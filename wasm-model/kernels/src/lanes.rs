//! Sixteen bytes or floats side by side: WebAssembly's 128-bit SIMD, x86-64's SSE2, or arrays elsewhere.
//!
//! Operations are comparisons and on integers, so all three give the same result.
#![allow(unsafe_code)]

pub(crate) use implementation::{Lanes, Sixteen};

/// Bytes of [`Lanes`].
pub(crate) const LANES: usize = 16;

#[cfg(target_arch = "wasm32")]
mod implementation {
    use core::arch::wasm32::*;

    use super::LANES;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes(v128);

    impl Lanes {
        pub(crate) fn splat(byte: u8) -> Lanes {
            Lanes(u8x16_splat(byte))
        }

        pub(crate) fn load(bytes: &[u8; LANES]) -> Lanes {
            // SAFETY: the reference covers the 16 bytes that are read; any alignment is allowed.
            Lanes(unsafe { v128_load(bytes.as_ptr().cast()) })
        }

        pub(crate) fn store(self, bytes: &mut [u8; LANES]) {
            // SAFETY: the reference covers the 16 bytes that are written; any alignment is allowed.
            unsafe { v128_store(bytes.as_mut_ptr().cast(), self.0) }
        }

        /// All bits where a byte is greater, both taken as signed.
        pub(crate) fn greater(self, other: Lanes) -> Lanes {
            Lanes(i8x16_gt(self.0, other.0))
        }

        /// All bits where a byte is 0.
        pub(crate) fn is_zero(self) -> Lanes {
            Lanes(i8x16_eq(self.0, u8x16_splat(0)))
        }

        /// `yes` where all bits are set, `no` where none is.
        pub(crate) fn choose(self, yes: Lanes, no: Lanes) -> Lanes {
            Lanes(v128_bitselect(yes.0, no.0, self.0))
        }

        pub(crate) fn and(self, other: Lanes) -> Lanes {
            Lanes(v128_and(self.0, other.0))
        }

        pub(crate) fn or(self, other: Lanes) -> Lanes {
            Lanes(v128_or(self.0, other.0))
        }

        pub(crate) fn plus(self, other: Lanes) -> Lanes {
            Lanes(i8x16_add(self.0, other.0))
        }

        /// Trailing zeros of each byte; 8 for 0.
        pub(crate) fn trailing_zeros(self) -> Lanes {
            Lanes(i8x16_popcnt(v128_andnot(i8x16_sub(self.0, u8x16_splat(1)), self.0)))
        }
    }

    /// Sixteen sorted numbers.
    #[derive(Clone, Copy)]
    pub(crate) struct Sixteen([v128; 4]);

    impl Sixteen {
        pub(crate) fn load(numbers: &[f32; LANES]) -> Sixteen {
            let at = |k: usize| numbers[k * 4..].as_ptr();
            // SAFETY: four numbers, 16 bytes, are there from each of these on; any alignment is allowed.
            Sixteen(unsafe { [0, 1, 2, 3].map(|k| v128_load(at(k).cast())) })
        }

        /// How many are below `x`.
        pub(crate) fn count_below(self, x: f32) -> u32 {
            let x = f32x4_splat(x);
            let [a, b, c, d] = self.0.map(|part| f32x4_lt(part, x));
            i8x16_bitmask(i8x16_narrow_i16x8(i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d))).count_ones()
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod implementation {
    use core::arch::x86_64::*;

    use super::LANES;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes(__m128i);

    // SAFETY of every intrinsic here: SSE2 is part of x86-64.
    impl Lanes {
        pub(crate) fn splat(byte: u8) -> Lanes {
            Lanes(unsafe { _mm_set1_epi8(byte as i8) })
        }

        pub(crate) fn load(bytes: &[u8; LANES]) -> Lanes {
            // SAFETY: the reference covers the 16 bytes that are read; any alignment is allowed.
            Lanes(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        }

        pub(crate) fn store(self, bytes: &mut [u8; LANES]) {
            // SAFETY: the reference covers the 16 bytes that are written; any alignment is allowed.
            unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), self.0) }
        }

        pub(crate) fn greater(self, other: Lanes) -> Lanes {
            Lanes(unsafe { _mm_cmpgt_epi8(self.0, other.0) })
        }

        pub(crate) fn is_zero(self) -> Lanes {
            Lanes(unsafe { _mm_cmpeq_epi8(self.0, _mm_setzero_si128()) })
        }

        pub(crate) fn choose(self, yes: Lanes, no: Lanes) -> Lanes {
            Lanes(unsafe { _mm_or_si128(_mm_and_si128(self.0, yes.0), _mm_andnot_si128(self.0, no.0)) })
        }

        pub(crate) fn and(self, other: Lanes) -> Lanes {
            Lanes(unsafe { _mm_and_si128(self.0, other.0) })
        }

        pub(crate) fn or(self, other: Lanes) -> Lanes {
            Lanes(unsafe { _mm_or_si128(self.0, other.0) })
        }

        pub(crate) fn plus(self, other: Lanes) -> Lanes {
            Lanes(unsafe { _mm_add_epi8(self.0, other.0) })
        }

        pub(crate) fn trailing_zeros(self) -> Lanes {
            let mut bytes = [0; LANES];
            self.store(&mut bytes);
            Lanes::load(&bytes.map(|byte| byte.trailing_zeros() as u8))
        }
    }

    /// Sixteen sorted numbers.
    #[derive(Clone, Copy)]
    pub(crate) struct Sixteen([__m128; 4]);

    impl Sixteen {
        pub(crate) fn load(numbers: &[f32; LANES]) -> Sixteen {
            let at = |k: usize| numbers[k * 4..].as_ptr();
            // SAFETY: four numbers, 16 bytes, are there from each of these on; any alignment is allowed.
            Sixteen(unsafe { [0, 1, 2, 3].map(|k| _mm_loadu_ps(at(k))) })
        }

        pub(crate) fn count_below(self, x: f32) -> u32 {
            unsafe {
                let x = _mm_set1_ps(x);
                let [a, b, c, d] = self.0.map(|part| _mm_castps_si128(_mm_cmplt_ps(part, x)));
                let bytes = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
                (_mm_movemask_epi8(bytes) as u32).count_ones()
            }
        }
    }
}

#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
mod implementation {
    use super::LANES;

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes([u8; LANES]);

    impl Lanes {
        pub(crate) fn splat(byte: u8) -> Lanes {
            Lanes([byte; LANES])
        }

        pub(crate) fn load(bytes: &[u8; LANES]) -> Lanes {
            Lanes(*bytes)
        }

        pub(crate) fn store(self, bytes: &mut [u8; LANES]) {
            *bytes = self.0;
        }

        pub(crate) fn greater(self, other: Lanes) -> Lanes {
            self.with(other, |a, b| if a as i8 > b as i8 { 255 } else { 0 })
        }

        pub(crate) fn is_zero(self) -> Lanes {
            Lanes(self.0.map(|byte| if byte == 0 { 255 } else { 0 }))
        }

        pub(crate) fn choose(self, yes: Lanes, no: Lanes) -> Lanes {
            self.and(yes).or(Lanes(self.0.map(|byte| !byte)).and(no))
        }

        pub(crate) fn and(self, other: Lanes) -> Lanes {
            self.with(other, |a, b| a & b)
        }

        pub(crate) fn or(self, other: Lanes) -> Lanes {
            self.with(other, |a, b| a | b)
        }

        pub(crate) fn plus(self, other: Lanes) -> Lanes {
            self.with(other, u8::wrapping_add)
        }

        pub(crate) fn trailing_zeros(self) -> Lanes {
            Lanes(self.0.map(|byte| byte.trailing_zeros() as u8))
        }

        fn with(self, other: Lanes, f: impl Fn(u8, u8) -> u8) -> Lanes {
            Lanes(std::array::from_fn(|i| f(self.0[i], other.0[i])))
        }
    }

    /// Sixteen sorted numbers.
    #[derive(Clone, Copy)]
    pub(crate) struct Sixteen([f32; LANES]);

    impl Sixteen {
        pub(crate) fn load(numbers: &[f32; LANES]) -> Sixteen {
            Sixteen(*numbers)
        }

        pub(crate) fn count_below(self, x: f32) -> u32 {
            self.0.iter().filter(|number| **number < x).count() as u32
        }
    }
}
