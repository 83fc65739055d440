//! The class, as photos show it: the answer of a recognition, and how it is made of what the pipeline found.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        GroupSession, GroupSessionId, HeadPose, Hint, Mark, PersonId, PhotoId, QualityGate, UnknownReason,
        recognition::hint::Glance,
    },
    gallery::Effort,
    pipeline::messages::{EncodedImage, Face, PhotoOutcome, PhotoReply, number},
    runtime::Reservation,
    service::{
        people::enrol::quality,
        view::{CandidateView, FaceView, LivenessView, ProblemView, TimingsView},
    },
};

/// Why a face carries no name, or a named one no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody is similar enough.
    BelowThreshold,
    /// Two people are too close to call.
    BelowMargin,
    /// The face is too small.
    TooSmall,
    /// The detector is not sure enough that it is a face.
    LowScore,
    /// Everybody similar enough was given to a face that fits them better.
    Taken,
    /// Those who are too close to call look like one person, so somebody was enrolled twice, or they are twins. The face
    /// is to be confirmed; `candidates` are the two.
    EnrolledTwice,
    /// The liveness policy forbids the mark.
    NotLive,
}

impl Reason {
    /// As it stands in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BelowThreshold => "below_threshold",
            Self::BelowMargin => "below_margin",
            Self::TooSmall => "too_small",
            Self::LowScore => "low_score",
            Self::Taken => "taken",
            Self::EnrolledTwice => "enrolled_twice",
            Self::NotLive => "not_live",
        }
    }
}

/// A face and who it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecognizedFace {
    /// What it is called in the annotated copy: its place in the list, from 1.
    pub number: usize,
    /// Where it is.
    #[serde(flatten)]
    pub face: FaceView,
    /// Who it is; null if nobody was named.
    pub person: Option<PersonId>,
    /// Their name.
    pub name: Option<String>,
    /// Raw cosine to the person, or to the best candidate.
    pub similarity: Option<f32>,
    /// Lead over the next person who was not given to another face; null when there is none.
    pub margin: Option<f32>,
    /// Why nobody was named, or why a named face was not marked.
    pub reason: Option<Reason>,
    /// The two best candidates.
    pub candidates: Vec<CandidateView>,
    /// Where it was asked.
    pub liveness: Option<LivenessView>,
    /// Where it was asked, in degrees.
    pub pose: Option<HeadPose>,
    /// What became of it.
    pub attendance: Mark,
    /// Where marks were asked and it has none: what the person can do to be marked, by what is known of the face. A
    /// kiosk's photos are looked at for light and pose too.
    pub hint: Option<Hint>,
}

/// One photo of a recognition.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecognizedPhoto {
    /// Its place in the request, from 0.
    pub image: usize,
    /// Its id, where marks were asked: the evidence in the session's records names it. The same file has the same one
    /// in one session, and counts once however often it is sent.
    pub photo: Option<PhotoId>,
    /// Width of the upright photo in pixels; 0 if it could not be read.
    pub width: u32,
    /// Height of the upright photo in pixels; 0 if it could not be read.
    pub height: u32,
    /// By how many degrees it was turned clockwise to find its faces upright: 90, 180 or 270; null where they are so as
    /// it came. Boxes, landmarks and the annotated copy show the photo as it came.
    pub turned: Option<u16>,
    /// Its faces, best detection first.
    pub faces: Vec<RecognizedFace>,
    /// What to do for a photo in which people can be named, in one sentence; null unless all its faces are too small.
    pub advice: Option<String>,
    /// An annotated JPEG, base64, where it was asked; null where it would name somebody who went meanwhile.
    pub annotated: Option<String>,
    /// The memory of that.
    #[serde(skip)]
    #[schema(ignore)]
    pub held: Option<Arc<Reservation>>,
    /// How its people were searched for, where it was asked.
    pub search: Option<SearchView>,
    /// Why the photo could not be used.
    pub error: Option<ProblemView>,
}

/// How the people of a photo were searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchView {
    /// The plan that was taken: `exact_roster`, `exact_gallery`, `codes` or `hnsw`.
    pub plan: String,
    /// Samples that were looked at for each face: their vectors, or their codes.
    pub rows_scanned: usize,
    /// Vectors that were compared, all faces together.
    pub rows_compared: usize,
}

impl From<Effort> for SearchView {
    fn from(effort: Effort) -> Self {
        let Effort { plan, rows_scanned, rows_compared } = effort;
        Self { plan: plan.name().to_owned(), rows_scanned, rows_compared }
    }
}

/// A person who was seen.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Present {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
    /// Their best similarity over all photos.
    pub similarity: f32,
    /// What became of it.
    pub attendance: Mark,
}

/// A person of the roster who was not seen.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NotSeen {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
}

