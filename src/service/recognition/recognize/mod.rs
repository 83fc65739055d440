//! The main job: photos in, the class out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

pub(in crate::service) use self::answer::advice;
pub use self::{
    answer::{NotSeen, Present, Reason, Recognition, RecognizedFace, RecognizedPhoto, SearchView},
    params::{IdentifyParams, RecognizeParams, RequestClass},
};
use crate::{
    domain::{
        Group, GroupId, GroupSession, PersonId, TenantScope, TimeTrust,
        attendance::{session::Step, stranger::Keeping},
        moment::checked_at,
    },
    error::{Error, Result},
    pipeline::{
        messages::{EncodedImage, Face, PhotoFailure, PhotoReply},
        request::{FaceChoice, Marking, Search, Wanted},
    },
    service::{
        RuleChanges, Visit, recognition::Service, recognition::is_the_images_fault, recognition::wanted,
        view::ProblemView,
    },
    store::{Acquaintance, Look, SessionSought},
};

mod answer;
mod params;

impl Service {
    /// Recognises a group in photos, and marks it present.
    ///
    /// # Errors
    /// `NotFound` for an unknown group or session, `Invalid` for settings out of range, and `laxer_than_tenant` for those
    /// that would mark people by laxer rules than the tenant's, `Conflict` for a time without a session or a session that
    /// takes no marks, `Overloaded` when the door is full, or `rules_changed` for a photo that was judged by
    /// rules that hold no more. A bad photo is an error of that photo only.
    pub async fn recognize(
        &self,
        visit: &Visit,
        group: &GroupId,
        images: Vec<EncodedImage>,
        params: &RecognizeParams,
    ) -> Result<Recognition> {
        self.recognize_told_by(Teller::Trusted, visit, group, images, params).await
    }

    async fn recognize_told_by(
        &self,
        teller: Teller,
        visit: &Visit,
        group: &GroupId,
        images: Vec<EncodedImage>,
        params: &RecognizeParams,
    ) -> Result<Recognition> {
        let (now, marks) = (visit.at(), params.mark.unwrap_or(true));
        let at = checked_at(params.at.unwrap_or(now), now);
        let meeting = match params.session {
            _ if !marks => SessionSought::None,
            Some(session) => SessionSought::Of(session),
            None => SessionSought::AtThatTime,
        };
        // An unknown group is told of before a time that cannot be.
        let looked_at = at.as_ref().copied().unwrap_or(now);
        let Look { group: found, roster, session } = self.store.look(visit, group, looked_at, meeting).await?;
        let (at, own) = (at?, visit.settings());
        let naming = self.naming_under(own);
        let changes = RuleChanges { threshold: params.threshold, margin: params.margin };
        let apply = if marks { RuleChanges::tighten } else { RuleChanges::apply };
        let rules = apply(changes, naming.roster)?;
        // Who is one is the tenant's affair, whatever a request asks of names.
        let unknown = (own.unknown_faces_days > 0).then_some(Keeping { threshold: naming.roster.threshold, now });
        let marking = session.transpose()?.map(|session| {
            require_markable(&found, &session, at)?;
            let time = teller.trust(&found, &session, params.at, now);
            let (source, judged_under) = (params.source.clone(), visit.shared_settings());
            Ok::<_, Error>(Marking { session, at, time, source, unknown, judged_under })
        });
        let marking = marking.transpose()?;
        let wanted = Wanted {
            class: params.class.unwrap_or_default().into(),
            // Such cameras are mounted, and send many photos in which nobody is.
            turned: !teller.is_kiosk() && params.source.is_none(),
            embed: true,
            liveness: params.liveness.unwrap_or_default().max(own.liveness).max(found.rules.liveness),
            measure: teller.is_kiosk(),
            pose: teller.is_kiosk() || params.pose.unwrap_or(false),
            annotate: params.annotate.unwrap_or(false),
            search: Some(Search {
                roster: Some(roster.clone().into()),
                rules,
                explain: params.explain.unwrap_or(false),
            }),
            mark: marking.clone(),
            ..wanted(visit, FaceChoice::All)
        };
        let session = marking.map(|marking| marking.session);
        self.recognition(visit, images, wanted, &roster, session).await
    }

    /// The same for a caller of any role: a kiosk marks by the server's own rules, and is told who was marked, and of each
    /// other face what the person can do about it. Whatever it says of a time at which the session takes no photos any more
    /// is to be confirmed, beyond its key's allowance.
    ///
    /// # Errors
    /// As for [`Self::recognize`]; `Forbidden` where a kiosk asks for more than to mark.
    pub async fn recognize_as(
        &self,
        visit: &Visit,
        group: &GroupId,
        images: Vec<EncodedImage>,
        params: &RecognizeParams,
    ) -> Result<Recognition> {
        let Some(kiosk) = visit.kiosk() else { return self.recognize(visit, group, images, params).await };
        params.require_plain()?;
        let teller = Teller::Kiosk { offline: kiosk.offline() };
        Ok(self.recognize_told_by(teller, visit, group, images, params).await?.for_kiosk())
    }

