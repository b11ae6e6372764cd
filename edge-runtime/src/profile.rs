//! The profile of a bundle: what the values of the rows were like that its encoder was fitted on.
//!
//! For each feature how many rows had no value, and how the others were spread: over buckets of numbers, or over the
//! most frequent strings. An edge holds what it logs against it. The trainer makes it, in `release::profile`, and lets
//! nothing in that fewer than `min_users` users had.

use serde::{Deserialize, Serialize};
use shared_features::codec::{self, CodecError};
use shared_features::column::Kind;
use shared_features::encoder::Encoder;
use shared_features::floats;
use shared_features::source::{Declared, Read};

/// Most buckets of a feature.
pub const MAX_BUCKETS: usize = 64;

/// What the values of training rows were like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// How many rows there were.
    pub rows: u64,
    /// A feature each, in the encoder's order.
    pub features: Vec<FeatureProfile>,
}

/// What the values of one feature were like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureProfile {
    /// In how many rows there was none.
    pub missing: u64,
    /// How the others were spread.
    pub spread: Spread,
}

/// How values are spread over buckets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Spread {
    /// Not known: of vectors and timestamps, and of values that too few users had.
    Unknown,
    /// Of numbers and booleans.
    Numbers {
        /// Bucket `i` has the numbers above `cuts[i - 1]` and up to `cuts[i]`, and the last one those above all cuts.
        #[serde(with = "floats")]
        cuts: Vec<f32>,
        /// Rows of each bucket, one more than there are cuts.
        counts: Vec<u64>,
    },
    /// Of categories and tags.
    Strings {
        /// The most frequent ones, in order.
        names: Vec<String>,
        /// How often each occurred, and at the end how often all others did.
        counts: Vec<u64>,
    },
}

/// Why a profile is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not a profile of this version.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Of another encoder.
    #[error("{got} features, the encoder has {expected}")]
    Features {
        /// What came.
        got: usize,
        /// What was expected.
        expected: usize,
    },
    /// A feature whose counts or buckets are impossible.
    #[error("feature `{feature}`: {reason}")]
    Feature {
        /// Which.
        feature: String,
        /// Why.
        reason: String,
    },
}