/// The class, as the photos show it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Recognition {
    /// One entry a photo, in the order of the request.
    pub photos: Vec<RecognizedPhoto>,
    /// Everybody who was named, each once, in the order of their ids.
    pub present: Vec<Present>,
    /// The people of the roster who were not named, and are no candidates of a face that is `enrolled_twice`.
    pub not_seen: Vec<NotSeen>,
    /// Faces that were not named, over all photos.
    pub unknown_faces: usize,
    /// The session that was marked, where marks were asked.
    pub session: Option<GroupSessionId>,
    /// Its local date.
    #[schema(value_type = Option<String>, format = Date)]
    pub date: Option<Date>,
    /// Where the time went.
    pub timings_ms: TimingsView,
}

impl Recognition {
    /// Of the replies to the photos of a request, in its order, with the names of everybody in the answer.
    pub(super) fn new(
        replies: Vec<PhotoReply>,
        names: &BTreeMap<PersonId, String>,
        roster: &[PersonId],
        session: Option<GroupSession>,
    ) -> Self {
        let mut timings_ms = TimingsView::default();
        let mut photos = Vec::with_capacity(replies.len());
        for (image, reply) in replies.into_iter().enumerate() {
            photos.push(match reply {
                Ok(outcome) => {
                    timings_ms.add(&outcome.timings);
                    photo(image, outcome, names, session.is_some())
                }
                Err(failure) => unreadable(image, ProblemView::from(&failure)),
            });
        }
        let present = present(&photos);
        let seen: BTreeSet<&PersonId> =
            present.iter().map(|present| &present.person).chain(in_doubt(&photos)).collect();
        let not_seen = roster
            .iter()
            .filter(|person| !seen.contains(person))
            .map(|person| NotSeen { person: person.clone(), name: names.get(person).cloned() })
            .collect();
        let unknown_faces = photos.iter().flat_map(|photo| &photo.faces).filter(|face| face.person.is_none()).count();
        let (session, date) = session.map(|session| (session.id, session.date)).unzip();
        Self { photos, present, not_seen, unknown_faces, session, date, timings_ms }
    }

    /// What a kiosk shows: who was marked, now or before, what everybody else can do, and which photos were of no use. No
    /// absent people, and of a face that was not marked nothing that says, or helps to find out, whose it could be.
    pub(super) fn for_kiosk(mut self) -> Self {
        self.present.retain(|present| is_marked(present.attendance));
        self.not_seen.clear();
        for photo in &mut self.photos {
            photo.faces = photo.faces.drain(..).map(RecognizedFace::for_kiosk).collect();
        }
        self
    }
}

impl RecognizedFace {
    fn for_kiosk(self) -> Self {
        let Self { number, face, person, name, attendance, hint, .. } = self;
        let (person, name) = if is_marked(attendance) { (person, name) } else { (None, None) };
        Self {
            number,
            face,
            person,
            name,
            attendance,
            hint,
            similarity: None,
            margin: None,
            reason: None,
            candidates: Vec::new(),
            liveness: None,
            pose: None,
        }
    }
}

fn is_marked(attendance: Mark) -> bool {
    matches!(attendance, Mark::Marked | Mark::AlreadyMarked)
}

/// Whom a face could show that is as much another's.
fn in_doubt(photos: &[RecognizedPhoto]) -> impl Iterator<Item = &PersonId> {
    let faces = photos.iter().flat_map(|photo| &photo.faces);
    let doubtful = faces.filter(|face| face.reason == Some(Reason::EnrolledTwice));
    doubtful.flat_map(|face| &face.candidates).map(|candidate| &candidate.person)
}

fn photo(
    image: usize,
    outcome: PhotoOutcome,
    names: &BTreeMap<PersonId, String>,
    marks_asked: bool,
) -> RecognizedPhoto {
    let turned = outcome.turned().degrees();
    let PhotoOutcome { photo, width, height, annotated, faces, searched, .. } = outcome;
    let faces: Vec<RecognizedFace> = faces
        .iter()
        .enumerate()
        .map(|(place, face)| {
            let view = FaceView::new(&face.detection, width, height);
            RecognizedFace { hint: marks_asked.then(|| hint(face)).flatten(), ..recognized(place, face, view, names) }
        })
        .collect();
    let (annotated, held) =
        annotated.map(|EncodedImage { bytes, held }| (BASE64_STANDARD.encode(bytes), Arc::new(held))).unzip();
    let search = searched.map(SearchView::from);
    let advice = advice(faces.iter().map(|face| face.reason.map(Reason::code)));
    RecognizedPhoto { image, photo, width, height, turned, faces, advice, annotated, held, search, error: None }
}

/// What to say of a photo in which nobody can be named, whoever they are; `reasons` are those of all its faces.
pub(in crate::service) fn advice<'a>(reasons: impl IntoIterator<Item = Option<&'a str>>) -> Option<String> {
    let mut reasons = reasons.into_iter().peekable();
    reasons.peek()?;
    let sentence = "all faces in this photo are too small to be named: come closer, or send the photo in its full size";
    reasons.all(|reason| reason == Some(Reason::TooSmall.code())).then(|| sentence.to_owned())
}

fn unreadable(image: usize, problem: ProblemView) -> RecognizedPhoto {
    RecognizedPhoto {
        image,
        photo: None,
        width: 0,
        height: 0,
        turned: None,
        faces: Vec::new(),
        advice: None,
        annotated: None,
        held: None,
        search: None,
        error: Some(problem),
    }
}

