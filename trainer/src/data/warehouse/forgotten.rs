//! Who was forgotten, and when: what comes later of the time before is not kept.
//!
//! `forgotten/<SHA-256 of the name>-<milliseconds since the epoch>` is an empty object, so that a list says all.
//! A user who comes back is kept from then on.

use std::collections::BTreeMap;

use shared_features::digest::Digest;

use super::{Objects, ObjectsError};

/// How far ahead of the operator's clock an edge's may be: what is dated so far after the forgetting is from before it.
const CLOCKS_MS: i64 = 5 * 60_000;

/// Users that were forgotten, each up to a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forgotten {
    until: BTreeMap<Digest, i64>,
}

impl Forgotten {
    /// Reads who was forgotten.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn read(objects: &Objects) -> Result<Forgotten, ObjectsError> {
        let mut forgotten = Forgotten::default();
        for (object, _) in objects.list("forgotten").await? {
            if let Some((user, at)) = parse(&object) {
                let until = forgotten.until.entry(user).or_insert(at);
                *until = at.max(*until);
            }
        }
        Ok(forgotten)
    }

    /// Says that a user is forgotten up to a time, in milliseconds since the epoch.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn add(objects: &Objects, user: &str, at: i64) -> Result<(), ObjectsError> {
        let object = format!("forgotten/{}-{at}", Digest::of(user.as_bytes()));
        objects.create(&object, Vec::new().into()).await?;
        Ok(())
    }

    /// Whether nobody was forgotten.
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    /// Whether what a user did at a time is forgotten; up to five minutes after the forgetting, as clocks differ.
    pub fn has(&self, user: &str, ts: i64) -> bool {
        self.until.get(&Digest::of(user.as_bytes())).is_some_and(|until| ts <= until.saturating_add(CLOCKS_MS))
    }
}

fn parse(object: &str) -> Option<(Digest, i64)> {
    let (user, at) = object.strip_prefix("forgotten/")?.split_once('-')?;
    Some((user.parse().ok()?, at.parse().ok()?))
}
