//! Compiled engines and the images of loaded bundles on disk, so that a restart does not make them again.
//!
//! wasmtime runs what is loaded here without looking at it again. So only this machine's own output is: in a folder of
//! this user that nobody else may write to, under a name made of what it was made from and wasmtime's version and settings.
//! A file that was torn or altered by accident is noticed by its checksum; whatever is wrong, it is made again.
//!
//! Files are mapped and not copied: an instance's memory begins with the pages of its image's file.
//! They are therefore replaced and removed, and never written again. The [`KEPT`] of each kind that were used last
//! stay; other files in the folder are let alone.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shared_features::codec;
use shared_features::digest::Digest;
use wasmtime::{Engine, Module};

use super::instance::Code;

/// Files of a kind that a folder keeps: those of a few releases of each surface and arm.
const KEPT: usize = 16;
/// Endings of files: compiled engines, images of loaded bundles, and what is being written.
const CODE: &str = "code";
const MEMORY: &str = "memory";
const TEMPORARY: &str = "tmp";

/// A folder of compiled engines and images.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    user: private::User,
}

/// What is known of a compiled engine beside its code.
#[derive(Serialize, Deserialize)]
struct Rest {
    /// What the memory begins with.
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
    minimum: u64,
    maximum: Option<u64>,
    globals: u32,
}

impl Cache {
    /// Takes a folder, which it makes where it is not there.
    ///
    /// # Errors
    /// The folder cannot be made, is another user's, or others may write to it or to the one that it is in.
    pub(super) fn open(folder: &Path) -> io::Result<Cache> {
        Ok(Cache { folder: folder.to_owned(), user: private::make(folder)? })
    }

    /// A compiled engine, where this machine compiled it before with these settings.
    pub(super) fn code(&self, engine: &Engine, digest: Digest) -> Option<Code> {
        let (module, rest) = self.get(engine, digest, CODE)?;
        let Rest { data, minimum, maximum, globals } = codec::decode(&rest, "compiled engine").ok()?;
        Some(Code::restore(module, data, (minimum, maximum), globals))
    }

    /// Keeps a compiled engine for later; one that cannot be kept is compiled again then.
    pub(super) fn keep_code(&self, engine: &Engine, digest: Digest, code: &Code) -> io::Result<()> {
        let (module, parts) = code.parts();
        let rest = Rest {
            data: parts.data.clone(),
            minimum: parts.memory.minimum,
            maximum: parts.memory.maximum,
            globals: parts.globals,
        };
        self.put(engine, digest, CODE, module, &codec::encode(&rest))
    }

    /// Says that a compiled engine was used again, so that it stays.
    pub(super) fn renew_code(&self, engine: &Engine, digest: Digest) {
        renew(&self.path(engine, digest, CODE));
    }

    /// The memory of a bundle that this machine loaded before; `loaded` names engine and bundle.
    pub(super) fn memory(&self, engine: &Engine, loaded: Digest) -> Option<Module> {
        self.get(engine, loaded, MEMORY).map(|(memory, _)| memory)
    }

    /// Keeps the memory of a loaded bundle for later; one that cannot be kept is loaded again then.
    pub(super) fn keep_memory(&self, engine: &Engine, loaded: Digest, memory: &Module) -> io::Result<()> {
        self.put(engine, loaded, MEMORY, memory, &[])
    }

    /// A module, and what was kept with it.
    fn get(&self, engine: &Engine, name: Digest, kind: &str) -> Option<(Module, Vec<u8>)> {
        let path = self.path(engine, name, kind);
        private::check(&path, self.user).ok()?;
        let bytes = fs::read(&path).ok()?;
        let (body, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body).to_le_bytes() != *checksum {
            return None;
        }
        let (body, len) = body.split_last_chunk::<4>()?;
        let rest = body.get(body.len().checked_sub(u32::from_le_bytes(*len) as usize)?..)?.to_vec();
        // SAFETY: `Module::serialize` of this very version, settings and machine wrote it, as the name says and wasmtime
        // checks again, with bytes after it that it does not look at; nobody but this user could write it since, the
        // checksum says that it is whole, and Hearth never writes to a file that has its name.
        let module = unsafe { Module::deserialize_file(engine, &path) }.ok()?;
        renew(&path);
        Some((module, rest))
    }

