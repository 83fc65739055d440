//! The main job: photos in, the class out.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    RuleChanges, Service,
    fields::strict_bool,
    is_the_images_fault,
    view::{CandidateView, FaceView, LivenessView, ProblemView, TimingsView},
    wanted,
};
use crate::{
    domain::{
        Access, Group, GroupId, GroupSession, GroupSessionId, HeadPose, Mark, PersonId, PhotoId, Role, TenantScope,
        UnknownReason, attendance::LivenessPolicy, session::Step, stranger::Keeping,
    },
    error::{Error, ErrorKind, Result},
    gallery::Effort,
    pipeline::{
        messages::{EncodedImage, OutcomeFace, PhotoFailure, PhotoOutcome, PhotoReply},
        request::{FaceChoice, Marking, Search, Wanted},
    },
    runtime::ServiceClass,
};

/// What a recognition may set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecognizeParams {
    /// Whether the people found are marked present; true if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub mark: Option<bool>,
    /// When the photos were taken; now if missing. Not in the future.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// The least similarity, raw cosine.
    pub threshold: Option<f32>,
    /// The least lead over the next person.
    pub margin: Option<f32>,
    /// Whether faces must be live to be marked; never laxer than the tenant's, which it is if missing.
    pub liveness: Option<LivenessPolicy>,
    /// Whether head poses are estimated; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub pose: Option<bool>,
    /// Whether annotated copies come back; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub annotate: Option<bool>,
    /// Whether each photo says how its people were searched for; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub explain: Option<bool>,
    /// How urgent it is; interactive if missing.
    pub class: Option<RequestClass>,
    /// The session that is marked; the one at that time if missing.
    pub session: Option<GroupSessionId>,
    /// What took the photos: a session may wait for it.
    pub source: Option<String>,
}

impl RecognizeParams {
    /// Errors: `Forbidden` where it would show more than a mark, or name people by other rules than the server's.
    fn require_plain(&self) -> Result<()> {
        let shows = [self.annotate, self.explain, self.pose].contains(&Some(true));
        if self.mark == Some(false) || self.threshold.is_some() || self.margin.is_some() || shows {
            let message = "a kiosk may set at, session, source, liveness and class alone";
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        Ok(())
    }
}

/// How urgent a recognition is.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestClass {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// One of many photos that are worked off: whoever waits goes first.
    Bulk,
}

impl From<RequestClass> for ServiceClass {
    fn from(class: RequestClass) -> Self {
        match class {
            RequestClass::Interactive => Self::Interactive,
            RequestClass::Bulk => Self::Bulk,
        }
    }
}

/// What an identification may set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentifyParams {
    /// The least similarity, raw cosine.
    pub threshold: Option<f32>,
    /// The least lead over the next person.
    pub margin: Option<f32>,
    /// Whether the passive liveness check runs; never laxer than the tenant's, which it is if missing.
    pub liveness: Option<LivenessPolicy>,
    /// Whether head poses are estimated; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub pose: Option<bool>,
    /// Whether annotated copies come back; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub annotate: Option<bool>,
    /// Whether each photo says how its people were searched for; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub explain: Option<bool>,
}

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
    /// Named, but the liveness policy forbids the mark.
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
            Self::NotLive => "not_live",
        }
    }
}

/// A face and who it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecognizedFace {
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
    /// Its faces, best detection first.
    pub faces: Vec<RecognizedFace>,
    /// An annotated JPEG, base64, where it was asked.
    pub annotated: Option<String>,
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
    /// The people of the roster who were not named.
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
    /// What a kiosk shows: who was marked, now or before, and which photos were of no use. No faces, no absent people.
    fn who_was_marked(mut self) -> Self {
        self.present.retain(|present| matches!(present.attendance, Mark::Marked | Mark::AlreadyMarked));
        self.not_seen.clear();
        for photo in &mut self.photos {
            photo.faces.clear();
        }
        self
    }
}

impl Service {
    /// Recognises a group in photos, and marks it present.
    ///
    /// # Errors
    /// `NotFound` for an unknown group or session, `Invalid` for settings out of range, `Conflict` for a time without
    /// a session or a session that takes no marks, `Overloaded` when the door is full. A bad photo is an error of that
    /// photo only.
    pub async fn recognize(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        images: Vec<EncodedImage>,
        params: &RecognizeParams,
    ) -> Result<Recognition> {
        let found = self.store.group(scope, group).await?;
        let now = self.clock.now();
        let at = params.at.unwrap_or(now);
        if at > now {
            return Err(Error::invalid("at lies in the future").with_code("invalid_at"));
        }
        let roster = self.store.roster(scope, group).await?;
        let own = self.store.tenant_settings(scope).await?;
        let naming = self.naming.with(own.matching);
        let rules = RuleChanges { threshold: params.threshold, margin: params.margin }.apply(naming.roster)?;
        // Who is one is the tenant's affair, whatever a request asks of names.
        let unknown = (own.unknown_faces_days > 0).then_some(Keeping { threshold: naming.roster.threshold, now });
        let marking = match params.mark {
            Some(false) => None,
            _ => Some(Marking { unknown, ..self.marking(scope, &found, params, at).await? }),
        };
        let wanted = Wanted {
            class: params.class.unwrap_or_default().into(),
            embed: true,
            liveness: params.liveness.unwrap_or_default().max(own.liveness).max(found.rules.liveness),
            pose: params.pose.unwrap_or(false),
            annotate: params.annotate.unwrap_or(false),
            search: Some(Search {
                roster: Some(roster.clone().into()),
                rules,
                explain: params.explain.unwrap_or(false),
            }),
            mark: marking.clone(),
            ..wanted(scope, FaceChoice::All)
        };
        let session = marking.map(|marking| marking.session);
        self.recognition(scope, images, wanted, &roster, session).await
    }