fn recognized(place: usize, face: &Face, view: FaceView, names: &BTreeMap<PersonId, String>) -> RecognizedFace {
    let decision = face.decision.as_ref();
    let verdict = decision.map(|decision| &decision.verdict);
    let person = face.person().cloned();
    let unknown = verdict.and_then(|verdict| verdict.as_ref().err()).map(|&reason| Reason::from(reason));
    RecognizedFace {
        number: number(place),
        face: view,
        name: person.as_ref().and_then(|person| names.get(person).cloned()),
        person,
        similarity: decision.and_then(|decision| decision.similarity),
        margin: decision.and_then(|decision| decision.margin),
        reason: if face.refused_as_not_live { Some(Reason::NotLive) } else { unknown },
        candidates: decision.map_or_else(Vec::new, |decision| decision.candidates.iter().map(Into::into).collect()),
        liveness: face.liveness.map(Into::into),
        pose: face.pose,
        attendance: face.mark,
        hint: None,
    }
}

/// What the person can do.
fn hint(face: &Face) -> Option<Hint> {
    let verdict = face.decision.as_ref().map(|decision| &decision.verdict);
    let flaw = |quality| QualityGate::Standard.flaw(face.detection.score, &quality);
    Glance {
        mark: face.mark,
        reason: verdict.and_then(|verdict| verdict.as_ref().err()).copied(),
        // Where not all was measured, nothing is said of it.
        flaw: quality(face).ok().and_then(flaw),
        liveness: face.liveness.map(|(verdict, _)| verdict),
        is_refused_as_not_live: face.refused_as_not_live,
    }
    .hint()
}

/// Everybody who was named, each once with their best similarity and their best mark. A face that is not live shows
/// nobody present.
fn present(photos: &[RecognizedPhoto]) -> Vec<Present> {
    let mut by_person: BTreeMap<PersonId, Present> = BTreeMap::new();
    for face in photos.iter().flat_map(|photo| &photo.faces) {
        let (Some(person), Some(similarity)) = (&face.person, face.similarity) else { continue };
        if face.reason == Some(Reason::NotLive) {
            continue;
        }
        let present = by_person.entry(person.clone()).or_insert_with(|| Present {
            person: person.clone(),
            name: face.name.clone(),
            similarity,
            attendance: face.attendance,
        });
        present.similarity = present.similarity.max(similarity);
        present.attendance = present.attendance.max(face.attendance);
    }
    by_person.into_values().collect()
}

impl From<UnknownReason> for Reason {
    fn from(reason: UnknownReason) -> Self {
        match reason {
            UnknownReason::BelowThreshold => Self::BelowThreshold,
            UnknownReason::BelowMargin => Self::BelowMargin,
            UnknownReason::TooSmall => Self::TooSmall,
            UnknownReason::LowScore => Self::LowScore,
            UnknownReason::Taken => Self::Taken,
            UnknownReason::EnrolledTwice => Self::EnrolledTwice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FaceBox;

    fn face(person: &str, similarity: f32, attendance: Mark, reason: Option<Reason>) -> RecognizedFace {
        let bbox = FaceBox { x1: 0.0, y1: 0.0, x2: 90.0, y2: 90.0 };
        RecognizedFace {
            number: 1,
            face: FaceView { bbox, normalized: bbox, landmarks: [[0.0; 2]; 5], score: 0.9, width_px: 90.0 },
            person: Some(person.parse().unwrap()),
            name: None,
            similarity: Some(similarity),
            margin: None,
            reason,
            candidates: Vec::new(),
            liveness: None,
            pose: None,
            attendance,
            hint: None,
        }
    }

    #[test]
    fn a_person_is_present_once_and_a_spoof_is_nobody() {
        let photo = |faces| RecognizedPhoto {
            image: 0,
            photo: None,
            width: 1,
            height: 1,
            turned: None,
            faces,
            advice: None,
            annotated: None,
            held: None,
            search: None,
            error: None,
        };
        let photos = [
            photo(vec![
                face("a", 0.6, Mark::AlreadyMarked, None),
                face("b", 0.9, Mark::NotMarked, Some(Reason::NotLive)),
            ]),
            photo(vec![face("a", 0.7, Mark::Marked, None)]),
        ];
        let present = present(&photos);
        assert_eq!(present.len(), 1);
        assert_eq!((present[0].person.as_str(), present[0].attendance), ("a", Mark::Marked));
        assert!((present[0].similarity - 0.7).abs() < 1e-6);
    }

    #[test]
    fn a_photo_says_what_to_do_if_all_its_faces_are_too_small() {
        let of = |reasons: &[Option<&str>]| advice(reasons.iter().copied()).is_some();
        let small = Some("too_small");
        assert!(of(&[small]) && of(&[small, small]));
        for others in [&[][..], &[None], &[small, None], &[small, Some("low_score")]] {
            assert!(!of(others), "{others:?}");
        }
    }
}
