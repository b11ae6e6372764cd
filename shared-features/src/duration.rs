//! Lengths of time, written `30d`, `12h`, `5m`, `45s` or `250ms`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A length of time in whole milliseconds, at least 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    /// Milliseconds.
    pub ms: i64,
}

const UNITS: [(&str, i64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl Duration {
    /// A length in hours.
    pub const fn hours(hours: i64) -> Duration {
        Duration { ms: hours * 3_600_000 }
    }

    /// Reads `30d`, `12h`, `5m`, `45s` or `250ms`.
    ///
    /// # Errors
    /// No number, no unit, or more than 1,000 years.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let wrong =
            || format!("`{text}` is not a duration; write a whole number and ms, s, m, h, d or w, such as \"30d\"");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = text[..digits].parse().map_err(|_| wrong())?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &text[digits..]).ok_or_else(wrong)?;
        match number.checked_mul(*unit) {
            Some(ms) if ms <= 1000 * 366 * 86_400_000 => Ok(Duration { ms }),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, unit) =
            UNITS.iter().rev().find(|(_, unit)| self.ms % unit == 0 && self.ms != 0).unwrap_or(&UNITS[1]);
        write!(f, "{}{name}", self.ms / unit)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.ms) }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Duration::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        } else {
            match i64::deserialize(deserializer)? {
                ms if ms >= 0 => Ok(Duration { ms }),
                ms => Err(D::Error::custom(format!("a duration of {ms} ms"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for text in ["30d", "12h", "5m", "45s", "250ms", "0s", "2w"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "30", "d", "-1d", "1y", "1.5h", "99999999999999d"] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }
}