    /// A session of the group. Errors: `NotFound` `session_not_found`.
    pub(super) async fn session_of(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        session: GroupSessionId,
    ) -> Result<GroupSession> {
        let session = self.store.group_session(scope, session).await?;
        if session.group != *group {
            return Err(Error::not_found("the group has no such session").with_code("session_not_found"));
        }
        Ok(session)
    }

    /// Where the people of photos that were taken at `at` are marked.
    async fn marking(
        &self,
        scope: &TenantScope,
        group: &Group,
        params: &RecognizeParams,
        at: Timestamp,
    ) -> Result<Marking> {
        let session = match params.session {
            Some(session) => self.session_of(scope, &group.id, session).await?,
            None => self.store.session_at(scope, &group.id, at).await?,
        };
        require_window(group, &session, at)?;
        // Says at once what the mark would say.
        session.clone().after(Step::Open, at)?;
        Ok(Marking { session, at, source: params.source.clone(), unknown: None })
    }

    /// The same for a caller of any role: a kiosk marks by the server's own rules, and is told who was marked.
    ///
    /// # Errors
    /// As for [`Self::recognize`]; `Forbidden` where a kiosk asks for more than to mark.
    pub async fn recognize_as(
        &self,
        access: &Access,
        group: &GroupId,
        images: Vec<EncodedImage>,
        params: &RecognizeParams,
    ) -> Result<Recognition> {
        let scope = access.tenant_scope()?;
        if access.grant().role != Role::Kiosk {
            return self.recognize(&scope, group, images, params).await;
        }
        params.require_plain()?;
        Ok(self.recognize(&scope, group, images, params).await?.who_was_marked())
    }

    /// Looks faces up in the whole gallery; marks nobody.
    pub async fn identify(
        &self,
        scope: &TenantScope,
        images: Vec<EncodedImage>,
        params: &IdentifyParams,
    ) -> Result<Recognition> {
        let own = self.store.tenant_settings(scope).await?;
        let naming = self.naming.with(own.matching);
        let rules = RuleChanges { threshold: params.threshold, margin: params.margin }.apply(naming.gallery)?;
        let wanted = Wanted {
            embed: true,
            liveness: params.liveness.unwrap_or_default().max(own.liveness),
            pose: params.pose.unwrap_or(false),
            annotate: params.annotate.unwrap_or(false),
            search: Some(Search { roster: None, rules, explain: params.explain.unwrap_or(false) }),
            ..wanted(scope, FaceChoice::All)
        };
        self.recognition(scope, images, wanted, &[], None).await
    }

    async fn recognition(
        &self,
        scope: &TenantScope,
        images: Vec<EncodedImage>,
        wanted: Wanted,
        roster: &[PersonId],
        session: Option<GroupSession>,
    ) -> Result<Recognition> {
        let replies = usable(self.run(images, wanted).await?)?;
        let names = self.names(scope, &replies, roster).await?;
        let mut timings_ms = TimingsView::default();
        let mut photos = Vec::with_capacity(replies.len());
        for (image, reply) in replies.into_iter().enumerate() {
            photos.push(match reply {
                Ok(outcome) => {
                    timings_ms.add(&outcome.timings);
                    photo(image, outcome, &names)
                }
                Err(failure) => unreadable(image, ProblemView::from(&failure)),
            });
        }
        let present = present(&photos);
        let seen: BTreeSet<&PersonId> = present.iter().map(|present| &present.person).collect();
        let not_seen = roster
            .iter()
            .filter(|person| !seen.contains(person))
            .map(|person| NotSeen { person: person.clone(), name: names.get(person).cloned() })
            .collect();
        let unknown_faces = photos.iter().flat_map(|photo| &photo.faces).filter(|face| face.person.is_none()).count();
        let (session, date) = session.map(|session| (session.id, session.date)).unzip();
        Ok(Recognition { photos, present, not_seen, unknown_faces, session, date, timings_ms })
    }

