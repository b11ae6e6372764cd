//! Sixteen bytes side by side: one register of WebAssembly's 128-bit SIMD, of x86-64's SSE2, or an array elsewhere.
//!
//! Every operation is on integers and exact, so all three give the same bytes.
#![allow(unsafe_code)]

pub(super) use implementation::Lanes;

/// Bytes of [`Lanes`].
pub(super) const LANES: usize = 16;

#[cfg(target_arch = "wasm32")]
mod implementation {
    use core::arch::wasm32::*;

    use super::LANES;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes(v128);

    impl Lanes {
        pub(in super::super) fn splat(byte: u8) -> Lanes {
            Lanes(u8x16_splat(byte))
        }

        pub(in super::super) fn load(bytes: &[u8; LANES]) -> Lanes {
            // SAFETY: the reference covers the 16 bytes that are read; any alignment is allowed.
            Lanes(unsafe { v128_load(bytes.as_ptr().cast()) })
        }

        pub(in super::super) fn store(self, bytes: &mut [u8; LANES]) {
            // SAFETY: the reference covers the 16 bytes that are written; any alignment is allowed.
            unsafe { v128_store(bytes.as_mut_ptr().cast(), self.0) }
        }

        /// All bits where a byte is greater, both taken as signed.
        pub(in super::super) fn greater(self, other: Lanes) -> Lanes {
            Lanes(i8x16_gt(self.0, other.0))
        }

        pub(in super::super) fn and(self, other: Lanes) -> Lanes {
            Lanes(v128_and(self.0, other.0))
        }

        /// `self & !other`
        pub(in super::super) fn and_not(self, other: Lanes) -> Lanes {
            Lanes(v128_andnot(self.0, other.0))
        }

        /// Trailing zeros of each byte; 8 for 0.
        pub(in super::super) fn trailing_zeros(self) -> Lanes {
            Lanes(i8x16_popcnt(v128_andnot(i8x16_sub(self.0, u8x16_splat(1)), self.0)))
        }

        /// `self` where it is below 8, else `other`.
        pub(in super::super) fn or_if_8(self, other: Lanes) -> Lanes {
            Lanes(v128_bitselect(other.0, self.0, i8x16_eq(self.0, u8x16_splat(8))))
        }

        pub(in super::super) fn plus(self, byte: u8) -> Lanes {
            Lanes(i8x16_add(self.0, u8x16_splat(byte)))
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod implementation {
    use core::arch::x86_64::*;

    use super::LANES;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes(__m128i);

    impl Lanes {
        pub(in super::super) fn splat(byte: u8) -> Lanes {
            // SAFETY: SSE2 is part of x86-64, here and below.
            Lanes(unsafe { _mm_set1_epi8(byte as i8) })
        }

        pub(in super::super) fn load(bytes: &[u8; LANES]) -> Lanes {
            // SAFETY: the reference covers the 16 bytes that are read; any alignment is allowed.
            Lanes(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        }

        pub(in super::super) fn store(self, bytes: &mut [u8; LANES]) {
            // SAFETY: the reference covers the 16 bytes that are written; any alignment is allowed.
            unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), self.0) }
        }

        pub(in super::super) fn greater(self, other: Lanes) -> Lanes {
            // SAFETY: see `splat`.
            Lanes(unsafe { _mm_cmpgt_epi8(self.0, other.0) })
        }

        pub(in super::super) fn and(self, other: Lanes) -> Lanes {
            // SAFETY: see `splat`.
            Lanes(unsafe { _mm_and_si128(self.0, other.0) })
        }

        pub(in super::super) fn and_not(self, other: Lanes) -> Lanes {
            // SAFETY: see `splat`.
            Lanes(unsafe { _mm_andnot_si128(other.0, self.0) })
        }

        pub(in super::super) fn trailing_zeros(self) -> Lanes {
            self.each(|byte| byte.trailing_zeros() as u8)
        }

        pub(in super::super) fn or_if_8(self, other: Lanes) -> Lanes {
            // SAFETY: see `splat`.
            unsafe {
                let eight = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(8));
                Lanes(_mm_or_si128(_mm_and_si128(eight, other.0), _mm_andnot_si128(eight, self.0)))
            }
        }

        pub(in super::super) fn plus(self, byte: u8) -> Lanes {
            // SAFETY: see `splat`.
            Lanes(unsafe { _mm_add_epi8(self.0, _mm_set1_epi8(byte as i8)) })
        }

        fn each(self, f: impl Fn(u8) -> u8) -> Lanes {
            let mut bytes = [0; LANES];
            self.store(&mut bytes);
            Lanes::load(&bytes.map(f))
        }
    }
}

#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
mod implementation {
    use super::LANES;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes([u8; LANES]);

    impl Lanes {
        pub(in super::super) fn splat(byte: u8) -> Lanes {
            Lanes([byte; LANES])
        }

        pub(in super::super) fn load(bytes: &[u8; LANES]) -> Lanes {
            Lanes(*bytes)
        }

        pub(in super::super) fn store(self, bytes: &mut [u8; LANES]) {
            *bytes = self.0;
        }

        pub(in super::super) fn greater(self, other: Lanes) -> Lanes {
            self.with(other, |a, b| if a as i8 > b as i8 { 255 } else { 0 })
        }

        pub(in super::super) fn and(self, other: Lanes) -> Lanes {
            self.with(other, |a, b| a & b)
        }

        pub(in super::super) fn and_not(self, other: Lanes) -> Lanes {
            self.with(other, |a, b| a & !b)
        }

        pub(in super::super) fn trailing_zeros(self) -> Lanes {
            Lanes(self.0.map(|byte| byte.trailing_zeros() as u8))
        }

        pub(in super::super) fn or_if_8(self, other: Lanes) -> Lanes {
            self.with(other, |a, b| if a == 8 { b } else { a })
        }

        pub(in super::super) fn plus(self, byte: u8) -> Lanes {
            Lanes(self.0.map(|own| own.wrapping_add(byte)))
        }

        fn with(self, other: Lanes, f: impl Fn(u8, u8) -> u8) -> Lanes {
            Lanes(std::array::from_fn(|i| f(self.0[i], other.0[i])))
        }
    }
}
