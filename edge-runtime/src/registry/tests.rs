//! What a registry stores is what it gives back; what was damaged is repaired, what is too large is left where it is.

use super::*;
use crate::bundle::tests::bundle;

fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().display().to_string()).unwrap();
    (folder, registry)
}

#[tokio::test]
async fn a_bundle_comes_back_byte_for_byte() {
    let (_folder, registry) = registry();
    let made = bundle();
    let digest = registry.put_bundle(&made).await.unwrap();
    let read = registry.bundle(digest).await.unwrap();
    assert_eq!((read.digest(), read.manifest_bytes()), (made.digest(), made.manifest_bytes()));
    for role in ROLES {
        assert_eq!(read.blob(role), made.blob(role));
    }
}

#[tokio::test]
async fn publishing_again_repairs_a_damaged_blob() {
    let (folder, registry) = registry();
    let made = bundle();
    let digest = registry.put_bundle(&made).await.unwrap();
    let damaged = folder.path().join(blob_path(made.manifest().blob(Role::Model).sha256));
    for damage in [&b"Modem"[..], b"", b"Model and more"] {
        std::fs::write(&damaged, damage).unwrap();
        let refused = registry.bundle(digest).await.unwrap_err();
        assert!(matches!(refused, RegistryError::Bundle { .. }), "{refused}");
        registry.put_bundle(&made).await.unwrap();
        assert!(registry.bundle(digest).await.is_ok());
    }
}

#[tokio::test]
async fn a_damaged_copy_nearby_is_passed_over() {
    let (near_folder, near) = registry();
    let (_folder, far) = registry();
    let made = bundle();
    let digest = far.put_bundle(&made).await.unwrap();
    near.put_bundle(&made).await.unwrap();
    std::fs::write(near_folder.path().join(blob_path(made.manifest().blob(Role::Engine).sha256)), b"junk").unwrap();
    assert_eq!(far.bundle_near(digest, Some(&near)).await.unwrap().digest(), digest);
}

#[tokio::test]
async fn a_blob_under_anothers_name_is_refused() {
    let (folder, registry) = registry();
    let digest = registry.put_blob(b"one").await.unwrap();
    std::fs::write(folder.path().join(blob_path(digest)), b"two").unwrap();
    let refused = registry.blob(digest).await.unwrap_err();
    assert!(
        matches!(refused, RegistryError::Blob { expected, got } if expected == digest && got == Digest::of(b"two"))
    );
}

#[tokio::test]
async fn an_object_over_its_limit_is_not_read() {
    let (_folder, registry) = registry();
    registry.put("audit/large", vec![0; 11]).await.unwrap();
    assert_eq!(registry.get("audit/large", 11).await.unwrap().len(), 11);
    let refused = registry.get("audit/large", 10).await.unwrap_err();
    assert!(matches!(refused, RegistryError::TooLarge { size: 11, limit: 10, .. }), "{refused}");
    assert!(!refused.is_transient());
}

#[tokio::test]
async fn what_is_missing_may_still_come() {
    let (_folder, registry) = registry();
    let refused = registry.bundle(Digest::of(b"nothing")).await.unwrap_err();
    assert!(matches!(refused, RegistryError::NotFound { .. }) && refused.is_transient(), "{refused}");
}

#[test]
fn places_that_are_none_are_named() {
    for place in ["gopher://somewhere", "s3://", "http://["] {
        let refused = Registry::open(place).unwrap_err();
        assert!(refused.to_string().contains(place), "{refused}");
    }
}
