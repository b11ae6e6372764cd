//! A share of the users, for work that is split over machines.

use std::fmt;
use std::str::FromStr;

use shared_features::digest::Digest;

/// One of `of` shares; a user is in exactly one of them, the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u64,
    of: u64,
}

impl Shard {
    /// All users.
    pub const WHOLE: Shard = Shard { number: 1, of: 1 };

    /// Whether all users are in it.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Whether a user is in it: by the first eight bytes of the SHA-256 of the id, little-endian.
    pub fn has(self, user: &str) -> bool {
        if self.is_whole() {
            return true;
        }
        let [a, b, c, d, e, f, g, h, ..] = *Digest::of(user.as_bytes()).as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) % self.of + 1 == self.number
    }
}

impl FromStr for Shard {
    type Err = String;

    /// Reads `NUMBER/OF`, from `1/1` on.
    fn from_str(text: &str) -> Result<Shard, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Shard { number, of }),
            _ => Err(format!("`{text}` is no share; pass NUMBER/OF such as 2/4, the second of four")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_is_in_one_share() {
        let shards: Vec<Shard> = (1..=3).map(|k| format!("{k}/3").parse().unwrap()).collect();
        let mut users = [0; 3];
        for k in 0..3_000 {
            let of: Vec<usize> = (0..3).filter(|&s| shards[s].has(&format!("user {k}"))).collect();
            assert_eq!(of.len(), 1, "user {k}");
            users[of[0]] += 1;
        }
        assert!(users.iter().all(|n| (900..1_100).contains(n)), "{users:?}");
        assert!(Shard::WHOLE.has("anyone") && Shard::WHOLE == "1/1".parse().unwrap());
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("NUMBER/OF"), "{text}");
        }
    }
}
