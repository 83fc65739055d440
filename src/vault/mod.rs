//! Photos of people at rest: encrypted files beside the store.
//!
//! Each person's photos are encrypted with a key of the person's, which lies, encrypted with the tenant's key, in the
//! store; the tenant's key lies beside the files. So neither the store (or a backup of it) nor the files say anything
//! without the other, and what a deleted person leaves on any disk stays closed.
//!
//! A file is durable before the record that names it is written, and goes after it: a crash leaves at worst a file that
//! no record names, see [`Vault::unnamed`]. Everything here blocks, and belongs on a blocking thread.

mod copying;
mod folder;
mod sealing;

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::copying::copy_photos;
use self::{
    folder::Folder,
    sealing::{KEY_BYTES, Key, Place, random},
};
use crate::{
    domain::{KeptPhoto, PersonId, PhotoFile, PhotoKey, TenantId},
    error::{Error, Result},
};

/// The folder of the photos in a data folder.
pub const FOLDER: &str = "photos";
/// The file of a tenant's key.
const KEY_FILE: &str = "key";

/// The photos of all tenants. Clones are the same vault.
#[derive(Clone)]
pub struct Vault {
    root: Arc<Path>,
    /// Files whose records are on their way.
    arriving: Arc<Mutex<HashSet<PhotoFile>>>,
    /// Held while a tenant's key is made.
    making_key: Arc<Mutex<()>>,
}

/// New files of a person.
pub struct Stored {
    /// The person's key, where a new one was made: it has to be stored with the photos.
    pub key: Option<PhotoKey>,
    /// In the order of the images.
    pub files: Vec<ArrivingFile>,
}

/// A file that no record names yet: removed when this is dropped, unless it was kept.
#[must_use]
pub struct ArrivingFile {
    vault: Vault,
    tenant: TenantId,
    file: PhotoFile,
    is_kept: bool,
}

impl Vault {
    /// The vault of a data folder; nothing is made before there is a photo.
    pub fn of(data: &Path) -> Self {
        Self { root: data.join(FOLDER).into(), arriving: Arc::default(), making_key: Arc::default() }
    }

    /// Writes `images` of a person, durably, all or none. `key` is the person's own, if they have one, and `kept` their
    /// photos. A key that does not open is replaced where no file is left that it might open, as after a restore
    /// without the files.
    ///
    /// # Errors
    /// `Storage` `photo_key_lost` for a key that would be replaced silently; `Full` `disk_full`; `Storage` if they
    /// cannot be written.
    pub fn store(
        &self,
        tenant: &TenantId,
        person: &PersonId,
        (key, kept): (Option<&PhotoKey>, &[KeptPhoto]),
        images: &[Vec<u8>],
    ) -> Result<Stored> {
        let folder = self.folder(tenant);
        let tenant_key = self.tenant_key_or_new(tenant)?;
        let (own, made) = match key.map(|key| person_key(&tenant_key, tenant, key)) {
            Some(Some(own)) => (own, None),
            Some(None) if kept.iter().any(|photo| self.has(tenant, photo.file)) => return Err(key_lost()),
            _ => new_person_key(&tenant_key, tenant, person).map(|(own, made)| (own, Some(made)))?,
        };
        let write = |image: &Vec<u8>| {
            let file = self.announce(tenant)?;
            let place = Place::photo(tenant, person, file.file);
            folder.write(&file.file.to_string(), &own.seal(&place, image)?)?;
            Ok(file)
        };
        let files = images.iter().map(write).collect::<Result<_>>()?;
        folder.sync()?;
        Ok(Stored { key: made, files })
    }

    /// A photo, decrypted; `None` where its file is gone.
    ///
    /// # Errors
    /// `Storage` `damaged_photo` if it does not open, or if it cannot be read.
    pub fn load(&self, tenant: &TenantId, photo: &KeptPhoto, key: &PhotoKey) -> Result<Option<Vec<u8>>> {
        let Some(sealed) = self.folder(tenant).read(&photo.file.to_string())? else { return Ok(None) };
        let place = Place::photo(tenant, &photo.person, photo.file);
        let own = self.tenant_key(tenant)?.and_then(|tenant_key| person_key(&tenant_key, tenant, key));
        let opened = own.and_then(|own| own.open(&place, &sealed));
        let damaged = || Error::storage("a kept photo cannot be opened").with_code("damaged_photo");
        opened.map(Some).ok_or_else(damaged)
    }

