//! The photos of a job: those of a ZIP file, then those sent as such.

use std::{io, path::Path};

use super::{
    archive::{Archive, FileTime},
    photos::{PhotoFile, PhotoPlace},
    spool::{PHOTOS, image_number},
};
use crate::error::{Error, Result};

/// The photos of a job.
pub struct CheckedPhotos {
    /// How many there are.
    pub photos: u64,
}

impl CheckedPhotos {
    /// Looks at all that is in `folder`. Blocks.
    ///
    /// # Errors
    /// `Invalid` `no_images` or `invalid_zip`; `TooLarge` `too_many_entries` or `zip_bomb`.
    pub fn new(folder: &Path, max_entries: u64) -> Result<Self> {
        let photos = numbered_photos(folder, max_entries)?;
        if let Some(PhotoPlace::Zipped(archive, _)) = photos.first().map(|(_, photo, _)| &photo.place) {
            archive.require_apart()?;
        }
        if photos.is_empty() {
            return Err(Error::invalid("send photos in the field images, or a ZIP of them in the field photos")
                .with_code("no_images"));
        }
        Ok(Self { photos: photos.len() as u64 })
    }
}

/// A photo with its number, which stays when others are done and gone, and the time of its file.
pub type Numbered = (u64, PhotoFile, Option<FileTime>);

/// The photos in `folder`. Blocks.
pub fn numbered_photos(folder: &Path, max_entries: u64) -> Result<Vec<Numbered>> {
    let zip = folder.join(PHOTOS);
    let mut photos = if zip.exists() { zipped(&Archive::open(&zip, max_entries)?) } else { Vec::new() };
    let first = photos.len() as u64;
    let failed = |error: io::Error| Error::internal("the files of a job cannot be read").with_source(error);
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some(number) = image_number(&path) {
            let file = PhotoFile { name: number.to_string(), place: PhotoPlace::File(path) };
            photos.push((first + number, file, None));
        }
    }
    Ok(photos)
}

/// The photos in a ZIP file.
pub(crate) fn zipped(archive: &Archive) -> Vec<Numbered> {
    let numbered = (0..).zip(archive.entries()).map(|(number, entry)| {
        let name = entry.name.rsplit('/').next().unwrap_or_default().to_owned();
        let file = PhotoFile { name, place: PhotoPlace::Zipped(archive.clone(), entry.index) };
        (number, file, entry.modified)
    });
    numbered.collect()
}
