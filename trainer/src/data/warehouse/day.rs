//! Days of UTC, as partitions are named.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// A day of UTC, counted from 1970-01-01; written `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(i64);

impl Day {
    /// 1970-01-01.
    pub const FIRST: Day = Day(0);
    /// 9999-12-31.
    pub const LAST: Day = Day(2_932_896);
    /// Every day that has a name.
    pub const ALL: RangeInclusive<Day> = Day::FIRST..=Day::LAST;

    /// The day of a time in milliseconds since the epoch; `None` for one whose year does not have four digits.
    pub fn of(ts: i64) -> Option<Day> {
        Some(Day(ts.div_euclid(DAY_MS))).filter(|day| Day::ALL.contains(day))
    }

    /// The first millisecond of the day.
    pub fn start(self) -> i64 {
        self.0 * DAY_MS
    }
}

impl std::fmt::Display for Day {
    /// # Source
    /// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let z = self.0 + 719_468;
        let era = z.div_euclid(146_097);
        let of_era = z.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl std::str::FromStr for Day {
    type Err = String;

    /// # Source
    /// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
    fn from_str(text: &str) -> Result<Day, String> {
        let refuse = || format!("`{text}` is no day; write it as 2026-01-31");
        let number = |at: std::ops::Range<usize>| -> Option<i64> {
            let digits = text.get(at)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let parts = (number(0..4), number(5..7), number(8..10));
        let (Some(year), Some(month), Some(day)) = parts else { return Err(refuse()) };
        let y = year - i64::from(month <= 2);
        let era = y.div_euclid(400);
        let year_of_era = y.rem_euclid(400);
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        let found = Day(era * 146_097 + of_era - 719_468);
        // What is no day of the calendar reads as another one.
        if Day::ALL.contains(&found) && found.to_string() == text { Ok(found) } else { Err(refuse()) }
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Day, String> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_written_and_read() {
        for k in 0..=Day::LAST.0 {
            let day = Day(k);
            assert_eq!(day.to_string().parse(), Ok(day));
        }
    }

    #[test]
    fn days_begin_at_midnight_utc() {
        let named = |ts| Day::of(ts).map(|d| d.to_string());
        assert_eq!(named(1_772_323_199_999).as_deref(), Some("2026-02-28"));
        assert_eq!(named(1_772_323_200_000).as_deref(), Some("2026-03-01"));
        assert_eq!(named(951_782_400_000).as_deref(), Some("2000-02-29"));
        assert_eq!(named(253_402_300_799_999).as_deref(), Some("9999-12-31"));
        assert_eq!([named(-1), named(253_402_300_800_000), named(i64::MIN), named(i64::MAX)], [const { None }; 4]);
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in
            ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-01", "2026/01/01", "+026-01-01", "", "2026-01-011"]
        {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
