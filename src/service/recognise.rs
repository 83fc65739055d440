//! The main job: photos in, the class out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

pub(super) use self::answer::advice;
pub use self::{
    answer::{NotSeen, Present, Reason, Recognition, RecognizedFace, RecognizedPhoto, SearchView},
    params::{IdentifyParams, RecognizeParams, RequestClass},
};
use super::{RuleChanges, Service, is_the_images_fault, view::ProblemView, wanted};
use crate::{
    domain::{
        Access, Group, GroupId, GroupSession, GroupSessionId, PersonId, Role, TenantScope, TimeTrust,
        moment::checked_at, session::Step, stranger::Keeping,
    },
    error::{Error, Result},
    pipeline::{
        messages::{EncodedImage, PhotoFailure, PhotoReply},
        request::{FaceChoice, Marking, Search, Wanted},
    },
};

mod answer;
mod params;

impl Service {
    /// Recognises a group in photos, and marks it present.
    ///
    /// # Errors
    /// `NotFound` for an unknown group or session, `Invalid` for settings out of range, and `laxer_than_tenant` for those
    /// that would mark people by laxer rules than the tenant's, `Conflict` for a time without a session or a session that
    /// takes no marks, `Overloaded` when the door is full. A bad photo is an error of that photo only.
    pub async fn recognize(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        images: Vec<EncodedImage>,
        params: &RecognizeParams,
    ) -> Result<Recognition> {
        self.recognize_told_by(Teller::Trusted, scope, group, images, params).await
    }

    async fn recognize_told_by(
        &self,
        teller: Teller,
        scope: &TenantScope,
        group: &GroupId,
        images: Vec<EncodedImage>,
        params: &RecognizeParams,
    ) -> Result<Recognition> {
        let found = self.store.group(scope, group).await?;
        let now = self.clock.now();
        let at = checked_at(params.at.unwrap_or(now), now)?;
        let roster = self.store.roster_at(scope, group, at).await?;
        let own = self.store.tenant_settings(scope).await?;
        let naming = self.naming.with(own.matching);
        let changes = RuleChanges { threshold: params.threshold, margin: params.margin };
        let marks = params.mark.unwrap_or(true);
        let apply = if marks { RuleChanges::tighten } else { RuleChanges::apply };
        let rules = apply(changes, naming.roster)?;
        // Who is one is the tenant's affair, whatever a request asks of names.
        let unknown = (own.unknown_faces_days > 0).then_some(Keeping { threshold: naming.roster.threshold, now });
        let marking = if marks {
            let marking = self.marking(scope, &found, params, at).await?;
            let time = teller.trust(&found, &marking.session, params.at, now);
            Some(Marking { time, unknown, ..marking })
        } else {
            None
        };
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
        Ok(Marking { session, at, time: TimeTrust::Trusted, source: params.source.clone(), unknown: None })
    }

    /// The same for a caller of any role: a kiosk marks by the server's own rules, and is told who was marked, and of each
    /// other face what the person can do about it. Whatever it says of a time at which the session takes no photos any more
    /// is to be confirmed, beyond its key's allowance.
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
        let teller = Teller::Kiosk { offline: access.offline() };
        Ok(self.recognize_told_by(teller, &scope, group, images, params).await?.for_kiosk())
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
        Ok(Recognition::new(replies, &names, roster, session))
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

/// Errors unless the session takes photos of that time: `Invalid` `outside_session`.
pub(super) fn require_window(group: &Group, session: &GroupSession, at: Timestamp) -> Result<()> {
    if takes_photos(group, session, at) {
        return Ok(());
    }
    let message = "the session does not take photos of that time: say in at when they were taken";
    Err(Error::invalid(message).with_code("outside_session"))
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
