//! A counter-based generator: the n-th number of a key is a pure function of both, so a replay repeats it.

use crate::digest::Digest;

/// Numbers of one key.
#[derive(Clone, Debug)]
pub struct Random {
    key: u64,
    counter: u64,
}

impl Random {
    /// The generator keyed by a channel's salt and a request's id.
    pub fn keyed(salt: &str, id: &str) -> Random {
        let mut bytes = Vec::with_capacity(salt.len() + id.len() + 1);
        bytes.extend_from_slice(salt.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(id.as_bytes());
        let digest = Digest::of(&bytes);
        let mut first = [0u8; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        Random { key: u64::from_le_bytes(first), counter: 0 }
    }

    /// The next 64 bits.
    ///
    /// # Source
    /// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 17.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        let mut z = self.key.wrapping_add(self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `[0, 1)` with 53 bits.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// A whole number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of a multiply-shift is below 2^-32 for the list lengths used here.
        ((u128::from(self.next_u64()) * u128::from(bound.max(1))) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64() {
        // The reference implementation's first numbers for seed 1234567.
        let mut random = Random { key: 1_234_567, counter: 0 };
        let first = [random.next_u64(), random.next_u64(), random.next_u64()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn keys_are_told_apart_and_numbers_are_in_range() {
        assert_eq!(Random::keyed("a", "b").next_u64(), Random::keyed("a", "b").next_u64());
        assert_ne!(Random::keyed("a", "bc").next_u64(), Random::keyed("ab", "c").next_u64());
        let mut random = Random::keyed("salt", "id");
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&random.next_f64()));
            assert!(random.below(3) < 3);
        }
        assert_eq!(random.below(0), 0);
    }
}
