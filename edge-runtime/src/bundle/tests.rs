//! A bundle is its manifest's bytes and the blobs that it names, and nothing else.

use proptest::prelude::*;
use wasm_encoder::Instruction;

use super::*;
use crate::host::tests::guest;

pub(crate) fn bundle() -> Bundle {
    let blobs = ROLES.iter().map(|&role| (role, format!("{role:?}").into_bytes()));
    let mut blobs: BTreeMap<Role, Vec<u8>> = blobs.collect();
    blobs.insert(Role::Engine, guest(1, &[], &[Instruction::Unreachable], false));
    Bundle::make("home", "compact", Digest::of(b"data"), Sampling::default(), blobs).unwrap()
}

fn blobs(bundle: &Bundle) -> BTreeMap<Role, Vec<u8>> {
    ROLES.iter().map(|&role| (role, bundle.blob(role).to_vec())).collect()
}

#[test]
fn the_digest_is_of_the_bytes_that_were_read() {
    let made = bundle();
    let opened = Bundle::open(made.manifest_bytes().to_vec(), blobs(&made)).unwrap();
    assert_eq!(opened.digest(), made.digest());
    // The same manifest in other words is another bundle.
    let manifest: serde_json::Value = serde_json::from_slice(made.manifest_bytes()).unwrap();
    let spaced = serde_json::to_vec_pretty(&manifest).unwrap();
    assert_ne!(spaced, made.manifest_bytes());
    let opened = Bundle::open(spaced.clone(), blobs(&made)).unwrap();
    assert_eq!(opened.digest(), Digest::of(&spaced));
}

proptest! {
    /// Whoever alters a byte of the manifest has another digest; what still parses names what it is given.
    #[test]
    fn an_altered_manifest_is_refused_or_another_bundle(at in 0..bundle().manifest_bytes().len(), bits in 1u8..) {
        let made = bundle();
        let mut bytes = made.manifest_bytes().to_vec();
        bytes[at] ^= bits;
        if let Ok(opened) = Bundle::open(bytes, blobs(&made)) {
            prop_assert_ne!(opened.digest(), made.digest());
            for role in ROLES {
                prop_assert_eq!(Digest::of(opened.blob(role)), opened.manifest().blob(role).sha256);
            }
        }
    }

    #[test]
    fn an_altered_blob_is_refused(which in 0..ROLES.len(), at in any::<proptest::sample::Index>(), bits in 1u8..) {
        let made = bundle();
        let mut blobs = blobs(&made);
        let blob = blobs.get_mut(&ROLES[which]).unwrap();
        let at = at.index(blob.len());
        blob[at] ^= bits;
        prop_assert!(Bundle::open(made.manifest_bytes().to_vec(), blobs).is_err());
    }

    #[test]
    fn a_truncated_blob_is_refused(which in 0..ROLES.len(), by in 1usize..4) {
        let made = bundle();
        let mut blobs = blobs(&made);
        let blob = blobs.get_mut(&ROLES[which]).unwrap();
        blob.truncate(blob.len() - by);
        prop_assert!(Bundle::open(made.manifest_bytes().to_vec(), blobs).is_err());
    }

    #[test]
    fn any_bytes_are_no_manifest(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::parse(&bytes).is_err());
    }
}
