//! Files that no server is behind.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::domain::{FaceId, PhotoForm};

const IMAGE: &[u8] = b"\xFF\xD8\xFFpixels of a face";

struct Place {
    folder: TempDir,
    vault: Vault,
    tenant: TenantId,
    person: PersonId,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::of(folder.path());
        Self { folder, vault, tenant: "t/1".parse().unwrap(), person: "p".parse().unwrap() }
    }

    /// Stores an image for good.
    fn keep(&self, key: Option<&PhotoKey>) -> (KeptPhoto, Option<PhotoKey>) {
        let Stored { key, files } =
            self.vault.store(&self.tenant, &self.person, (key, &[]), &[IMAGE.to_vec()]).unwrap();
        let file = files[0].file();
        files.into_iter().for_each(ArrivingFile::keep);
        (self.photo(file), key)
    }

    fn photo(&self, file: PhotoFile) -> KeptPhoto {
        KeptPhoto {
            face: FaceId::generate(),
            person: self.person.clone(),
            file,
            form: PhotoForm::Crop,
            kept_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("photos/t%2F1")
    }
}

#[test]
fn a_photo_lies_encrypted_under_a_name_that_says_nothing() {
    let place = Place::new();
    let (one, key) = place.keep(None);
    let key = key.expect("a key is made for the first photo");
    let (two, again) = place.keep(Some(&key));
    assert_eq!(again, None, "and used for the next");
    for photo in [&one, &two] {
        assert_eq!(place.vault.load(&place.tenant, photo, &key).unwrap().as_deref(), Some(IMAGE));
    }
    for entry in fs::read_dir(place.files()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"pixels") && !bytes.starts_with(&IMAGE[..3]), "{path:?}");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }
    #[cfg(unix)]
    for folder in [place.files(), place.folder.path().join("photos")] {
        let permissions = fs::metadata(folder).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o700);
    }
    // Swapped on the disk, they do not open.
    let path = |photo: &KeptPhoto| place.files().join(photo.file.to_string());
    fs::copy(path(&one), path(&two)).unwrap();
    assert_eq!(place.vault.load(&place.tenant, &two, &key).unwrap_err().code(), "damaged_photo");
    place.vault.remove(&place.tenant, [one.file, one.file]).unwrap();
    assert_eq!(place.vault.load(&place.tenant, &one, &key).unwrap(), None);
}

#[test]
fn neither_key_opens_a_photo_without_the_other() {
    let place = Place::new();
    let (photo, key) = place.keep(None);
    let key = key.unwrap();
    let stranger = PhotoKey { person: "q".parse().unwrap(), ..key.clone() };
    assert!(place.vault.load(&place.tenant, &photo, &stranger).is_err(), "the key of somebody else");
    fs::remove_file(place.files().join(KEY_FILE)).unwrap();
    assert!(place.vault.load(&place.tenant, &photo, &key).is_err(), "without the tenant's key");
    let store = |key: Option<&PhotoKey>, kept: &[KeptPhoto]| {
        let stored = place.vault.store(&place.tenant, &place.person, (key, kept), &[IMAGE.to_vec()]);
        stored.err().map(|error| error.code())
    };
    let kept = std::slice::from_ref(&photo);
    assert_eq!(store(Some(&key), kept), Some("photo_key_lost"), "nothing is replaced silently");
    assert_eq!(store(None, &[]), Some("photo_key_lost"), "nor for anybody else of the tenant");
    // Where no photo is left, a new tenant's key is made, and with it a new one of the person, whose old one is worth
    // nothing.
    place.vault.remove(&place.tenant, [photo.file]).unwrap();
    let (newer, replaced) = place.keep(Some(&key));
    let replaced = replaced.expect("a key that opens nothing is replaced");
    assert_eq!(place.vault.load(&place.tenant, &newer, &replaced).unwrap().as_deref(), Some(IMAGE));
    fs::write(place.files().join(KEY_FILE), b"short").unwrap();
    assert_eq!(store(Some(&key), &[]), Some("photo_key_lost"), "is not written over");
    assert_eq!(fs::read(place.files().join(KEY_FILE)).unwrap(), b"short");
}

#[test]
fn a_file_goes_unless_it_is_kept_and_what_arrives_is_not_taken_for_lost() {
    let place = Place::new();
    let (kept, key) = place.keep(None);
    let arriving = place.vault.store(&place.tenant, &place.person, (key.as_ref(), &[]), &[IMAGE.to_vec()]).unwrap();
    let file = arriving.files[0].file();
    assert!(place.vault.has(&place.tenant, file));
    let settled = || place.vault.settled_files(&place.tenant).unwrap();
    assert_eq!(settled(), [kept.file].into());
    drop(arriving);
    assert!(!place.vault.has(&place.tenant, file));
    let unfinished = place.files().join(format!("{file}.x.partial"));
    fs::write(&unfinished, b"cut").unwrap();
    assert_eq!(settled(), [kept.file].into());
    assert!(!unfinished.exists(), "left by a crash");
    place.vault.remove_tenant(&place.tenant).unwrap();
    place.vault.remove_tenant(&place.tenant).unwrap();
    assert!(!place.files().exists() && settled().is_empty());
}
