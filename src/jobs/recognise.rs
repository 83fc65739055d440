//! The job that recognises a group in many photos, an item each: those of a ZIP file, then those sent as such.

use std::{collections::HashSet, io, path::Path};

use super::{
    archive::{Archive, FileTime},
    photos::{PhotoFile, PhotoPlace},
    spool::{PHOTOS, image_number},
    work::Work,
};
use crate::{
    domain::{ItemReport, PhotoReport, RecogniseOptions},
    error::{Error, Result},
    runtime::spawn_blocking,
    service::bulk::{JobPhoto, failed_photo},
    store::ItemPlace,
};

/// The fail point between a photo's marks and its report.
const REPORT_FAULT: &str = "job.report";

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
        let photos = photos(folder, max_entries)?;
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
pub(super) type Numbered = (u64, PhotoFile, Option<FileTime>);

/// The photos in `folder`. Blocks.
fn photos(folder: &Path, max_entries: u64) -> Result<Vec<Numbered>> {
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
pub(super) fn zipped(archive: &Archive) -> Vec<Numbered> {
    let numbered = (0..).zip(archive.entries()).map(|(number, entry)| {
        let name = entry.name.rsplit('/').next().unwrap_or_default().to_owned();
        let file = PhotoFile { name, place: PhotoPlace::Zipped(archive.clone(), entry.index) };
        (number, file, entry.modified)
    });
    numbered.collect()
}

/// Works off all photos that have no report yet.
///
/// # Errors
/// What keeps the whole job from going on; what is wrong with a photo is in its report.
pub(super) async fn run(work: &Work, options: &RecogniseOptions) -> Result<()> {
    let (folder, max_entries) = (work.folder.clone(), work.options.max_entries);
    let photos = spawn_blocking(move || photos(&folder, max_entries))
        .await
        .map_err(|lost| Error::internal("the photos of a job were not looked at").with_source(lost))??;
    let handed_in = work.service.store().job(&work.scope, work.job).await?.created_at;
    let done: HashSet<u64> = work.done().await?;
    let left = photos.into_iter().filter(|(number, ..)| !done.contains(number));
    let items = left.map(|(number, file, modified)| async move {
        let photo = JobPhoto { file, modified, handed_in, max_bytes: work.options.image_bytes };
        let recognise = || work.service.recognise_photo(&work.scope, options, &photo);
        let report = match work.patiently(recognise).await {
            Ok(report) => report,
            Err(error) if work.ends_with(&error) => return Err(error),
            Err(error) => failed_photo(&error),
        };
        work.service.pipeline().tools().faults.hit_async(REPORT_FAULT).await;
        note(work, number, report).await?;
        if let PhotoPlace::File(path) = &photo.file.place {
            // What cannot be removed now goes with the folder.
            drop(tokio::fs::remove_file(path).await);
        }
        Ok(())
    });
    work.drive(items).await
}

async fn note(work: &Work, number: u64, report: PhotoReport) -> Result<()> {
    let place = ItemPlace { job: work.job, number };
    let outcome = report.outcome();
    work.service.store().note_item(&work.scope, place, ItemReport::Photo(report)).await?;
    work.count_item(outcome);
    Ok(())
}
