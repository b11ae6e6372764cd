//! A registry in a folder or an object store: what reads it and what publishes to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use shared_features::digest::Digest;

use super::{Audit, DOCUMENT, RegistryError, Release, blob_path, bucket, channel_path};
use crate::bundle::{Bundle, ROLES};
use crate::channel::{Channel, is_name};
use crate::sign::{self, DocumentType, Trusted};

/// A registry.
#[derive(Clone, Debug)]
pub struct Registry {
    store: Arc<dyn ObjectStore>,
    base: Path,
    name: String,
}

impl Registry {
    /// Opens a folder (made where it does not exist) or an object store's URL.
    ///
    /// # Errors
    /// A place that cannot be used.
    pub fn open(location: &str) -> Result<Registry, RegistryError> {
        let refuse = |reason: String| RegistryError::Location { registry: location.to_owned(), reason };
        let url = location.split_once("://");
        let (store, base): (Arc<dyn ObjectStore>, Path) = match url {
            None => (Arc::new(local(FilePath::new(location)).map_err(&refuse)?), Path::default()),
            Some(("file", path)) => (Arc::new(local(FilePath::new(path)).map_err(&refuse)?), Path::default()),
            Some(_) => bucket::open(location).map_err(refuse)?,
        };
        Ok(Registry { store, base, name: location.to_owned() })
    }

