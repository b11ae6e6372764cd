//! Compiled engines on disk, so that a restart does not compile again.
//!
//! wasmtime runs what is loaded here without looking at it again. So only this machine's own output is: in a folder
//! that nobody else may write to, under a name made of the engine's digest and wasmtime's version and settings.
//! A file that was torn or altered by accident is noticed by its checksum; whatever is wrong, the engine is compiled.
#![allow(unsafe_code)]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared_features::codec;
use shared_features::digest::Digest;
use wasmtime::{Engine, Module};

use super::instance::Code;

/// A folder of compiled engines.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// A compiled engine as it lies on disk, after the checksum of all this.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// wasmtime's bytes.
    #[serde(with = "serde_bytes")]
    module: Vec<u8>,
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
    pub(super) fn get(&self, engine: &Engine, digest: Digest) -> Option<Code> {
        let path = self.path(engine, digest);
        private::check(&path).ok()?;
        let bytes = fs::read(&path).ok()?;
        let (checksum, body) = bytes.split_first_chunk::<4>()?;
        if crc32fast::hash(body).to_le_bytes() != *checksum {
            return None;
        }
        let Stored { module, data, minimum, maximum, globals } = codec::decode(body, "compiled engine").ok()?;
        // SAFETY: `Module::serialize` of this very version, settings and machine wrote it, as the name says and wasmtime
        // checks again; nobody but this user could write it since, and the checksum says that it is whole.
        let module = unsafe { Module::deserialize(engine, module) }.ok()?;
        Some(Code::restore(module, data, (minimum, maximum), globals))
    }

    /// Keeps a compiled engine for later; one that cannot be kept is compiled again then.
    pub(super) fn put(&self, engine: &Engine, digest: Digest, code: &Code) -> io::Result<()> {
        let (module, parts) = code.parts();
        let stored = Stored {
            module: module.serialize().map_err(io::Error::other)?,
            data: parts.data.clone(),
            minimum: parts.memory.minimum,
            maximum: parts.memory.maximum,
            globals: parts.globals,
        };
        let body = codec::encode(&stored);
        let path = self.path(engine, digest);
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let written = private::create(&temporary)
            .and_then(|mut file| {
                file.write_all(&crc32fast::hash(&body).to_le_bytes()).and_then(|()| file.write_all(&body))
            })
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn path(&self, engine: &Engine, digest: Digest) -> PathBuf {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        self.folder.join(format!("{digest}-{:016x}", settings.finish()))
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
