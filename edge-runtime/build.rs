//! Builds this crate once more for wasm32, with the JavaScript that a page loads it by, for `serve --playground`.
//!
//! Paths are remapped, so that none of this machine is in what pages load.
//! Skipped where the target is wasm32 itself, and without the feature `playground`.

#[cfg(feature = "playground")]
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

#[cfg(feature = "playground")]
#[path = "../build/remap.rs"]
mod remap;

#[cfg(feature = "playground")]
const TARGET: &str = "wasm32-unknown-unknown";

#[cfg(not(feature = "playground"))]
fn main() {}

#[cfg(feature = "playground")]
fn main() {
    let var = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"));
    if var("CARGO_CFG_TARGET_ARCH") == "wasm32" {
        return;
    }
    let root = Path::new(&var("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there");
    let out = PathBuf::from(var("OUT_DIR"));
    let watched = ["edge-runtime/src", "edge-runtime/Cargo.toml", "shared-features/src", "shared-features/Cargo.toml"];
    for watched in watched.into_iter().chain(["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "build/remap.rs"]) {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let target_dir = out.join("browser-target");
    let mut cargo = Command::new(var("CARGO"));
    cargo
        .args(["rustc", "--locked", "--package", "edge-runtime", "--lib", "--crate-type", "cdylib"])
        .args(["--no-default-features", "--profile", "browser", "--target", TARGET, "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        // These stand in for every other setting of flags, of targets too.
        .env("CARGO_ENCODED_RUSTFLAGS", remap::flags(&root, &target_dir).join("\u{1f}"));
    // Settings of the outer build (wrappers for clippy, profiles, flags) must not reach the page's bytes.
    for (name, _) in env::vars() {
        let outer = name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_BUILD_");
        let flags = ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "CLIPPY_ARGS"];
        if outer || flags.contains(&name.as_str()) {
            cargo.env_remove(name);
        }
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => {
            let remedy = format!("see the messages above; without the target: rustup target add {TARGET}");
            return println!("cargo::error=building the edge for browsers failed ({status}); {remedy}");
        }
        Err(e) => return println!("cargo::error=cannot start cargo to build the edge for browsers: {e}"),
    }
    let wasm = target_dir.join(TARGET).join("browser/edge_runtime.wasm");
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    let made = bindgen.input_path(&wasm).web(true).and_then(|bindgen| {
        bindgen
            .omit_default_module_path(false)
            .typescript(false)
            .remove_name_section(true)
            .remove_producers_section(true)
            .out_name("hearth")
            .generate(fresh(&out.join("browser")))
    });
    if let Err(e) = made {
        return println!("cargo::error=no JavaScript for {}: {e:#}", wasm.display());
    }
    let mut files = Vec::new();
    list(&out.join("browser"), Path::new(""), &mut files);
    files.sort();
    let lines = files.iter().map(|file| format!("    ({file:?}, include_bytes!(\"browser/{file}\")),\n"));
    let list = format!("&[\n{}]\n", lines.collect::<String>());
    std::fs::write(out.join("browser.rs"), list).expect("the folder for what is built can be written");
}

/// A folder without what an earlier build left there.
#[cfg(feature = "playground")]
fn fresh(folder: &Path) -> &Path {
    let _ = std::fs::remove_dir_all(folder);
    folder
}

/// The files of a folder, by their path from its root.
#[cfg(feature = "playground")]
fn list(root: &Path, under: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(root.join(under)).expect("the folder was just made") {
        let entry = entry.expect("the folder can be read");
        let path = under.join(entry.file_name());
        if entry.path().is_dir() {
            list(root, &path, files);
        } else {
            files.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
}
