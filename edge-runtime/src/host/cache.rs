//! Compiled engines and the images of loaded bundles on disk, so that a restart does not make them again.
//!
//! wasmtime runs what is loaded here without looking at it again. So only this machine's own output is: in a folder
//! that nobody else may write to, under a name made of what it was made from and wasmtime's version and settings.
//! A file that was torn or altered by accident is noticed by its checksum; whatever is wrong, it is made again.
//!
//! Files are mapped and not copied: an instance's memory begins with the pages of its image's file.
//! They are therefore replaced and removed, and never written again. The [`KEPT`] that were used last stay.
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

/// Files that a folder keeps: those of a few releases of each surface and arm.
const KEPT: usize = 16;

/// A folder of compiled engines and images.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
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
    /// The folder cannot be made, or others may write to it.
    pub(super) fn open(folder: &Path) -> io::Result<Cache> {
        private::make(folder)?;
        Ok(Cache { folder: folder.to_owned() })
    }

    /// A compiled engine, where this machine compiled it before with these settings.
    pub(super) fn code(&self, engine: &Engine, digest: Digest) -> Option<Code> {
        let (module, rest) = self.get(engine, digest)?;
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
        self.put(engine, digest, module, &codec::encode(&rest))
    }

    /// The memory of a bundle that this machine loaded before; `loaded` names engine and bundle.
    pub(super) fn memory(&self, engine: &Engine, loaded: Digest) -> Option<Module> {
        self.get(engine, loaded).map(|(memory, _)| memory)
    }

    /// Keeps the memory of a loaded bundle for later; one that cannot be kept is loaded again then.
    pub(super) fn keep_memory(&self, engine: &Engine, loaded: Digest, memory: &Module) -> io::Result<()> {
        self.put(engine, loaded, memory, &[])
    }

    /// A module, and what was kept with it.
    fn get(&self, engine: &Engine, name: Digest) -> Option<(Module, Vec<u8>)> {
        let path = self.path(engine, name);
        private::check(&path).ok()?;
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
        // Those used last are kept.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some((module, rest))
    }

    /// Writes a module, the rest, the rest's length, and a checksum of it all.
    fn put(&self, engine: &Engine, name: Digest, module: &Module, rest: &[u8]) -> io::Result<()> {
        let mut bytes = module.serialize().map_err(io::Error::other)?;
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let path = self.path(engine, name);
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let written = private::create(&temporary)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| self.forget())
    }

    /// Removes what was not used for longest.
    fn forget(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // One that is gone by now needs no removing.
            if let Ok(used) = entry.metadata().and_then(|metadata| metadata.modified()) {
                files.push((used, entry.path()));
            }
        }
        files.sort();
        for (_, path) in files.iter().rev().skip(KEPT) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    fn path(&self, engine: &Engine, name: Digest) -> PathBuf {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        self.folder.join(format!("{name}-{:016x}", settings.finish()))
    }
}

/// What nobody but this user may write to.
#[cfg(unix)]
mod private {
    use std::fs::{self, DirBuilder, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    pub(super) fn make(folder: &Path) -> io::Result<()> {
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
        if metadata.mode() & 0o022 != 0 {
            return refuse("others may write to it");
        }
        Ok(())
    }

    /// A plain file of the folder's owner that nobody else may write to.
    pub(super) fn check(path: &Path) -> io::Result<()> {
        let (file, folder) = (fs::symlink_metadata(path)?, fs::metadata(path.parent().unwrap_or(path))?);
        let own = file.is_file() && file.uid() == folder.uid() && (file.mode() | folder.mode()) & 0o022 == 0;
        if own { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
    }
}

#[cfg(not(unix))]
mod private {
    use std::fs::{self, File};
    use std::io;
    use std::path::Path;

    pub(super) fn make(folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    /// Without Unix permissions nothing says who wrote a file, so none is taken.
    pub(super) fn check(_: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        File::create(path)
    }
}

#[cfg(test)]
mod tests;
