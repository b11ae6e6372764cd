//! Signed documents: one JSON file with a type, the payload's exact bytes, and signatures over both.
//!
//! The signature covers `hearth/v1/` + type + NUL + payload. The payload is verified as it was read
//! and parsed from those same bytes; it is never encoded again.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared_features::digest::Digest;

/// Largest signed document, in bytes.
pub const MAX_BYTES: usize = 4 << 20;

/// What a document is; its signature is valid for no other type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentType {
    /// Who may sign.
    Root,
    /// Who made a bundle, from what, and how it was judged.
    Release,
    /// A pointer to bundles.
    Channel,
    /// Who did what, and why.
    Audit,
}

/// A signed document as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    r#type: String,
    /// Base64 of the payload's bytes.
    payload: String,
    signatures: Vec<KeySignature>,
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySignature {
    key: String,
    sig: String,
}

/// Public keys by id, and how many of them must have signed.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Public keys by [`key_id`].
    pub keys: BTreeMap<String, VerifyingKey>,
    /// At least 1.
    pub threshold: u32,
}

/// Why a signed document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not an envelope.
    #[error("not a signed document: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// A document of another type.
    #[error("a signed document of type `{got}`, expected `{expected}`")]
    Type {
        /// What came.
        got: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Too few valid signatures by trusted keys.
    #[error("{valid} valid signatures by trusted keys, {threshold} are needed; signed by: {signers}")]
    Threshold {
        /// How many were valid.
        valid: u32,
        /// How many are needed.
        threshold: u32,
        /// The key ids in the document.
        signers: String,
    },
    /// The payload is not what the type says.
    #[error("the payload of a `{document}` document: {reason}")]
    Payload {
        /// The type.
        document: &'static str,
        /// Why.
        reason: String,
    },
}

impl DocumentType {
    /// The name that is signed.
    pub fn name(self) -> &'static str {
        match self {
            DocumentType::Root => "root",
            DocumentType::Release => "release",
            DocumentType::Channel => "channel",
            DocumentType::Audit => "audit",
        }
    }
}

/// The bytes of a signed document; `payload` becomes JSON once, here.
pub fn seal<T: Serialize>(document: DocumentType, payload: &T, keys: &[&SigningKey]) -> Vec<u8> {
    let payload = serde_json::to_vec(payload).expect("payloads are plain data with string keys");
    let message = message(document, &payload);
    let signatures = keys
        .iter()
        .map(|key| KeySignature {
            key: key_id(&key.verifying_key()),
            sig: BASE64.encode(key.sign(&message).to_bytes()),
        })
        .collect();
    let envelope = Envelope { r#type: document.name().into(), payload: BASE64.encode(&payload), signatures };
    serde_json::to_vec_pretty(&envelope).expect("an envelope is plain data")
}

/// Verifies a signed document and parses its payload.
///
/// # Errors
/// Not an envelope, another type, too few valid signatures, or an unreadable payload.
pub fn open<T: DeserializeOwned>(bytes: &[u8], document: DocumentType, trusted: &Trusted) -> Result<T, SignatureError> {
    let (envelope, payload) = parse(bytes, document)?;
    let message = message(document, &payload);
    let valid: BTreeSet<&str> = envelope
        .signatures
        .iter()
        .filter(|s| {
            let signature = BASE64.decode(&s.sig).ok().and_then(|sig| Signature::from_slice(&sig).ok());
            match (trusted.keys.get(&s.key), signature) {
                (Some(key), Some(signature)) => key.verify_strict(&message, &signature).is_ok(),
                _ => false,
            }
        })
        .map(|s| s.key.as_str())
        .collect();
    let threshold = trusted.threshold.max(1);
    if (valid.len() as u32) < threshold {
        let signers: Vec<&str> = envelope.signatures.iter().map(|s| s.key.as_str()).collect();
        let signers = if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") };
        return Err(SignatureError::Threshold { valid: valid.len() as u32, threshold, signers });
    }
    parse_payload(document, &payload)
}

/// Parses a payload without verifying it: only for a document that is itself what is trusted.
///
/// # Errors
/// Not an envelope, another type, or an unreadable payload.
pub fn read_unverified<T: DeserializeOwned>(bytes: &[u8], document: DocumentType) -> Result<T, SignatureError> {
    let (_, payload) = parse(bytes, document)?;
    parse_payload(document, &payload)
}

/// A key's id: the first 16 hex digits of the SHA-256 of its 32 bytes.
pub fn key_id(key: &VerifyingKey) -> String {
    Digest::of(key.as_bytes()).to_string()[..16].to_owned()
}

fn parse(bytes: &[u8], document: DocumentType) -> Result<(Envelope, Vec<u8>), SignatureError> {
    let malformed = |reason: String| SignatureError::Malformed { reason };
    if bytes.len() > MAX_BYTES {
        return Err(malformed(format!("{} bytes, at most {MAX_BYTES} are allowed", bytes.len())));
    }
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    if envelope.r#type != document.name() {
        let got = envelope.r#type.chars().take(40).collect();
        return Err(SignatureError::Type { got, expected: document.name() });
    }
    let payload = BASE64.decode(&envelope.payload).map_err(|e| malformed(format!("the payload is not base64: {e}")))?;
    Ok((envelope, payload))
}

fn parse_payload<T: DeserializeOwned>(document: DocumentType, payload: &[u8]) -> Result<T, SignatureError> {
    serde_json::from_slice(payload)
        .map_err(|e| SignatureError::Payload { document: document.name(), reason: e.to_string() })
}

fn message(document: DocumentType, payload: &[u8]) -> Vec<u8> {
    [b"hearth/v1/", document.name().as_bytes(), b"\0", payload].concat()
}

#[cfg(test)]
mod tests;