impl Profile {
    /// The profile of no rows: nothing is known of any feature.
    pub fn unknown(encoder: &Encoder) -> Profile {
        let feature = FeatureProfile { missing: 0, spread: Spread::Unknown };
        Profile { rows: 0, features: vec![feature; encoder.features.len()] }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the profile of an encoder's features and checks it; what it then gives can be compared with.
    ///
    /// # Errors
    /// Malformed bytes, other than the encoder's features, or buckets that are not in order or do not fit the rows.
    pub fn from_bytes(bytes: &[u8], encoder: &Encoder) -> Result<Profile, ProfileError> {
        let profile: Profile = codec::decode(bytes, "profile")?;
        let (got, expected) = (profile.features.len(), encoder.features.len());
        if got != expected {
            return Err(ProfileError::Features { got, expected });
        }
        let declared = Declared { schema: &encoder.schema, statistics: &encoder.statistics };
        for (feature, declares) in profile.features.iter().zip(&encoder.features) {
            let refuse = |reason| ProfileError::Feature { feature: declares.name.clone(), reason };
            let kind = declares.source.kind(&declared).map_err(refuse)?;
            feature.check(kind, profile.rows).map_err(refuse)?;
        }
        Ok(profile)
    }
}

impl FeatureProfile {
    fn check(&self, kind: Kind, rows: u64) -> Result<(), String> {
        if self.missing > rows {
            return Err(format!("missing in {} of {rows} rows", self.missing));
        }
        match (&self.spread, kind) {
            (Spread::Unknown, _) => Ok(()),
            (Spread::Numbers { cuts, counts }, Kind::Number | Kind::Boolean) => {
                if cuts.iter().any(|cut| !cut.is_finite()) || cuts.windows(2).any(|w| w[0] >= w[1]) {
                    return Err("cut points are not finite and rising".into());
                }
                let known = total(counts, cuts.len())?;
                // The rows of the counts are those that have a number.
                if known > rows - self.missing {
                    return Err(format!("{known} rows in buckets and {} without a value, of {rows}", self.missing));
                }
                Ok(())
            }
            (Spread::Strings { names, counts }, Kind::Category | Kind::Text | Kind::Tags) => {
                if names.windows(2).any(|w| w[0] >= w[1]) {
                    return Err("names are not in order".into());
                }
                total(counts, names.len()).map(drop)
            }
            (Spread::Numbers { .. }, kind) => Err(format!("buckets of numbers, its values are of kind {kind}")),
            (Spread::Strings { .. }, kind) => Err(format!("buckets of strings, its values are of kind {kind}")),
        }
    }
}

/// The sum of the counts of buckets that `bounds` cuts or names are there for.
fn total(counts: &[u64], bounds: usize) -> Result<u64, String> {
    if counts.len() != bounds + 1 || counts.len() > MAX_BUCKETS {
        let (got, expected) = (counts.len(), bounds + 1);
        return Err(format!("{got} counts of {expected} buckets; at most {MAX_BUCKETS} are allowed"));
    }
    match counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count)) {
        Some(0) => Err("its buckets are all empty".into()),
        Some(sum) => Ok(sum),
        None => Err("its counts are too large".into()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use shared_features::spec::FeatureSpec;

    /// A number, a category and tags of items.
    pub(crate) const SPEC: &str = r#"
surface = "home"
fallback = "b"
candidates = ["request"]
[schema.item]
minutes = "number"
genre = "category"
tags = "tags"
[label]
grades = { play = 1 }
[[features]]
name = "minutes"
source = "field"
field = "item.minutes"
[[features]]
name = "genre"
source = "field"
field = "item.genre"
encode = false
[[features]]
name = "tags"
source = "field"
field = "item.tags"
encode = false
[[baselines]]
name = "b"
score = "minutes"
"#;

    fn encoder() -> Encoder {
        FeatureSpec::parse(SPEC).unwrap().unfitted
    }

    fn profile() -> Profile {
        let numbers = Spread::Numbers { cuts: vec![0.0, 1.5], counts: vec![5, 0, 3] };
        let strings = Spread::Strings { names: vec!["pop".into(), "rock".into()], counts: vec![4, 4, 2] };
        let features = [(2, numbers), (0, strings), (10, Spread::Unknown)];
        Profile { rows: 10, features: features.map(|(missing, spread)| FeatureProfile { missing, spread }).to_vec() }
    }

    #[test]
    fn what_is_written_is_read() {
        let encoder = encoder();
        for profile in [profile(), Profile::unknown(&encoder)] {
            assert_eq!(Profile::from_bytes(&profile.to_bytes(), &encoder), Ok(profile));
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Profile), says: &str) {
        let mut profile = profile();
        change(&mut profile);
        let error = Profile::from_bytes(&profile.to_bytes(), &encoder()).unwrap_err().to_string();
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    }

    fn numbers(cuts: &[f32], counts: &[u64]) -> Spread {
        Spread::Numbers { cuts: cuts.to_vec(), counts: counts.to_vec() }
    }

    fn strings(names: &[&str], counts: &[u64]) -> Spread {
        Spread::Strings { names: names.iter().map(|&name| name.to_owned()).collect(), counts: counts.to_vec() }
    }

    #[test]
    fn impossible_profiles_are_refused() {
        refused(|p| drop(p.features.pop()), "2 features, the encoder has 3");
        refused(|p| p.features[0].missing = 11, "feature `minutes`: missing in 11 of 10 rows");
        refused(|p| p.features[0].missing = 3, "8 rows in buckets and 3 without a value");
        for cuts in [[1.0, 1.0], [2.0, 1.0], [0.0, f32::NAN], [f32::NAN, 0.0], [0.0, f32::INFINITY]] {
            refused(|p| p.features[0].spread = numbers(&cuts, &[1, 1, 1]), "not finite and rising");
        }
        refused(|p| p.features[0].spread = numbers(&[1.0], &[1, 1, 1]), "3 counts of 2 buckets");
        refused(|p| p.features[0].spread = numbers(&[1.0], &[0, 0]), "all empty");
        refused(|p| p.features[0].spread = numbers(&[1.0], &[u64::MAX, 1]), "too large");
        refused(|p| p.features[0].spread = strings(&[], &[1]), "buckets of strings, its values are of kind number");
        refused(|p| p.features[1].spread = numbers(&[], &[1]), "buckets of numbers, its values are of kind category");
        refused(|p| p.features[1].spread = strings(&["b", "a"], &[1, 1, 1]), "names are not in order");
        refused(|p| p.features[1].spread = strings(&["a"], &[1]), "1 counts of 2 buckets");
        let many: Vec<f32> = (0..MAX_BUCKETS).map(|i| i as f32).collect();
        refused(|p| p.features[0].spread = numbers(&many, &[0; MAX_BUCKETS + 1]), "at most 64");
    }

    #[test]
    fn bytes_that_are_no_profile_are_refused() {
        let bytes = profile().to_bytes();
        for end in 0..bytes.len() {
            assert!(Profile::from_bytes(&bytes[..end], &encoder()).is_err());
        }
    }
}
