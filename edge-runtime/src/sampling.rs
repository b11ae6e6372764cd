//! Which requests an edge logs: shares of all of them, which a bundle's manifest says.
//!
//! Whether a request is in a share follows from the channel's salt and the request's id alone, so that every edge and
//! every try again draw the same. A request that is kept as it came always has its rows beside it.

use serde::{Deserialize, Serialize};
use shared_features::random::Random;

/// All requests, in parts per million.
pub const WHOLE: u32 = 1_000_000;

/// Shares of requests, in parts per million of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Requests whose rows are logged.
    pub rows_ppm: u32,
    /// Requests that are logged as they came too; at most [`Sampling::rows_ppm`].
    pub requests_ppm: u32,
}

/// What is logged of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Its rows.
    pub rows: bool,
    /// The request as it came.
    pub request: bool,
}

impl Default for Sampling {
    /// All rows, and no request as it came.
    fn default() -> Self {
        Sampling { rows_ppm: WHOLE, requests_ppm: 0 }
    }
}

impl Sampling {
    /// What is logged of a request: one draw below both shares, keyed apart from exploration's.
    pub fn of(&self, salt: &str, request: &str) -> Sampled {
        let drawn = Random::keyed(&format!("{salt}\0log"), request).below(u64::from(WHOLE));
        Sampled { rows: drawn < u64::from(self.rows_ppm), request: drawn < u64::from(self.requests_ppm) }
    }

    /// Whether the shares are possible.
    ///
    /// # Errors
    /// More than all, or requests without their rows.
    pub fn check(&self) -> Result<(), String> {
        let Sampling { rows_ppm, requests_ppm } = *self;
        if rows_ppm > WHOLE {
            return Err(format!("`rows_ppm` is {rows_ppm}, at most {WHOLE} are all"));
        }
        if requests_ppm > rows_ppm {
            return Err(format!("`requests_ppm` is {requests_ppm}, more than `rows_ppm`, which is {rows_ppm}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sampling: Sampling, salt: &str) -> Vec<Sampled> {
        (0..20_000).map(|k| sampling.of(salt, &format!("r-{k}"))).collect()
    }

    #[test]
    fn shares_are_kept_and_requests_have_their_rows() {
        let sampled = drawn(Sampling { rows_ppm: 300_000, requests_ppm: 20_000 }, "salt");
        let share = |of: fn(&Sampled) -> bool| sampled.iter().filter(|s| of(s)).count() as f64 / 20_000.0;
        // The standard errors are 0.0032 and 0.001; five of them.
        assert!((share(|s| s.rows) - 0.3).abs() < 0.016, "{}", share(|s| s.rows));
        assert!((share(|s| s.request) - 0.02).abs() < 0.005, "{}", share(|s| s.request));
        assert!(sampled.iter().all(|s| s.rows || !s.request));
    }

    #[test]
    fn all_is_all_and_nothing_is_nothing() {
        assert!(drawn(Sampling::default(), "salt").iter().all(|s| s.rows && !s.request));
        let every = Sampling { rows_ppm: WHOLE, requests_ppm: WHOLE };
        assert!(drawn(every, "salt").iter().all(|s| s.rows && s.request));
        assert!(drawn(Sampling { rows_ppm: 0, requests_ppm: 0 }, "salt").iter().all(|s| !s.rows && !s.request));
    }

    #[test]
    fn a_draw_is_of_the_salt_and_the_id() {
        let half = Sampling { rows_ppm: WHOLE / 2, requests_ppm: 0 };
        assert_eq!(drawn(half, "salt"), drawn(half, "salt"));
        assert_ne!(drawn(half, "salt"), drawn(half, "other"));
        // A larger share has what a smaller one has.
        let more = Sampling { rows_ppm: WHOLE / 2 + 100_000, requests_ppm: 0 };
        let pairs = drawn(half, "salt").into_iter().zip(drawn(more, "salt"));
        assert!(pairs.into_iter().all(|(less, more)| more.rows || !less.rows));
    }

    #[test]
    fn impossible_shares_are_refused() {
        let checked = |rows_ppm, requests_ppm| Sampling { rows_ppm, requests_ppm }.check();
        assert!(checked(WHOLE + 1, 0).unwrap_err().contains("rows_ppm"));
        assert!(checked(10, 11).unwrap_err().contains("requests_ppm"));
        assert_eq!((checked(0, 0), checked(WHOLE, WHOLE)), (Ok(()), Ok(())));
    }
}