    /// Where it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes a bundle's blobs and then its manifest.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put_bundle(&self, bundle: &Bundle) -> Result<Digest, RegistryError> {
        for role in ROLES {
            self.put_blob(bundle.blob(role)).await?;
        }
        let digest = bundle.digest();
        self.put(&format!("bundles/{digest}"), bundle.manifest_bytes().to_vec()).await?;
        Ok(digest)
    }

    /// Writes a blob under its digest.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put_blob(&self, bytes: &[u8]) -> Result<Digest, RegistryError> {
        let digest = Digest::of(bytes);
        let object = blob_path(digest);
        // What is there already may have been damaged since.
        match self.get(&object, bytes.len() as u64).await {
            Ok(there) if there == bytes => {}
            _ => self.put(&object, bytes.to_vec()).await?,
        }
        Ok(digest)
    }

    /// Writes a signed release record and returns its id.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put_release(&self, release: &Release, key: &SigningKey) -> Result<String, RegistryError> {
        let id = ulid::Ulid::new().to_string();
        let object = format!("releases/{}/{}/{id}", release.surface, release.bundle);
        self.put(&object, sign::seal(DocumentType::Release, release, &[key])).await?;
        Ok(id)
    }

    /// The newest release record of a bundle; not verified, so for display and replay only.
    ///
    /// # Errors
    /// The store fails, or there is none.
    pub async fn newest_release(&self, surface: &str, bundle: Digest) -> Result<Release, RegistryError> {
        let object = format!("releases/{surface}/{bundle}");
        let mut found = self.list(&object).await?;
        found.sort();
        let newest = found.pop().ok_or_else(|| self.not_found(&object))?;
        let bytes = self.get(&newest, DOCUMENT).await?;
        sign::read_unverified(&bytes, DocumentType::Release)
            .map_err(|source| RegistryError::Signature { object: newest, source })
    }

    /// All release records of a surface, by bundle and age; not verified, so for display only.
    ///
    /// # Errors
    /// The store fails, or a record is none.
    pub async fn releases(&self, surface: &str) -> Result<Vec<Release>, RegistryError> {
        let mut found = self.list(&format!("releases/{surface}")).await?;
        found.sort();
        let mut releases = Vec::new();
        for object in found {
            let bytes = self.get(&object, DOCUMENT).await?;
            let release = sign::read_unverified(&bytes, DocumentType::Release);
            releases.push(release.map_err(|source| RegistryError::Signature { object, source })?);
        }
        Ok(releases)
    }

    /// The pointer that is there, for a publisher who changes it; `None` where the channel is new.
    ///
    /// # Errors
    /// The store fails, or the document is signed by somebody else.
    pub async fn channel_to_change(
        &self,
        surface: &str,
        channel: &str,
        key: &SigningKey,
    ) -> Result<Option<Channel>, RegistryError> {
        let object = channel_path(surface, channel);
        let bytes = match self.get(&object, DOCUMENT).await {
            Ok(bytes) => bytes,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(e),
        };
        let public = key.verifying_key();
        let own = Trusted { keys: BTreeMap::from([(sign::key_id(&public), public)]), threshold: 1 };
        sign::open(&bytes, DocumentType::Channel, &own)
            .map(Some)
            .map_err(|source| RegistryError::Signature { object, source })
    }

    /// Points a channel at what its arms name; a bundle that did not pass the gate needs an override,
    /// which goes to the audit log.
    ///
    /// # Errors
    /// The store fails, the gate did not pass, or the pointer makes no sense.
    pub async fn point(
        &self,
        pointer: &Channel,
        release: &Release,
        action: &str,
        key: &SigningKey,
    ) -> Result<(), RegistryError> {
        if let Some(name) = [&pointer.surface, &pointer.channel].into_iter().find(|name| !is_name(name)) {
            return Err(RegistryError::Name { name: name.clone() });
        }
        let object = channel_path(&pointer.surface, &pointer.channel);
        if !release.gate_passed && release.override_reason.is_none() {
            return Err(RegistryError::Gate { bundle: release.bundle });
        }
        pointer
            .accept(&pointer.surface, &pointer.channel, None, pointer.issued)
            .map_err(|source| RegistryError::Channel { object: object.clone(), source })?;
        let audit = Audit {
            at: pointer.issued,
            action: action.to_owned(),
            channel: format!("{}/{}", pointer.surface, pointer.channel),
            bundle: release.bundle,
            reason: release.override_reason.clone().unwrap_or_else(|| "the gate passed".into()),
            tables: pointer.arms.iter().filter_map(|arm| arm.tables).collect(),
        };
        let entry = format!("audit/{}", ulid::Ulid::new());
        self.put(&entry, sign::seal(DocumentType::Audit, &audit, &[key])).await?;
        self.put(&object, sign::seal(DocumentType::Channel, pointer, &[key])).await
    }

    /// Whether a publisher has released a bundle for a surface.
    ///
    /// # Errors
    /// The store fails.
    pub async fn is_released(
        &self,
        surface: &str,
        bundle: Digest,
        publishers: &Trusted,
    ) -> Result<bool, RegistryError> {
        for object in self.list(&format!("releases/{surface}/{bundle}")).await? {
            let bytes = self.get(&object, DOCUMENT).await?;
            let release: Result<Release, _> = sign::open(&bytes, DocumentType::Release, publishers);
            if release.is_ok_and(|r| r.bundle == bundle && r.surface == surface) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds the snapshots that publishers have put on channels: those that channels name now, and those of the audit
    /// log's entries after `after`, which becomes the last one that was read.
    ///
    /// Documents that nobody trusted has signed are passed over.
    ///
    /// # Errors
    /// The store fails.
    pub async fn published_tables(
        &self,
        publishers: &Trusted,
        after: &mut String,
        tables: &mut BTreeSet<Digest>,
    ) -> Result<(), RegistryError> {
        let mut entries = self.list("audit").await?;
        entries.retain(|object| *object > *after);
        entries.sort();
        for object in entries {
            let bytes = self.get(&object, DOCUMENT).await?;
            if let Ok(audit) = sign::open::<Audit>(&bytes, DocumentType::Audit, publishers) {
                tables.extend(audit.tables);
            }
            *after = object;
        }
        for object in self.list("channels").await? {
            let bytes = self.get(&object, DOCUMENT).await?;
            if let Ok(pointer) = sign::open::<Channel>(&bytes, DocumentType::Channel, publishers) {
                tables.extend(pointer.arms.iter().filter_map(|arm| arm.tables));
            }
        }
        Ok(())
    }

    /// Whether there is any channel: a registry without one is a place that is not what it should be.
    ///
    /// # Errors
    /// The store fails.
    pub async fn has_channels(&self) -> Result<bool, RegistryError> {
        Ok(!self.list("channels").await?.is_empty())
    }

    /// The surfaces that have a channel of this name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn surfaces(&self, channel: &str) -> Result<Vec<String>, RegistryError> {
        let mut surfaces: Vec<String> = self
            .list("channels")
            .await?
            .iter()
            .filter_map(|object| {
                let (surface, name) = object.strip_prefix("channels/")?.split_once('/')?;
                (name == channel).then(|| surface.to_owned())
            })
            .collect();
        surfaces.sort();
        Ok(surfaces)
    }

    /// Reads any object of at most `limit` bytes; a larger one is not downloaded.
    ///
    /// # Errors
    /// The store fails, there is no such object, or it is too large.
    pub async fn get(&self, object: &str, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let found = match self.store.get(&self.path(object)).await {
            Ok(found) if found.meta.size > limit => {
                return Err(RegistryError::TooLarge { object: object.to_owned(), size: found.meta.size, limit });
            }
            Ok(found) => found.bytes().await,
            Err(e) => Err(e),
        };
        match found {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(object_store::Error::NotFound { .. }) => Err(self.not_found(object)),
            Err(source) => Err(self.store_error(object, source)),
        }
    }

    /// Writes any object at once: a reader sees the old bytes or the new ones.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put(&self, object: &str, bytes: Vec<u8>) -> Result<(), RegistryError> {
        let options = PutOptions::from(PutMode::Overwrite);
        let put = self.store.put_opts(&self.path(object), bytes.into(), options).await;
        put.map(|_| ()).map_err(|source| self.store_error(object, source))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, RegistryError> {
        let base = self.path(prefix);
        let found: Vec<_> =
            self.store.list(Some(&base)).try_collect().await.map_err(|source| self.store_error(prefix, source))?;
        let skip = self.base.parts().count();
        Ok(found.iter().map(|m| Path::from_iter(m.location.parts().skip(skip)).to_string()).collect())
    }

    fn path(&self, object: &str) -> Path {
        Path::from_iter(self.base.parts().chain(Path::from(object).parts()))
    }

    fn store_error(&self, object: &str, source: object_store::Error) -> RegistryError {
        RegistryError::Store { registry: self.name.clone(), object: object.to_owned(), source: Box::new(source) }
    }
}

fn local(folder: &FilePath) -> Result<LocalFileSystem, String> {
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    LocalFileSystem::new_with_prefix(folder).map_err(|e| e.to_string())
}
