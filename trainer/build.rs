//! Compiles `wasm-model` to the two engines of which the trainer puts one into every bundle: compact and onnx.
//!
//! Paths are remapped, so that two checkouts at different places build the same bytes.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../build/remap.rs"]
mod remap;

const TARGET: &str = "wasm32-unknown-unknown";
/// File, cargo profile and features of each engine.
const ENGINES: [(&str, &str, &str); 2] = [("engine.wasm", "engine", ""), ("engine-onnx.wasm", "engine-onnx", "onnx")];

fn main() {
    let var = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"));
    let root = Path::new(&var("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there");
    let out = PathBuf::from(var("OUT_DIR"));
    for watched in ["wasm-model", "shared-features"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    for watched in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "build/remap.rs"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    if !target_is_installed(&var("RUSTC")) {
        println!("cargo::error=the engine needs the target {TARGET}; run: rustup target add {TARGET}");
        return;
    }
    let target_dir = out.join("engine-target");
    for (file, profile, features) in ENGINES {
        let mut cargo = Command::new(var("CARGO"));
        cargo
            .args(["build", "--locked", "--package", "wasm-model", "--target", TARGET])
            .args(["--profile", profile, "--features", features])
            .arg("--manifest-path")
            .arg(root.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", flags(&root, &target_dir));
        // Settings of the outer build (wrappers for clippy, profiles, flags) must not reach the engine's bytes.
        for (name, _) in env::vars() {
            let outer = name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_BUILD_");
            let flags =
                matches!(name.as_str(), "RUSTFLAGS" | "RUSTC_WORKSPACE_WRAPPER" | "RUSTC_WRAPPER" | "CLIPPY_ARGS");
            if outer || flags {
                cargo.env_remove(name);
            }
        }
        match cargo.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return println!("cargo::error=building {file} failed ({status}); `cargo build -vv` shows why");
            }
            Err(e) => return println!("cargo::error=cannot start cargo to build {file}: {e}"),
        }
        let engine = target_dir.join(TARGET).join(profile).join("wasm_model.wasm");
        if let Err(e) = std::fs::copy(&engine, out.join(file)) {
            println!("cargo::error=cannot copy {}: {e}", engine.display());
        }
    }
}

fn target_is_installed(rustc: &str) -> bool {
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|o| o.status.success() && Path::new(String::from_utf8_lossy(&o.stdout).trim()).is_dir())
}

/// Flags of the engines' builds: 128-bit SIMD, which every engine has had since 2023, numbers in as few bytes as they
/// need, no source of random numbers, which would be an import, and no paths of this machine.
fn flags(root: &Path, target_dir: &Path) -> String {
    let fixed =
        ["-Ctarget-feature=+simd128", "-Clink-arg=--compress-relocations", "--cfg=getrandom_backend=\"unsupported\""];
    let fixed = fixed.map(str::to_owned);
    [&fixed[..], &remap::flags(root, target_dir)].concat().join("\u{1f}")
}
