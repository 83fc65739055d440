//! One of many photos in which a group is recognised.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    Service,
    recognise::{RecognizeParams, RecognizedFace, RecognizedPhoto, RequestClass},
};
use crate::{
    domain::{
        Group, PhotoReport, RecogniseOptions, TenantScope,
        job::{SeenFace, TimeSource},
    },
    error::{Error, Result},
    jobs::{PhotoFile, taken},
};

/// A photo of a job.
pub struct JobPhoto {
    /// Where it is.
    pub file: PhotoFile,
    /// When the file was changed last, where that is known, by a clock whose zone is not.
    pub modified: Option<DateTime>,
    /// When the job was handed in.
    pub handed_in: Timestamp,
    /// The largest photo, in bytes.
    pub max_bytes: u64,
}

impl Service {
    /// Recognises a group in one photo, and marks the people found in the session of the time at which it was taken.
    /// Again it marks nobody twice.
    ///
    /// # Errors
    /// What is wrong with the photo, for its report; `Overloaded` and `Unavailable` where it is worth another try.
    pub async fn recognise_photo(
        &self,
        scope: &TenantScope,
        options: &RecogniseOptions,
        photo: &JobPhoto,
    ) -> Result<PhotoReport> {
        let group = self.store.group(scope, &options.group).await?;
        let bytes = match photo.file.read(photo.max_bytes).await? {
            Ok(bytes) => bytes,
            Err(fault) => return Ok(PhotoReport { error: Some(fault), ..empty_report(photo) }),
        };
        let (at, source) = match options.at {
            Some(at) => (at, TimeSource::Given),
            None => time(&group, photo, &bytes),
        };
        let params = RecognizeParams {
            mark: Some(options.mark),
            at: Some(at),
            threshold: options.threshold,
            margin: options.margin,
            liveness: options.liveness,
            class: Some(RequestClass::Bulk),
            ..RecognizeParams::default()
        };
        let image = self.hold(scope, bytes).await?;
        let found = self.recognize(scope, &options.group, vec![image], &params).await?;
        let date = found.date;
        let seen = found.photos.into_iter().next();
        let RecognizedPhoto { photo: photo_id, width, height, faces, .. } =
            seen.ok_or_else(|| Error::internal("a photo came back without its answer"))?;
        let faces = faces.into_iter().map(seen_face).collect();
        let (at, time_from) = (Some(at), Some(source));
        Ok(PhotoReport { photo_id, at, time_from, date, width, height, faces, ..empty_report(photo) })
    }
}

/// The report of a photo that could not be used.
pub fn failed_photo(photo: &JobPhoto, error: &Error) -> PhotoReport {
    PhotoReport { error: Some(error.into()), ..empty_report(photo) }
}

fn empty_report(photo: &JobPhoto) -> PhotoReport {
    PhotoReport {
        photo: photo.file.name.clone(),
        photo_id: None,
        at: None,
        time_from: None,
        date: None,
        width: 0,
        height: 0,
        faces: Vec::new(),
        error: None,
    }
}

/// When a photo was taken: as the camera says, else its file, else now. Clocks without a zone are the group's.
fn time(group: &Group, photo: &JobPhoto, bytes: &[u8]) -> (Timestamp, TimeSource) {
    let zone = TimeZone::get(&group.time_zone).unwrap_or(TimeZone::UTC);
    let local = |time: DateTime| time.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    let camera = taken(bytes).and_then(|(time, offset)| match offset {
        Some(offset) => offset.to_timestamp(time).ok(),
        None => local(time),
    });
    let file = || photo.modified.and_then(local);
    match camera.map(|at| (at, TimeSource::Exif)).or_else(|| Some((file()?, TimeSource::File))) {
        Some(known) => known,
        None => (photo.handed_in, TimeSource::Upload),
    }
}

fn seen_face(face: RecognizedFace) -> SeenFace {
    SeenFace {
        bbox: face.face.bbox,
        score: face.face.score,
        person: face.person,
        similarity: face.similarity,
        margin: face.margin,
        reason: face.reason.map(|reason| reason.code().to_owned()),
        attendance: face.attendance,
    }
}
