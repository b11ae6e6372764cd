//! The few float rules that every value obeys, so that all hosts give the same bits.
//!
//! Missing is one quiet NaN; every NaN an operation makes becomes that one before it is stored.
//! Infinities are clipped to the largest finite value.
//! Transcendental functions come from `libm` only.
//!
//! No message of the guest writes out a float: the code for it would be 7 kB of the engine's 120 (`make engine`).

/// The one missing value, `0x7fc00000`.
pub const MISSING: f32 = f32::from_bits(0x7fc0_0000);

/// Rounds to `f32` and stores: NaN becomes [`MISSING`], infinities are clipped, everything else is rounded to nearest.
///
/// ```
/// use shared_features::numeric::{store, MISSING};
/// assert_eq!(store(-f64::NAN).to_bits(), MISSING.to_bits());
/// assert_eq!(store(1e300), f32::MAX);
/// ```
pub fn store(x: f64) -> f32 {
    store_f32(x as f32)
}

/// Like [`store`], for a number that is an `f32` already.
pub fn store_f32(x: f32) -> f32 {
    if x.is_nan() {
        MISSING
    } else if x == f32::INFINITY {
        f32::MAX
    } else if x == f32::NEG_INFINITY {
        f32::MIN
    } else {
        x
    }
}

/// Whether a stored number is missing.
pub fn is_missing(x: f32) -> bool {
    x.is_nan()
}

/// Hour of the local day, 0 to 23.
pub fn local_hour(ts: i64, offset_min: i16) -> u32 {
    local_ms(ts, offset_min).div_euclid(3_600_000).rem_euclid(24) as u32
}

/// Day of the local week, 0 (Monday) to 6.
pub fn local_weekday(ts: i64, offset_min: i16) -> u32 {
    // The epoch was a Thursday.
    (local_ms(ts, offset_min).div_euclid(86_400_000) + 3).rem_euclid(7) as u32
}

fn local_ms(ts: i64, offset_min: i16) -> i64 {
    ts.saturating_add(i64::from(offset_min) * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_handles_offsets_and_times_before_the_epoch() {
        assert_eq!(local_hour(0, 0), 0);
        assert_eq!(local_hour(0, -60), 23);
        assert_eq!(local_weekday(0, 0), 3);
        assert_eq!(local_weekday(0, -60), 2);
        assert_eq!(local_hour(i64::MAX, 840), local_hour(i64::MAX, 0));
        assert_eq!(local_hour(-1, 0), 23);
    }

    #[test]
    fn stored_numbers_are_canonical() {
        assert_eq!(store_f32(f32::from_bits(0xffc1_2345)).to_bits(), 0x7fc0_0000);
        assert_eq!(store_f32(f32::NEG_INFINITY), f32::MIN);
        assert_eq!(store(-0.0).to_bits(), (-0.0f32).to_bits());
    }
}