    /// Writes a module, the rest, the rest's length, and a checksum of it all.
    fn put(&self, engine: &Engine, name: Digest, kind: &str, module: &Module, rest: &[u8]) -> io::Result<()> {
        let mut bytes = module.serialize().map_err(io::Error::other)?;
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let path = self.path(engine, name, kind);
        let temporary = path.with_extension(format!("{}.{TEMPORARY}", ulid::Ulid::new()));
        let written = private::create(&temporary)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| self.forget())
    }

    /// Removes what of each kind was not used for longest.
    fn forget(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(kind) = kind(&path) else { continue };
            // One that is gone by now needs no removing.
            if let Ok(used) = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()) {
                files.push((kind, used, path));
            }
        }
        files.sort();
        for files in files.chunk_by(|(a, ..), (b, ..)| a == b) {
            for (_, _, path) in files.iter().rev().skip(KEPT) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn path(&self, engine: &Engine, name: Digest, kind: &str) -> PathBuf {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        self.folder.join(format!("{name}-{:016x}.{kind}", settings.finish()))
    }
}

/// Those used last are kept; one that cannot be marked is made again one day.
fn renew(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// The ending of a file with a name that [`Cache`] gives; `None` for files of others.
fn kind(path: &Path) -> Option<&'static str> {
    let (stem, ending) = path.file_name()?.to_str()?.split_once('.')?;
    let (digest, settings) = stem.split_once('-')?;
    let own = digest.parse::<Digest>().is_ok() && settings.len() == 16 && u64::from_str_radix(settings, 16).is_ok();
    let ending = ending.rsplit('.').next()?;
    [CODE, MEMORY, TEMPORARY].into_iter().find(|kind| own && *kind == ending)
}

/// What nobody but this user may write to.
#[cfg(unix)]
mod private {
    use std::fs::{self, DirBuilder, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    /// Write permission of the group and of everybody.
    const OTHERS: u32 = 0o022;
    /// Only its owner may rename or remove a file in such a folder.
    const STICKY: u32 = 0o1000;

    /// The number of the user as whom this process makes files.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct User(u32);

    pub(super) fn make(folder: &Path) -> io::Result<User> {
        if let Err(error) = DirBuilder::new().mode(0o700).create(folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let metadata = fs::symlink_metadata(folder)?;
        let refuse = |what| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        if !metadata.is_dir() {
            return refuse("it is no folder");
        }
        if metadata.mode() & OTHERS != 0 {
            return refuse("others may write to it; take that from them with `chmod go-w`");
        }
        let within = fs::metadata(folder.join(".."))?.mode();
        if within & OTHERS != 0 && within & STICKY == 0 {
            return refuse("others may write to the folder that it is in; take that from them with `chmod go-w`");
        }
        let user = user(folder)?;
        if metadata.uid() != user.0 {
            return refuse("it belongs to another user; remove it, or pass another --state");
        }
        Ok(user)
    }

    /// Whom a file belongs to that this process makes.
    fn user(folder: &Path) -> io::Result<User> {
        let path = folder.join(format!("{}.tmp", ulid::Ulid::new()));
        let file = create(&path)?;
        fs::remove_file(&path)?;
        Ok(User(file.metadata()?.uid()))
    }

    /// A plain file of this user that nobody else may write to, in such a folder.
    pub(super) fn check(path: &Path, user: User) -> io::Result<()> {
        let (file, folder) = (fs::symlink_metadata(path)?, fs::metadata(path.parent().unwrap_or(path))?);
        let own = [file.uid(), folder.uid()] == [user.0; 2] && (file.mode() | folder.mode()) & OTHERS == 0;
        if own && file.is_file() { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// A file that was not there.
    pub(super) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }
}

#[cfg(not(unix))]
mod private {
    use std::fs::{self, File};
    use std::io;
    use std::path::Path;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct User;

    pub(super) fn make(folder: &Path) -> io::Result<User> {
        fs::create_dir_all(folder).map(|()| User)
    }

    /// Without Unix permissions nothing says who wrote a file, so none is taken.
    pub(super) fn check(_: &Path, _: User) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        File::create_new(path)
    }
}

#[cfg(test)]
mod tests;