    /// Whether a file is there.
    pub fn has(&self, tenant: &TenantId, file: PhotoFile) -> bool {
        self.folder(tenant).has(&file.to_string())
    }

    /// Removes files, as far as they are there.
    pub fn remove(&self, tenant: &TenantId, files: impl IntoIterator<Item = PhotoFile>) -> Result<()> {
        let folder = self.folder(tenant);
        files.into_iter().try_for_each(|file| folder.remove(&file.to_string()))
    }

    /// Removes all of a tenant, its key first.
    pub fn remove_tenant(&self, tenant: &TenantId) -> Result<()> {
        let folder = self.folder(tenant);
        folder.remove(KEY_FILE)?;
        folder.remove_all()
    }

    /// A tenant's files but those that are arriving; what a crash left unfinished is removed. Those that no record
    /// names, read after this, are nobody's.
    pub fn settled_files(&self, tenant: &TenantId) -> Result<HashSet<PhotoFile>> {
        let folder = self.folder(tenant);
        let names = folder.names()?;
        // In this order: what is no longer arriving by now has its record, if it ever gets one.
        let arriving = self.arriving().clone();
        let mut settled = HashSet::new();
        for name in names {
            let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
            match stem.parse::<PhotoFile>() {
                Ok(file) if arriving.contains(&file) => {}
                Ok(file) if stem == name => drop(settled.insert(file)),
                Ok(_) => folder.remove(&name)?,
                // The tenant's key.
                Err(_) => {}
            }
        }
        Ok(settled)
    }

    fn folder(&self, tenant: &TenantId) -> Folder {
        Folder::at(self.root.join(tenant.file_name()))
    }

    fn arriving(&self) -> MutexGuard<'_, HashSet<PhotoFile>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, tenant: &TenantId) -> Result<ArrivingFile> {
        let file = PhotoFile::from_bytes(random()?);
        self.arriving().insert(file);
        Ok(ArrivingFile { vault: self.clone(), tenant: tenant.clone(), file, is_kept: false })
    }

    fn tenant_key(&self, tenant: &TenantId) -> Result<Option<Key>> {
        let bytes = self.folder(tenant).read(KEY_FILE)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let bytes: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| key_lost())?;
        Ok(Some(Key::from_bytes(bytes)))
    }

    fn tenant_key_or_new(&self, tenant: &TenantId) -> Result<Key> {
        let _only = self.making_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.tenant_key(tenant)? {
            return Ok(key);
        }
        let (folder, bytes) = (self.folder(tenant), random()?);
        if folder.names()?.iter().any(|name| name.parse::<PhotoFile>().is_ok()) {
            return Err(key_lost());
        }
        folder.make()?;
        folder.write(KEY_FILE, &bytes)?;
        folder.sync()?;
        Ok(Key::from_bytes(&bytes))
    }
}

impl ArrivingFile {
    /// Which file it is.
    pub fn file(&self) -> PhotoFile {
        self.file
    }

    /// Leaves it where it is: its record is written, or it is not known whether it is.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for ArrivingFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // One that stays is removed with those that no record names.
            drop(self.vault.remove(&self.tenant, [self.file]));
        }
        self.vault.arriving().remove(&self.file);
    }
}

/// The error for a key without which photos that are there stay closed.
fn key_lost() -> Error {
    Error::storage(
        "the key of this tenant's kept photos is lost or damaged: put the file `key` in its folder under `photos` back \
         from a copy, or remove that folder with the photos, which nobody can open any more",
    )
    .with_code("photo_key_lost")
}

/// `None` for a key that the tenant's does not open.
fn person_key(tenant_key: &Key, tenant: &TenantId, key: &PhotoKey) -> Option<Key> {
    let bytes = tenant_key.open(&Place::key(tenant, &key.person), &key.sealed)?;
    bytes.as_slice().try_into().ok().map(Key::from_bytes)
}

fn new_person_key(tenant_key: &Key, tenant: &TenantId, person: &PersonId) -> Result<(Key, PhotoKey)> {
    let bytes: [u8; KEY_BYTES] = random()?;
    let sealed = tenant_key.seal(&Place::key(tenant, person), &bytes)?;
    Ok((Key::from_bytes(&bytes), PhotoKey { person: person.clone(), sealed }))
}

#[cfg(test)]
mod tests;
