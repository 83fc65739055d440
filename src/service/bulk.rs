//! One of many photos in which a group is recognised.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    Service, is_the_images_fault,
    recognise::{RecognizeParams, RecognizedFace, RecognizedPhoto, RequestClass},
};
use crate::{
    domain::{
        Group, GroupSession, PhotoReport, RecogniseOptions, TenantScope,
        job::{SeenFace, TimeSource},
    },
    error::{Error, ErrorKind, Result},
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
    /// Recognises a group in one photo, and marks the people found in the job's session, or in that of the time at
    /// which it was taken. Again it marks nobody twice. What is wrong with the photo is in its report.
    ///
    /// # Errors
    /// `Overloaded` and `Unavailable` where it is worth another try; what keeps all photos of the job from being used.
    pub async fn recognise_photo(
        &self,
        scope: &TenantScope,
        options: &RecogniseOptions,
        photo: &JobPhoto,
    ) -> Result<PhotoReport> {
        let group = self.store.group(scope, &options.group).await?;
        let bytes = match photo.file.read(photo.max_bytes).await? {
            Ok(bytes) => bytes,
            Err(fault) => return Ok(PhotoReport { error: Some(fault), ..empty_report() }),
        };
        let session = match options.session {
            Some(session) => Some(self.session_of(scope, &group.id, session).await?),
            None => None,
        };
        let (at, source) = match options.at {
            Some(at) => (at, TimeSource::Given),
            None => time(&group, session.as_ref(), photo, &bytes),
        };
        let report = PhotoReport { at: Some(at), time_from: Some(source), ..empty_report() };
        let params = RecognizeParams {
            mark: Some(options.mark),
            at: Some(at),
            threshold: options.threshold,
            margin: options.margin,
            liveness: options.liveness,
            class: Some(RequestClass::Bulk),
            session: options.session,
            source: options.source.clone(),
            ..RecognizeParams::default()
        };
        let image = self.hold(scope, bytes).await?;
        let found = match self.recognize(scope, &options.group, vec![image], &params).await {
            Ok(found) => found,
            Err(error) if is_the_photos_fault(&error) => {
                return Ok(PhotoReport { error: Some((&error).into()), ..report });
            }
            Err(error) => return Err(error),
        };
        let date = found.date;
        let seen = found.photos.into_iter().next();
        let RecognizedPhoto { photo: photo_id, width, height, faces, .. } =
            seen.ok_or_else(|| Error::internal("a photo came back without its answer"))?;
        let faces = faces.into_iter().map(seen_face).collect();
        Ok(PhotoReport { photo_id, date, width, height, faces, ..report })
    }
}

/// The report of a photo that could not be used.
pub fn failed_photo(error: &Error) -> PhotoReport {
    PhotoReport { error: Some(error.into()), ..empty_report() }
}

fn empty_report() -> PhotoReport {
    PhotoReport {
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

/// Whether another photo, or one of another time, might have been used.
fn is_the_photos_fault(error: &Error) -> bool {
    is_the_images_fault(error) || error.kind() == ErrorKind::Conflict
}

/// When a photo was taken: as the camera says, else its file, else when the job's session began, else now. Clocks
/// without a zone are the group's.
fn time(group: &Group, session: Option<&GroupSession>, photo: &JobPhoto, bytes: &[u8]) -> (Timestamp, TimeSource) {
    let zone = TimeZone::get(&group.time_zone).unwrap_or(TimeZone::UTC);
    let local = |time: DateTime| time.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    let camera = taken(bytes).and_then(|(time, offset)| match offset {
        Some(offset) => offset.to_timestamp(time).ok(),
        None => local(time),
    });
    let file = || photo.modified.and_then(local);
    let known = camera.map(|at| (at, TimeSource::Exif)).or_else(|| Some((file()?, TimeSource::File)));
    known.unwrap_or_else(|| match session {
        // Of one that is about to begin there may be photos already.
        Some(session) => (session.starts_at.min(photo.handed_in), TimeSource::Session),
        None => (photo.handed_in, TimeSource::Upload),
    })
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