    /// The names of everybody in the answer.
    async fn names(
        &self,
        scope: &TenantScope,
        replies: &[PhotoReply],
        roster: &[PersonId],
    ) -> Result<BTreeMap<PersonId, String>> {
        let named = replies
            .iter()
            .flatten()
            .flat_map(|outcome| &outcome.faces)
            .filter_map(|face| face.face.decision.as_ref()?.verdict.as_ref().ok());
        let people: BTreeSet<PersonId> = named.chain(roster).cloned().collect();
        let people: Vec<PersonId> = people.into_iter().collect();
        let names = self.store.names(scope, people.clone()).await?;
        Ok(people.into_iter().zip(names).filter_map(|(person, name)| Some((person, name?))).collect())
    }
}

/// Errors unless the session takes photos of that time: `Invalid` `outside_session`.
pub(super) fn require_window(group: &Group, session: &GroupSession, at: Timestamp) -> Result<()> {
    if group.rules.window(&session.meeting(false)).holds(at) {
        return Ok(());
    }
    let message = "the session does not take photos of that time: say in at when they were taken";
    Err(Error::invalid(message).with_code("outside_session"))
}

fn photo(image: usize, outcome: PhotoOutcome, names: &BTreeMap<PersonId, String>) -> RecognizedPhoto {
    let PhotoOutcome { photo, width, height, annotated, faces, searched, .. } = outcome;
    let faces = faces
        .iter()
        .map(|face| recognized(face, FaceView::new(&face.face.face.face.detection, width, height), names))
        .collect();
    let annotated = annotated.map(|jpeg| BASE64_STANDARD.encode(jpeg));
    let search = searched.map(SearchView::from);
    RecognizedPhoto { image, photo, width, height, faces, annotated, search, error: None }
}

/// The replies, if any photo could be used. If none could, the request fails as its first photo did, with every
/// photo's problem in the details; but if any failed for the server's reasons, as that one did, so that the client
/// knows that it may try again.
pub(super) fn usable(replies: Vec<PhotoReply>) -> Result<Vec<PhotoReply>> {
    if replies.iter().any(Result::is_ok) {
        return Ok(replies);
    }
    let problems: Vec<ProblemView> =
        replies.iter().filter_map(|reply| reply.as_ref().err()).map(ProblemView::from).collect();
    let failures: Vec<PhotoFailure> = replies.into_iter().filter_map(Result::err).collect();
    let servers_fault = failures.iter().position(|failure| !is_the_images_fault(&failure.error));
    match failures.into_iter().nth(servers_fault.unwrap_or(0)) {
        Some(failure) => Err(failure.error.with_details(serde_json::json!({ "photos": problems }))),
        None => Ok(Vec::new()),
    }
}

fn unreadable(image: usize, problem: ProblemView) -> RecognizedPhoto {
    RecognizedPhoto {
        image,
        photo: None,
        width: 0,
        height: 0,
        faces: Vec::new(),
        annotated: None,
        search: None,
        error: Some(problem),
    }
}

fn recognized(outcome: &OutcomeFace, face: FaceView, names: &BTreeMap<PersonId, String>) -> RecognizedFace {
    let assessed = &outcome.face.face;
    let decision = outcome.face.decision.as_ref();
    let verdict = decision.map(|decision| &decision.verdict);
    let person = verdict.and_then(|verdict| verdict.as_ref().ok()).cloned();
    let unknown = verdict.and_then(|verdict| verdict.as_ref().err()).map(|&reason| Reason::from(reason));
    RecognizedFace {
        face,
        name: person.as_ref().and_then(|person| names.get(person).cloned()),
        person,
        similarity: decision.and_then(|decision| decision.similarity),
        margin: decision.and_then(|decision| decision.margin),
        reason: unknown.or(outcome.refused_as_not_live.then_some(Reason::NotLive)),
        candidates: decision.map_or_else(Vec::new, |decision| decision.candidates.iter().map(Into::into).collect()),
        liveness: assessed.liveness.map(Into::into),
        pose: assessed.pose,
        attendance: outcome.mark,
    }
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::FaceBox, error::ErrorKind};

    fn face(person: &str, similarity: f32, attendance: Mark, reason: Option<Reason>) -> RecognizedFace {
        let bbox = FaceBox { x1: 0.0, y1: 0.0, x2: 90.0, y2: 90.0 };
        RecognizedFace {
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
        }
    }

    #[test]
    fn a_person_is_present_once_and_a_spoof_is_nobody() {
        let photo = |faces| RecognizedPhoto {
            image: 0,
            photo: None,
            width: 1,
            height: 1,
            faces,
            annotated: None,
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
    fn a_request_none_of_whose_photos_worked_says_whether_to_try_again() {
        let failed = |kind, message: &'static str| -> PhotoReply {
            Err(PhotoFailure { stage: "ingest", error: Error::new(kind, message) })
        };
        let all_bad = usable(vec![failed(ErrorKind::Unsupported, "a"), failed(ErrorKind::Invalid, "b")]).unwrap_err();
        assert_eq!(all_bad.kind(), ErrorKind::Unsupported);
        let busy = usable(vec![failed(ErrorKind::Unsupported, "a"), failed(ErrorKind::Overloaded, "b")]).unwrap_err();
        assert_eq!(busy.kind(), ErrorKind::Overloaded);
    }
}
