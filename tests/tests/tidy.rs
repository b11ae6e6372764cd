//! Rules of the house that a compiler does not check.

use std::path::{Path, PathBuf};

/// Files that may contain unsafe code; `docs/architecture.md` gives each its reason.
const UNSAFE: [&str; 4] = [
    "edge-runtime/src/host/cache.rs",
    "wasm-model/src/abi.rs",
    "wasm-model/src/pool.rs",
    "wasm-model/kernels/src/lanes.rs",
];
/// Crates that become the guest, or compute what it computes.
const GUEST: [&str; 2] = ["shared-features/src", "wasm-model/src"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the workspace, by its path from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for part in ["shared-features", "wasm-model", "edge-runtime", "trainer", "tests"] {
        walk(&root().join(part), &mut found);
    }
    found.sort();
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn unsafe_code_is_only_where_the_architecture_says() {
    let architecture = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    // Written so that this file does not find itself.
    let allow = ["allow(", "unsafe_code)"].concat();
    for (path, text) in sources() {
        assert_eq!(text.contains(&allow), UNSAFE.contains(&path.as_str()), "{path}");
    }
    for path in UNSAFE {
        assert!(architecture.contains(&format!("`{path}`")), "docs/architecture.md does not list {path}");
    }
}

#[test]
fn only_the_codec_names_its_library() {
    let library = ["bin", "code"].concat();
    let call = format!("{library}::");
    for (path, text) in sources() {
        assert!(!text.contains(&call) || path == "shared-features/src/codec.rs", "{path} names {library}");
    }
}

#[test]
fn the_guest_uses_no_platform_mathematics() {
    let banned =
        ["ln", "exp", "exp2", "powf", "powi", "sin", "cos", "tanh", "log2", "log10", "ln_1p", "exp_m1", "mul_add"];
    for (path, text) in sources().into_iter().filter(|(path, _)| GUEST.iter().any(|g| path.starts_with(g))) {
        for (at, line) in text.lines().enumerate() {
            for name in banned {
                assert!(!line.contains(&format!(".{name}(")), "{path}:{}: use libm::{name}", at + 1);
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        let tests = path.ends_with("/tests.rs");
        assert!(text.starts_with("//!") || tests, "{path} does not open with //!");
    }
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let architecture = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let named = architecture.split('`').filter(|part| part.starts_with("tests/tests/"));
    for path in named {
        assert!(root().join(path).is_file(), "docs/architecture.md names {path}, which does not exist");
    }
}
