//! What fuzzers were given and what they found, through the same functions: nothing panics.

use std::path::PathBuf;

use hearth_tests::world::workspace;

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code)]
mod fuzz;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = workspace().join("tests/fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Every prefix up to 100 bytes, and the file with one byte in 50 altered: a little of what a fuzzer does.
fn variations(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len().min(100)).map(|end| bytes[..end].to_vec());
    let altered = (0..bytes.len()).step_by(50.max(bytes.len() / 40)).flat_map(|at| {
        [1u8, 0x80, 0xff].map(|bits| {
            let mut altered = bytes.to_vec();
            altered[at] ^= bits;
            altered
        })
    });
    cut.chain(altered)
}

#[test]
fn every_file_of_the_corpus() {
    for (name, target) in fuzz::TARGETS {
        // The one that needs an engine file; it is below.
        if name == "parity" {
            continue;
        }
        let corpus = corpus(name);
        assert!(
            !corpus.is_empty(),
            "{name} has no corpus; run `cargo run --package hearth-tests --example fuzz_corpus`"
        );
        for (path, bytes) in corpus {
            let run = |bytes: &[u8]| std::panic::catch_unwind(|| target(bytes));
            assert!(run(&bytes).is_ok(), "{name} panics with {}", path.display());
            for bytes in variations(&bytes) {
                assert!(run(&bytes).is_ok(), "{name} panics with {} altered: {bytes:?}", path.display());
            }
        }
    }
}

#[test]
fn host_and_guest_agree_on_the_corpus() {
    for (_, bytes) in corpus("parity") {
        fuzz::host::same_in_a_sandbox(trainer::ENGINE, &bytes);
        for bytes in variations(&bytes) {
            fuzz::host::same_in_a_sandbox(trainer::ENGINE, &bytes);
        }
    }
}

#[test]
fn a_target_is_a_file_with_a_corpus() {
    let fuzz = workspace().join("tests/fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in fuzz::TARGETS {
        let file = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{file}\"")), "{name}");
        let text = std::fs::read_to_string(fuzz.join(&file)).unwrap();
        assert!(text.contains(&format!("::{name}(")), "{file}");
    }
    let count = std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count();
    assert_eq!(count, fuzz::TARGETS.len(), "every file is a target");
    let bytes: u64 = fuzz::TARGETS.iter().flat_map(|(name, _)| corpus(name)).map(|(_, bytes)| bytes.len() as u64).sum();
    assert!(bytes < 300_000, "the corpora have {bytes} bytes; keep them small: cargo fuzz cmin");
}
