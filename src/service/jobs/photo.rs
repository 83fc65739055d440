//! One of many photos in which a group is recognised.

use bytes::Bytes;
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};

use crate::{
    domain::{
        Group, GroupSession, PhotoReport, RecogniseOptions, TenantScope,
        jobs::{SeenFace, TimeSource},
        moment::EARLIEST,
    },
    error::{Error, ErrorKind, Result},
    intake::{FileTime, PhotoFile},
    runtime::spawn_blocking,
    service::{
        RuleChanges, Visit,
        jobs::Service,
        recognition::is_the_images_fault,
        recognition::recognize::{RecognizeParams, RecognizedFace, RecognizedPhoto, RequestClass},
    },
    vision::taken,
};

/// A photo of a job.
pub struct JobPhoto {
    /// Where it is.
    pub file: PhotoFile,
    /// When the file was changed last, where that is known.
    pub modified: Option<FileTime>,
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
        let visit = Visit::of_work(&self.store, &self.clock, scope).await?;
        let (group, session) = self.store.group_with_session(scope, &options.group, options.session).await?;
        let bytes = match photo.file.read(photo.max_bytes).await? {
            Ok(bytes) => bytes,
            Err(fault) => return Ok(PhotoReport { error: Some(fault), ..empty_report() }),
        };
        let session = session.transpose()?;
        let (at, source) = match options.at {
            Some(at) => (at, TimeSource::Given),
            None => time(&group, session.as_ref(), photo, camera_time(bytes.clone()).await?),
        };
        let report = PhotoReport { at: Some(at), time_from: Some(source), ..empty_report() };
        let changes = RuleChanges { threshold: options.threshold, margin: options.margin };
        // The job was accepted by the rules of its time.
        let changes = if options.mark {
            changes.no_laxer_than(self.recognition.naming_under(visit.settings()).roster)
        } else {
            changes
        };
        let params = RecognizeParams {
            mark: Some(options.mark),
            at: Some(at),
            threshold: changes.threshold,
            margin: changes.margin,
            liveness: options.liveness,
            class: Some(RequestClass::Bulk),
            session: options.session,
            source: options.source.clone(),
            ..RecognizeParams::default()
        };
        let image = self.people.hold(scope, bytes).await?;
        let found = match self.recognition.recognize(&visit, &options.group, vec![image], &params).await {
            Ok(found) => found,
            Err(error) if is_the_photos_fault(&error) => {
                return Ok(PhotoReport { error: Some((&error).into()), ..report });
            }
            Err(error) => return Err(error),
        };
        let date = found.date;
        let seen = found.photos.into_iter().next();
        let RecognizedPhoto { photo: photo_id, width, height, turned, faces, .. } =
            seen.ok_or_else(|| Error::internal("a photo came back without its answer"))?;
        let faces = faces.into_iter().map(seen_face).collect();
        Ok(PhotoReport { photo_id, date, width, height, turned, faces, ..report })
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
        turned: None,
        faces: Vec::new(),
        error: None,
    }
}

/// When the camera says that a photo was taken.
async fn camera_time(bytes: Bytes) -> Result<Option<(DateTime, Option<Offset>)>> {
    spawn_blocking(move || taken(&bytes))
        .await
        .map_err(|lost| Error::internal("the time of a photo was not read").with_source(lost))
}

/// Whether another photo, or one of another time, might have been used.
fn is_the_photos_fault(error: &Error) -> bool {
    is_the_images_fault(error) || error.kind() == ErrorKind::Conflict
}

/// When a photo was taken: as the camera says, else its file, else when the job's session began, else now. Clocks
/// without a zone are the group's; what one says that was never set is no time.
fn time(
    group: &Group,
    session: Option<&GroupSession>,
    photo: &JobPhoto,
    camera: Option<(DateTime, Option<Offset>)>,
) -> (Timestamp, TimeSource) {
    let zone = TimeZone::get(&group.time_zone).unwrap_or(TimeZone::UTC);
    let local = |time: DateTime| time.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    let is_meant = |at: &Timestamp| *at >= EARLIEST;
    let camera = camera.and_then(|(time, offset)| match offset {
        Some(offset) => offset.to_timestamp(time).ok(),
        None => local(time),
    });
    let camera = camera.filter(is_meant);
    let file = || match photo.modified? {
        FileTime::Clock(time) => local(time),
        FileTime::Instant(at) => Some(at),
    };
    let file = || file().filter(is_meant);
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

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::{
        domain::{NamingRules, Rules},
        intake::PhotoPlace,
    };

    #[test]
    fn rules_that_became_stricter_while_a_job_waited_hold_for_it() {
        let rules = NamingRules { threshold: 0.5, margin: 0.1, min_width_px: 30.0, min_score: 0.75, one_look: 0.6 };
        let of = |threshold, margin| {
            let changes = RuleChanges { threshold, margin }.no_laxer_than(rules);
            (changes.threshold, changes.margin, changes.tighten(rules).is_ok())
        };
        assert_eq!(of(Some(0.4), Some(0.05)), (Some(0.5), Some(0.1), true));
        assert_eq!(of(Some(0.6), None), (Some(0.6), None, true));
    }

    #[test]
    fn a_photo_without_a_time_that_can_be_meant_is_of_when_it_came() {
        let group = Group {
            id: "g".parse().unwrap(),
            name: "g".to_owned(),
            time_zone: "Europe/Vienna".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            rules: Rules::default(),
        };
        let handed_in: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let place = || PhotoPlace::File("photo.jpg".into());
        let of = |modified| {
            let file = PhotoFile { name: "photo.jpg".to_owned(), place: place() };
            let photo = JobPhoto { file, modified, handed_in, max_bytes: 1 };
            let (at, source) = time(&group, None, &photo, None);
            (at.to_string(), source)
        };
        let clock = |year, month, day| Some(FileTime::Clock(date(year, month, day).at(8, 15, 0, 0)));
        let instant = |text: &str| Some(FileTime::Instant(text.parse().unwrap()));
        for (modified, at, source) in [
            (clock(2026, 11, 26), "2026-11-26T07:15:00Z", TimeSource::File),
            (instant("2026-11-26T08:15:00Z"), "2026-11-26T08:15:00Z", TimeSource::File),
            (clock(1980, 1, 1), "2026-11-30T12:00:00Z", TimeSource::Upload),
            (instant("1970-01-01T00:00:00Z"), "2026-11-30T12:00:00Z", TimeSource::Upload),
            (None, "2026-11-30T12:00:00Z", TimeSource::Upload),
        ] {
            assert_eq!(of(modified), (at.to_owned(), source), "{modified:?}");
        }
    }
}
