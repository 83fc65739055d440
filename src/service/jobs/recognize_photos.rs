//! The job that recognises a group in many photos, an item each.

use std::collections::HashSet;

use super::{
    photo::{JobPhoto, failed_photo},
    work::Work,
};
use crate::{
    domain::{ItemReport, PhotoReport, RecogniseOptions},
    error::{Error, Result},
    intake::{PhotoPlace, numbered_photos},
    runtime::spawn_blocking,
    store::ItemPlace,
};

/// The fail point between a photo's marks and its report.
const REPORT_FAULT: &str = "job.report";

/// Works off all photos that have no report yet.
///
/// # Errors
/// What keeps the whole job from going on; what is wrong with a photo is in its report.
pub(super) async fn run(work: &Work, options: &RecogniseOptions) -> Result<()> {
    let (folder, max_entries) = (work.folder.clone(), work.options.max_entries);
    let photos = spawn_blocking(move || numbered_photos(&folder, max_entries))
        .await
        .map_err(|lost| Error::internal("the photos of a job were not looked at").with_source(lost))??;
    let handed_in = work.service.store.job(&work.scope, work.job).await?.created_at;
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
        work.service.recognition.pipeline.tools().faults.hit_async(REPORT_FAULT).await;
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
    work.service.store.note_item(&work.scope, place, ItemReport::Photo(report)).await?;
    work.count_item(outcome);
    Ok(())
}
