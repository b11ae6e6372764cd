//! Same data, configuration and seed give the same bundle, in another checkout at another path too.

use std::path::{Path, PathBuf};
use std::process::Command;

use hearth_tests::world::{copy, workspace};
use shared_features::digest::Digest;
use trainer::data::replay::{Subject, replay};
use trainer::data::shard::Shard;
use trainer::data::simulate::{self, World};
use trainer::data::store::Data;
use trainer::data::validation::training::Checks;
use trainer::experiment::train::{Settings, train};
use trainer::spec::TrainerSpec;

fn bundle(folder: &Path, seed: u64) -> Digest {
    let world = World { users: 300, items: 120, days: 21, seed: 9, null: false };
    simulate::write(&world, &folder.join("data"), &|_, _| {}).unwrap();
    let spec_path = workspace().join("trainer/specs/shortcuts.toml");
    let spec = TrainerSpec::read(&spec_path).unwrap();
    let data = Data::open(&folder.join("data")).unwrap();
    replay(&data, &spec.features, &Subject::of_spec(&spec.features), Shard::WHOLE, &folder.join("log"), &|_, _| {})
        .unwrap();
    train(
        &folder.join("log"),
        &spec_path,
        &Settings { seed, fold: 0 },
        &Checks::default(),
        &folder.join("run"),
        &|_, _| {},
    )
    .unwrap()
    .bundle
}

#[test]
fn two_runs_give_one_bundle_and_another_seed_another() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = bundle(a.path(), 4);
    assert_eq!(first, bundle(&b.path().join("somewhere/else"), 4));
    assert_ne!(first, bundle(a.path(), 5));
}

#[test]
fn another_checkout_builds_the_same_engine() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = folder.path().join("a checkout/with another path");
    for part in ["shared-features", "wasm-model", "trainer", "edge-runtime", "tests"] {
        copy(&workspace().join(part), &checkout.join(part));
    }
    for file in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        std::fs::copy(workspace().join(file), checkout.join(file)).unwrap();
    }
    // As trainer/build.rs does it.
    let target = folder.path().join("target");
    let flags = [
        "-Ctarget-feature=+simd128".to_owned(),
        "-Clink-arg=--compress-relocations".to_owned(),
        "--cfg=getrandom_backend=\"unsupported\"".to_owned(),
        format!("--remap-path-prefix={}=cargo", cargo_home().display()),
        format!("--remap-path-prefix={}=hearth", checkout.canonicalize().unwrap().display()),
        format!("--remap-path-prefix={}=target", target.display()),
    ];
    let status = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--package", "wasm-model", "--profile", "engine"])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(&checkout)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .unwrap();
    assert!(status.success());
    let engine = std::fs::read(target.join("wasm32-unknown-unknown/engine/wasm_model.wasm")).unwrap();
    assert_eq!(Digest::of(&engine), Digest::of(trainer::ENGINE));
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME")
        .map_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cargo"), PathBuf::from)
}