    /// Looks faces up in the whole gallery; marks nobody.
    pub async fn identify(
        &self,
        visit: &Visit,
        images: Vec<EncodedImage>,
        params: &IdentifyParams,
    ) -> Result<Recognition> {
        let own = visit.settings();
        let naming = self.naming_under(own);
        let rules = RuleChanges { threshold: params.threshold, margin: params.margin }.apply(naming.gallery)?;
        let wanted = Wanted {
            embed: true,
            liveness: params.liveness.unwrap_or_default().max(own.liveness),
            pose: params.pose.unwrap_or(false),
            annotate: params.annotate.unwrap_or(false),
            search: Some(Search { roster: None, rules, explain: params.explain.unwrap_or(false) }),
            ..wanted(visit, FaceChoice::All)
        };
        self.recognition(visit, images, wanted, &[], None).await
    }

    async fn recognition(
        &self,
        visit: &Visit,
        images: Vec<EncodedImage>,
        wanted: Wanted,
        roster: &[PersonId],
        session: Option<GroupSession>,
    ) -> Result<Recognition> {
        let mut replies = usable(self.run(visit, images, wanted).await?)?;
        let known = self.acquaintances(visit, &replies, roster).await?;
        // Who was erased, or took their consent back, while the photos were looked at is in no answer any more.
        let is_gone = |person: &PersonId| known.get(person).is_none_or(|known| !known.may_be_recognised);
        replies.iter_mut().flatten().for_each(|outcome| outcome.forget(is_gone));
        let roster: Vec<PersonId> = roster.iter().filter(|person| known.contains_key(person)).cloned().collect();
        let names = known.into_iter().map(|(person, known)| (person, known.name)).collect();
        Ok(Recognition::new(replies, &names, &roster, session))
    }

    /// Everybody of whom the answer could speak, as they are now; who is not there any more is missing.
    async fn acquaintances(
        &self,
        scope: &TenantScope,
        replies: &[PhotoReply],
        roster: &[PersonId],
    ) -> Result<BTreeMap<PersonId, Acquaintance>> {
        let named = replies.iter().flatten().flat_map(|outcome| &outcome.faces).flat_map(Face::people);
        let people: BTreeSet<PersonId> = named.chain(roster).cloned().collect();
        let people: Vec<PersonId> = people.into_iter().collect();
        let known = self.store.acquaintances(scope, people.clone(), self.clock.now()).await?;
        Ok(people.into_iter().zip(known).filter_map(|(person, known)| Some((person, known?))).collect())
    }
}

/// Who says when photos were taken.
#[derive(Clone, Copy)]
enum Teller {
    /// Somebody who may say so.
    Trusted,
    /// A kiosk, which stands where anybody may reach it.
    Kiosk {
        /// How long ago it may have been.
        offline: SignedDuration,
    },
}

impl Teller {
    /// Whether light and pose are looked at, for the hints that a kiosk shows.
    fn is_kiosk(self) -> bool {
        matches!(self, Self::Kiosk { .. })
    }

    /// How far what they say is trusted; `at` is none where they say nothing, and the server's time counts.
    fn trust(self, group: &Group, session: &GroupSession, at: Option<Timestamp>, now: Timestamp) -> TimeTrust {
        match (self, at) {
            (Self::Trusted, _) | (Self::Kiosk { .. }, None) => TimeTrust::Trusted,
            (Self::Kiosk { .. }, Some(_)) if takes_photos(group, session, now) => TimeTrust::Trusted,
            (Self::Kiosk { offline }, Some(at)) if now.duration_since(at) <= offline => TimeTrust::Offline,
            (Self::Kiosk { .. }, Some(_)) => TimeTrust::Doubted,
        }
    }
}

/// Whether photos of that time are the session's.
fn takes_photos(group: &Group, session: &GroupSession, at: Timestamp) -> bool {
    group.rules.window(&session.meeting(false)).holds(at)
}

/// Errors unless a photo of that time marks people in the session: `Invalid` `outside_session`, or what the mark itself
/// would say.
fn require_markable(group: &Group, session: &GroupSession, at: Timestamp) -> Result<()> {
    require_window(group, session, at)?;
    session.clone().after(Step::Open, at).map(drop)
}

/// Errors unless the session takes photos of that time: `Invalid` `outside_session`.
pub(in crate::service) fn require_window(group: &Group, session: &GroupSession, at: Timestamp) -> Result<()> {
    if takes_photos(group, session, at) {
        return Ok(());
    }
    let message = "the session does not take photos of that time: say in at when they were taken";
    Err(Error::invalid(message).with_code("outside_session"))
}

/// The replies, if any photo could be used. If none could, the request fails as its first photo did, with every
/// photo's problem in the details; but if any failed for the server's reasons, as that one did, so that the client
/// knows that it may try again.
pub(in crate::service) fn usable(replies: Vec<PhotoReply>) -> Result<Vec<PhotoReply>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

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
