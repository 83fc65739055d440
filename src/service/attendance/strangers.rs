//! The unknown faces of a session, where its tenant keeps them, and whom faces could show besides who was named.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::{self, RecordView};
use crate::{
    domain::{
        FaceBox, GroupSessionId, Likeness, LivenessVerdict, PersonId, PhotoId, Pseudonym, Stranger, StrangerId,
        TenantScope, attendance::stranger::Glimpse,
    },
    error::Result,
    service::{attendance::Service, view::NamedCandidate},
};

/// Somebody in a session for whom nobody was named.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UnknownFaceView {
    /// Its own.
    pub id: StrangerId,
    /// The faces that were taken for the same person, by time; at most 20.
    pub sightings: Vec<GlimpseView>,
    /// The two people whom the faces are most like, best first, unless they are gone.
    pub candidates: Vec<NamedCandidate>,
    /// When it was first seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first_seen: Option<Timestamp>,
    /// When it was last seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
}

/// A face that nobody was named for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GlimpseView {
    /// In which photo.
    pub photo: PhotoId,
    /// Which of its faces, from 0, best detection first.
    pub face: u32,
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Where it is, in shares of the upright photo's width and height.
    pub normalized: FaceBox,
    /// Its width in pixels.
    pub width_px: f32,
    /// The liveness verdict, where it was asked.
    pub liveness: Option<LivenessVerdict>,
}

impl From<Glimpse> for GlimpseView {
    fn from(glimpse: Glimpse) -> Self {
        let Glimpse { photo, face, at, normalized, width_px, liveness } = glimpse;
        Self { photo, face, at, normalized, width_px, liveness }
    }
}

/// Whose an unknown face is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameParams {
    /// Somebody on the roster, or with a record of the session.
    pub person: PersonId,
}

/// Who is behind the pseudonyms of candidates, as far as they are still there.
pub(in crate::service) struct Known(BTreeMap<Pseudonym, (PersonId, String)>);

impl Known {
    /// The candidate by name; `None` once they are gone.
    pub(in crate::service) fn named(&self, likeness: Likeness) -> Option<NamedCandidate> {
        let (person, name) = self.0.get(&likeness.who)?.clone();
        Some(NamedCandidate { person, name: Some(name), similarity: likeness.similarity })
    }
}

impl Service {
    /// Looks up who these candidates are.
    pub(in crate::service) async fn known(
        &self,
        scope: &TenantScope,
        candidates: impl IntoIterator<Item = Likeness>,
    ) -> Result<Known> {
        let pseudonyms: BTreeSet<Pseudonym> = candidates.into_iter().map(|candidate| candidate.who).collect();
        Ok(Known(self.store.known(scope, pseudonyms).await?))
    }

    /// At most `limit` strangers of a session, most sightings first, and whether there are more.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`.
    pub(in crate::service) async fn unknown_faces(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        limit: usize,
    ) -> Result<(Vec<UnknownFaceView>, bool)> {
        let mut strangers = self.store.strangers(scope, session, self.clock.now()).await?;
        let is_cut = strangers.len() > limit;
        strangers.sort_by_key(|stranger| (Reverse(stranger.glimpses.len()), stranger.seen(), stranger.id));
        strangers.truncate(limit);
        let known = self.known(scope, strangers.iter().flat_map(|stranger| stranger.candidates.clone())).await?;
        Ok((strangers.into_iter().map(|stranger| view(stranger, &known)).collect(), is_cut))
    }

    /// Says whose an unknown face is: they were there when it was seen, by a correction that confirms it, and the face is
    /// unknown no more. It is again where the correction is undone.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`, `stranger_not_found` or `person_not_found`; `Conflict` `not_on_roster` or
    /// `session_cancelled`.
    pub async fn name_stranger(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        stranger: StrangerId,
        params: &NameParams,
    ) -> Result<RecordView> {
        let now = self.clock.now();
        let record = self.store.name_stranger(scope, session, stranger, &params.person, now).await?;
        Ok(record::view(&record))
    }

    /// Forgets an unknown face: somebody looked, and it is nobody of theirs.
    ///
    /// # Errors
    /// `NotFound` `session_not_found` or `stranger_not_found`.
    pub async fn dismiss_stranger(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        stranger: StrangerId,
    ) -> Result<()> {
        self.store.dismiss_stranger(scope, session, stranger, self.clock.now()).await
    }
}

fn view(stranger: Stranger, known: &Known) -> UnknownFaceView {
    let (first_seen, last_seen) = stranger.seen().unzip();
    UnknownFaceView {
        id: stranger.id,
        candidates: stranger.candidates.into_iter().filter_map(|candidate| known.named(candidate)).collect(),
        sightings: stranger.glimpses.into_iter().map(Into::into).collect(),
        first_seen,
        last_seen,
    }
}
