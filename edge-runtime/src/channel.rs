//! Channels: signed, expiring pointers to bundles.

use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;

/// What a channel serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// The surface.
    pub surface: String,
    /// The channel's name.
    pub channel: String,
    /// Counts up with every change; an edge refuses an older one.
    pub sequence: u64,
    /// Milliseconds since the epoch.
    pub issued: i64,
    /// Milliseconds since the epoch; an edge takes no new pointer after it, but keeps serving what it has.
    pub expires: i64,
    /// Keys exploration and the choice of arms.
    pub salt: String,
    /// What is served, by weight.
    pub arms: Vec<Arm>,
    /// A bundle that is ranked beside, and never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Digest>,
    /// Bundles that must not be served.
    #[serde(default)]
    pub revoked: Vec<Digest>,
}

/// One bundle of a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name, in every log row.
    pub name: String,
    /// The bundle.
    pub bundle: Digest,
    /// The release record's id.
    pub release: String,
    /// Tables that are newer than the bundle's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Digest>,
    /// Its share of users, against the sum of all weights.
    pub weight: u32,
}

/// Why a pointer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// Another channel's.
    #[error("a pointer of channel {got}, expected {expected}")]
    Other {
        /// `surface/channel` of the pointer.
        got: String,
        /// `surface/channel` that was asked for.
        expected: String,
    },
    /// Older than one that was seen.
    #[error("sequence {got} is older than {seen}, which was seen before; publish again")]
    Older {
        /// The pointer's.
        got: u64,
        /// The highest seen.
        seen: u64,
    },
    /// Past its time.
    #[error("the pointer expired at {expires} (now {now}); publish again")]
    Expired {
        /// Its end.
        expires: i64,
        /// Now.
        now: i64,
    },
    /// Arms that make no sense.
    #[error("{reason}")]
    Arms {
        /// Why.
        reason: String,
    },
}

impl Channel {
    /// Checks a verified pointer against what was asked for, the highest sequence seen, and the time.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn accept(&self, surface: &str, channel: &str, seen: Option<u64>, now: i64) -> Result<(), ChannelError> {
        if self.surface != surface || self.channel != channel {
            return Err(ChannelError::Other {
                got: format!("{}/{}", self.surface, self.channel),
                expected: format!("{surface}/{channel}"),
            });
        }
        if let Some(seen) = seen
            && self.sequence < seen
        {
            return Err(ChannelError::Older { got: self.sequence, seen });
        }
        if now > self.expires {
            return Err(ChannelError::Expired { expires: self.expires, now });
        }
        self.check_arms()
    }

    /// The arm that serves a user: always the same one while salt and weights stay.
    pub fn arm_for(&self, user: &str) -> &Arm {
        let digest = Digest::of(&[self.salt.as_bytes(), b"\0arm\0", user.as_bytes()].concat());
        let first: [u8; 8] = std::array::from_fn(|i| digest.as_bytes()[i]);
        let total: u64 = self.arms.iter().map(|a| u64::from(a.weight)).sum();
        let mut point = u64::from_le_bytes(first) % total.max(1);
        for arm in &self.arms {
            if point < u64::from(arm.weight) {
                return arm;
            }
            point -= u64::from(arm.weight);
        }
        &self.arms[0]
    }

    fn check_arms(&self) -> Result<(), ChannelError> {
        let refuse = |reason: String| Err(ChannelError::Arms { reason });
        if self.arms.is_empty() {
            return refuse("the pointer has no arm".into());
        }
        for (i, arm) in self.arms.iter().enumerate() {
            if arm.weight == 0 {
                return refuse(format!("arm `{}` has weight 0; remove it", arm.name));
            }
            if self.arms[..i].iter().any(|a| a.name == arm.name) {
                return refuse(format!("arm `{}` stands twice", arm.name));
            }
            if self.revoked.contains(&arm.bundle) {
                return refuse(format!("arm `{}` serves bundle {}, which is revoked", arm.name, arm.bundle));
            }
        }
        Ok(())
    }
}

/// Whether a name can stand in the path of a registry's object: letters, digits, `-`, `_` and `.`, no `.` first.
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests;
