//! Compiled engines and images on disk: kept, used, and left alone where they cannot be trusted.

use std::fs;
use std::path::PathBuf;

use super::super::Host;
use super::super::tests::guest;
use super::*;

/// A host with a cache in a folder of its own, and the one file that it holds after compiling an engine.
fn compiled() -> (tempfile::TempDir, Host, Vec<u8>, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new().unwrap().with_cache(&folder.path().join("compiled")).unwrap();
    let engine = guest(1, &[], &[wasm_encoder::Instruction::Unreachable], false);
    host.compile(&engine, Digest::of(&engine)).unwrap();
    let files: Vec<PathBuf> =
        fs::read_dir(folder.path().join("compiled")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let file = file.clone();
    (folder, host, engine, file)
}

fn found(host: &Host, engine: &[u8]) -> bool {
    host.cache.as_ref().unwrap().code(&host.engine, Digest::of(engine)).is_some()
}

#[test]
fn what_was_compiled_is_found_by_its_digest() {
    let (_folder, host, engine, _) = compiled();
    assert!(found(&host, &engine));
    assert!(!found(&host, b"another engine"));
}

#[test]
fn torn_and_altered_files_are_compiled_again() {
    let (_folder, host, engine, file) = compiled();
    let whole = fs::read(&file).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for bytes in [&whole[..whole.len() - 1], &whole[..3], &altered] {
        fs::write(&file, bytes).unwrap();
        assert!(!found(&host, &engine));
        let fresh = Host::new().unwrap().with_cache(file.parent().unwrap()).unwrap();
        fresh.compile(&engine, Digest::of(&engine)).unwrap();
        assert_eq!(fs::read(&file).unwrap(), whole, "it is mended");
    }
}

/// Loads a bundle into an engine that answers `describe` with a trap, and ranks nothing.
fn load(host: &Host, model: u8) {
    let load = shared_features::wire::Load { encoder: vec![], policy: vec![], tables: vec![], model: vec![model] };
    let engine = guest(1, &[], &[wasm_encoder::Instruction::Unreachable], false);
    super::super::Guest::new(host, &engine, &load, super::super::Limits::serving()).unwrap();
}

#[test]
fn a_bundle_that_was_loaded_before_is_not_loaded_again() {
    use super::super::{Guest, Limits};
    use shared_features::floats::Floats;
    use shared_features::wire::{Load, Reply};
    let reply = codec::encode(&Reply::Ok(Floats(vec![1.0])));
    let escaped: String = reply.iter().map(|byte| format!("\\{byte:02x}")).collect();
    // Loading adds 1 to the last byte of the reply, which makes another number of it.
    let text = format!(
        r#"(module (memory (export "memory") 2) (data (i32.const 1024) "{escaped}")
        (func (export "hearth_abi") (result i32) (i32.const 1))
        (func (export "hearth_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "hearth_free") (param i32 i32))
        (func (export "hearth_load") (param i32 i32) (result i32)
          (i32.store8 (i32.const {last}) (i32.add (i32.load8_u (i32.const {last})) (i32.const 1))) (i32.const 0))
        (func (export "hearth_call") (param i32 i32 i32) (result i64) (i64.const {packed})))"#,
        last = 1024 + reply.len() - 1,
        packed = 1024u64 << 32 | reply.len() as u64,
    );
    let engine = wat::parse_str(text).unwrap();
    let load = Load { encoder: vec![], policy: vec![], tables: vec![], model: vec![] };
    let folder = tempfile::tempdir().unwrap();
    let answer = || {
        let host = Host::new().unwrap().with_cache(&folder.path().join("compiled")).unwrap();
        Guest::new(&host, &engine, &load, Limits::serving()).unwrap().score(&[0.0])
    };
    let files = || -> Vec<(PathBuf, Vec<u8>)> {
        let paths = fs::read_dir(folder.path().join("compiled")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let loaded = Ok(vec![f32::from_bits(1f32.to_bits() + (1 << 24))]);
    assert_eq!(answer(), loaded);
    let first = files();
    assert_eq!(first.len(), 2, "an engine and an image");
    assert_eq!(answer(), loaded);
    // A memory that says something else is believed: it was mapped, and not made again.
    let other = wat::parse_str(format!(r#"(module (memory (export "memory") 2) (data (i32.const 1024) "{escaped}"))"#));
    let host = Host::new().unwrap().with_cache(&folder.path().join("compiled")).unwrap();
    let other = Module::new(&host.engine, other.unwrap()).unwrap();
    let digest =
        Digest::of(&[Digest::of(&engine).as_bytes(), &Digest::of(&codec::encode(&load)).as_bytes()[..]].concat());
    host.cache.as_ref().unwrap().keep_memory(&host.engine, digest, &other).unwrap();
    assert_eq!(answer(), Ok(vec![1.0]));
    // A torn one is not, and is made again.
    for (path, bytes) in &first {
        fs::remove_file(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
    }
    assert_eq!(answer(), loaded);
    assert_eq!(files(), first);
}

/// Makes a file as old as the epoch.
fn age(path: &Path) {
    File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

#[test]
fn of_each_kind_the_files_used_last_are_kept_and_others_are_let_alone() {
    let (_folder, host, engine, file) = compiled();
    let cache = file.parent().unwrap();
    let digest = Digest::of(b"");
    let others = ["my-notes.txt".to_owned(), "x.tmp".to_owned(), format!("{digest}.code"), format!("{digest}-12.code")];
    for name in &others {
        fs::write(cache.join(name), name).unwrap();
        age(&cache.join(name));
    }
    let count = |ending: &str| {
        let paths = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| kind(path) == Some(ending)).count()
    };
    for torn in 0..KEPT + 3 {
        fs::write(cache.join(format!("{digest}-{torn:016x}.0.tmp")), "").unwrap();
    }
    for model in 0..KEPT as u8 + 8 {
        age(&file);
        // The engine is ready in this process, and used with each bundle.
        load(&host, model);
        assert!(fs::metadata(&file).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
        assert_eq!((count(CODE), count(MEMORY)), (1, KEPT.min(model as usize + 1)));
    }
    assert_eq!(count(TEMPORARY), KEPT);
    for k in 0..KEPT as u8 + 2 {
        let other = guest(1, &[k], &[wasm_encoder::Instruction::Unreachable], false);
        host.compile(&other, Digest::of(&other)).unwrap();
        load(&host, 0);
    }
    assert_eq!((count(CODE), count(MEMORY)), (KEPT, KEPT));
    assert!(found(&host, &engine), "what is used stays");
    for name in others {
        assert_eq!(fs::read_to_string(cache.join(&name)).unwrap(), name, "no file of this cache");
    }
}

#[cfg(unix)]
#[test]
fn what_others_may_write_to_is_left_alone() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, host, engine, file) = compiled();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&file, 0o620);
    assert!(!found(&host, &engine));
    allow(&file, 0o600);
    assert!(found(&host, &engine));
    let cache = file.parent().unwrap();
    allow(cache, 0o777);
    assert!(!found(&host, &engine));
    assert!(Host::new().unwrap().with_cache(cache).unwrap_err().to_string().contains("others may write"));
    allow(cache, 0o700);
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(!found(&host, &engine));
    let refused = || Host::new().unwrap().with_cache(cache).unwrap_err().to_string();
    allow(folder.path(), 0o770);
    assert!(refused().contains("others may write to the folder that it is in"), "{}", refused());
    allow(folder.path(), 0o1777);
    Host::new().unwrap().with_cache(cache).unwrap();
    allow(folder.path(), 0o700);
}

#[cfg(unix)]
#[test]
fn what_another_user_owns_is_left_alone() {
    use std::os::unix::fs::{MetadataExt, chown};
    let (_folder, host, engine, file) = compiled();
    let cache = file.parent().unwrap();
    let own = fs::metadata(&file).unwrap().uid();
    let give = |path: &Path, user| chown(path, Some(user), None);
    if give(&file, own + 1).is_err() {
        return println!("skipped: only root may give files to another user; run the tests as root");
    }
    assert!(!found(&host, &engine));
    give(cache, own + 1).unwrap();
    assert!(!found(&host, &engine), "folder and file are of one user, who is not this one");
    let error = Host::new().unwrap().with_cache(cache).unwrap_err().to_string();
    assert!(error.contains("another user"), "{error}");
    give(&file, own).unwrap();
    assert!(!found(&host, &engine));
    give(cache, own).unwrap();
    assert!(found(&host, &engine));
}
