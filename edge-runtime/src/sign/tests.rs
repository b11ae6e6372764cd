//! A signed document is what was signed, byte for byte, by enough of those who may sign.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn trusted(seeds: &[u8], threshold: u32) -> Trusted {
    let keys = seeds.iter().map(|&s| key(s).verifying_key()).map(|k| (key_id(&k), k)).collect();
    Trusted { keys, threshold }
}

fn payload() -> Value {
    json!({ "a": 1.25, "b": ["é", null, true], "c": { "d": -7 } })
}

fn sealed(seeds: &[u8]) -> Vec<u8> {
    let keys: Vec<SigningKey> = seeds.iter().map(|&s| key(s)).collect();
    seal(DocumentType::Channel, &payload(), &keys.iter().collect::<Vec<_>>())
}

fn open_channel(bytes: &[u8], trusted: &Trusted) -> Result<Value, SignatureError> {
    open(bytes, DocumentType::Channel, trusted)
}

#[test]
fn what_was_sealed_opens() {
    assert_eq!(open_channel(&sealed(&[1]), &trusted(&[1], 1)), Ok(payload()));
}

#[test]
fn a_threshold_counts_trusted_keys_once_each() {
    let two = trusted(&[1, 2], 2);
    assert_eq!(open_channel(&sealed(&[1, 2]), &two), Ok(payload()));
    for signers in [&[1][..], &[1, 1], &[1, 3]] {
        let refused = open_channel(&sealed(signers), &two);
        assert!(matches!(refused, Err(SignatureError::Threshold { valid: 1, threshold: 2, .. })), "{refused:?}");
    }
}

#[test]
fn a_threshold_of_nobody_is_one() {
    let refused = open_channel(&sealed(&[]), &trusted(&[1], 0));
    assert!(matches!(refused, Err(SignatureError::Threshold { valid: 0, threshold: 1, .. })), "{refused:?}");
}

#[test]
fn a_signature_is_valid_for_its_type_only() {
    let mut document: Value = serde_json::from_slice(&sealed(&[1])).unwrap();
    document["type"] = json!("release");
    let refused = open::<Value>(document.to_string().as_bytes(), DocumentType::Release, &trusted(&[1], 1));
    assert!(matches!(refused, Err(SignatureError::Threshold { valid: 0, .. })), "{refused:?}");
}

#[test]
fn a_key_under_anothers_name_does_not_count() {
    let mut keys = trusted(&[1], 1);
    let own = key_id(&key(2).verifying_key());
    keys.keys = BTreeMap::from([(own, key(1).verifying_key())]);
    let refused = open_channel(&sealed(&[2]), &keys);
    assert!(matches!(refused, Err(SignatureError::Threshold { valid: 0, .. })), "{refused:?}");
}

#[test]
fn too_large_a_document_is_not_parsed() {
    let refused = open_channel(&vec![b' '; MAX_BYTES + 1], &trusted(&[1], 1));
    assert!(matches!(refused, Err(SignatureError::Malformed { .. })), "{refused:?}");
}

proptest! {
    /// Flipping any bits of any byte is refused, or (in the spaces between) changes nothing of what is read.
    #[test]
    fn an_altered_byte_never_opens_as_something_else(at in 0..sealed(&[1]).len(), bits in 1u8..) {
        let mut bytes = sealed(&[1]);
        bytes[at] ^= bits;
        if let Ok(read) = open_channel(&bytes, &trusted(&[1], 1)) {
            prop_assert_eq!(read, payload());
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(open_channel(&bytes, &trusted(&[1], 1)).is_err());
    }

    #[test]
    fn a_truncated_document_is_refused(to in 0..sealed(&[1]).len()) {
        prop_assert!(open_channel(&sealed(&[1])[..to], &trusted(&[1], 1)).is_err());
    }
}
