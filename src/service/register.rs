//! The register of a session: reviewed, confirmed, corrected, appealed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Service,
    attendance::{RecordView, view},
    sessions::{SessionView, StatusCount},
    strangers::{GlimpseView, Known, UnknownFaceView},
    view::NamedCandidate,
};
use crate::{
    domain::{
        AttendanceRecord, GroupSessionId, LivenessVerdict, PersonId, PhotoId, Pseudonym, RecordState, Sighting, Status,
        TenantScope,
        attendance::{AppealState, Correction, Said, checked_note},
    },
    error::{Error, Result},
    store::SessionRecord,
};

/// One face that was taken for a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SightingView {
    /// In which photo.
    pub photo: PhotoId,
    /// Which of its faces, from 0, best detection first.
    pub face: u32,
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Raw cosine of the face to the person's best sample.
    pub similarity: f32,
    /// Lead over the next person; null when there was none.
    pub margin: Option<f32>,
    /// That next person; null where there was none, or they are gone.
    pub runner_up: Option<NamedCandidate>,
    /// Width of the face in pixels.
    pub width_px: f32,
    /// The liveness verdict, where it was asked.
    pub liveness: Option<LivenessVerdict>,
    /// The network that recognised the face.
    pub model: String,
    /// Whether somebody said that it is not them.
    pub refuted: bool,
}

impl SightingView {
    fn new(sighting: Sighting, known: &Known) -> Self {
        let Sighting { photo, face, at, similarity, margin, runner_up, width_px, liveness, model, refuted } = sighting;
        let runner_up = runner_up.and_then(|runner_up| known.named(runner_up));
        let model = model.name.to_string();
        Self { photo, face, at, similarity, margin, runner_up, width_px, liveness, model, refuted }
    }
}

/// What somebody said of a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CorrectionView {
    /// What.
    pub said: Said,
    /// Why.
    pub reason: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The unknown faces of the session that were said to be theirs.
    pub faces: Vec<GlimpseView>,
}

/// A record with its evidence.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordWithEvidence {
    /// What counts.
    #[serde(flatten)]
    pub record: RecordView,
    /// The faces that were taken for the person, by time; at most 20.
    pub sightings: Vec<SightingView>,
    /// What was said of it, oldest first; the last one holds.
    pub corrections: Vec<CorrectionView>,
}

/// Somebody of whom it is not sure whether they were there.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ToConfirm {
    /// What is known.
    #[serde(flatten)]
    pub record: RecordWithEvidence,
    /// Whom their faces could show: themselves, and the most similar other person of the sightings that nobody refuted,
    /// where there is one.
    pub candidates: Vec<NamedCandidate>,
}

impl From<RecordWithEvidence> for ToConfirm {
    fn from(record: RecordWithEvidence) -> Self {
        let RecordView { person, name, .. } = &record.record;
        let sightings = || record.sightings.iter().filter(|sighting| !sighting.refuted);
        let best = sightings().map(|sighting| sighting.similarity).max_by(f32::total_cmp);
        let own = best.map(|similarity| NamedCandidate { person: person.clone(), name: name.clone(), similarity });
        // Two who were merged into one are no rivals.
        let others =
            sightings().filter_map(|sighting| sighting.runner_up.as_ref()).filter(|other| other.person != *person);
        let next = others.max_by(|one, other| one.similarity.total_cmp(&other.similarity)).cloned();
        Self { candidates: own.into_iter().chain(next).collect(), record }
    }
}

/// A page of a session's records.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordPage {
    /// In an order of their own.
    pub records: Vec<RecordWithEvidence>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<Pseudonym>,
}

/// A person of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RosterPerson {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
}

/// One screen's worth of a session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Review {
    /// The session.
    pub session: SessionView,
    /// People on the roster and with records, by what counts.
    pub counts: Vec<StatusCount>,
    /// Who was there, or is said to have been, by id.
    pub present: Vec<RecordView>,
    /// Whose faces are too few or too weak to be sure, with those and the two best candidates, by id.
    pub to_confirm: Vec<ToConfirm>,
    /// Whom somebody declared absent or excused, by id.
    pub set_by_hand: Vec<RecordView>,
    /// Who was not seen, by id.
    pub not_seen: Vec<RosterPerson>,
    /// The faces that nobody was named for, the same stranger once, most sightings first; none unless the tenant keeps
    /// them.
    pub unknown_faces: Vec<UnknownFaceView>,
    /// Whether a list is cut at `limit`, or the session keeps as many unknown faces as it may, which is 200; `counts` counts
    /// all.
    pub is_cut: bool,
}

/// What is settled at once: at most 1000 people.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmParams {
    /// These were there; when they were seen says whether they were late.
    #[serde(default)]
    pub confirm: Vec<PersonId>,
    /// The faces until now are not theirs.
    #[serde(default)]
    pub reject: Vec<PersonId>,
    /// This counts.
    #[serde(default)]
    pub set: Vec<SetStatus>,
}

/// What counts, by somebody's word.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetStatus {
    /// Of whom.
    pub person: PersonId,
    /// `present`, `late`, `left_early`, `absent` or `excused`.
    pub status: Status,
    /// Why, 1–500 characters.
    pub reason: String,
}

/// Records as they are after a change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SettledView {
    /// In the order of `confirm`, `reject`, `set`.
    pub records: Vec<RecordView>,
}

/// A person's objection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppealParams {
    /// What they say, 1–500 characters.
    pub note: String,
}

/// The answer to an appeal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppealPatch {
    /// `accepted` or `refused`; `open` to think again.
    pub state: AppealState,
}

/// The most people settled at once.
const MAX_SETTLED: usize = 1000;

impl ConfirmParams {
    /// What is said of whom. Errors: `Invalid` `invalid_status`, `invalid_reason`, `too_many_people` or `said_twice`.
    fn said(self, at: Timestamp) -> Result<Vec<(PersonId, Correction)>> {
        let plain =
            |said| move |person: PersonId| Ok((person, Correction { said, reason: None, at, faces: Vec::new() }));
        let set = |set: SetStatus| {
            if !set.status.is_settable() {
                let message = "a status set by hand is present, late, left_early, absent or excused";
                return Err(Error::invalid(message).with_code("invalid_status"));
            }
            let reason = Some(checked_note(&set.reason)?);
            Ok((set.person, Correction { said: Said::Set(set.status), reason, at, faces: Vec::new() }))
        };
        let said: Vec<(PersonId, Correction)> = self
            .confirm
            .into_iter()
            .map(plain(Said::Confirmed))
            .chain(self.reject.into_iter().map(plain(Said::Rejected)))
            .chain(self.set.into_iter().map(set))
            .collect::<Result<_>>()?;
        if !(1..=MAX_SETTLED).contains(&said.len()) {
            return Err(Error::invalid("settle 1 to 1000 people at once").with_code("too_many_people"));
        }
        let people: BTreeSet<&PersonId> = said.iter().map(|(person, _)| person).collect();
        if people.len() < said.len() {
            return Err(Error::invalid("somebody is named twice").with_code("said_twice"));
        }
        Ok(said)
    }
}

impl Service {
    /// One screen's worth of a session, at most `limit` people a list.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`.
    pub async fn review(&self, scope: &TenantScope, session: GroupSessionId, limit: usize) -> Result<Review> {
        let (unknown_faces, has_more_faces) = self.unknown_faces(scope, session, limit).await?;
        let (session, records, unrecorded) = self.store.register(scope, session).await?;
        let mut counts: BTreeMap<Status, u64> = BTreeMap::new();
        for record in &records {
            *counts.entry(record.verdict.status).or_default() += 1;
        }
        if !unrecorded.is_empty() {
            *counts.entry(Status::Undecided).or_default() += unrecorded.len() as u64;
        }
        let (mut present, mut to_confirm, mut set_by_hand, mut not_seen) =
            (Vec::new(), Vec::new(), Vec::new(), unrecorded);
        for record in records {
            match (record.verdict.state, record.verdict.status) {
                (RecordState::ToConfirm, _) => to_confirm.push(record),
                (_, status) if status.is_attended() => present.push(record),
                (RecordState::ByHand, _) => set_by_hand.push(record),
                _ => not_seen.push(record.person),
            }
        }
        not_seen.sort_unstable();
        let lengths = [present.len(), to_confirm.len(), set_by_hand.len(), not_seen.len()];
        let is_cut = has_more_faces || lengths.into_iter().any(|length| length > limit);
        not_seen.truncate(limit);
        let cut = |mut records: Vec<AttendanceRecord>| {
            records.truncate(limit);
            records.into_iter().map(|record| SessionRecord { session: session.clone(), record }).collect()
        };
        let names = self.store.names(scope, not_seen.clone()).await?;
        Ok(Review {
            counts: counts.into_iter().map(|(status, people)| StatusCount { status, people }).collect(),
            present: self.record_views(scope, cut(present)).await?,
            to_confirm: self.evidence_views(scope, cut(to_confirm)).await?.into_iter().map(Into::into).collect(),
            set_by_hand: self.record_views(scope, cut(set_by_hand)).await?,
            not_seen: not_seen.into_iter().zip(names).map(|(person, name)| RosterPerson { person, name }).collect(),
            unknown_faces,
            is_cut,
            session: session.into(),
        })
    }

    /// A page of a session's records after that of `after`. A record that is there throughout a walk over the pages is
    /// met exactly once.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`.
    pub async fn session_records(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        after: Option<Pseudonym>,
        limit: usize,
    ) -> Result<RecordPage> {
        let of = self.store.group_session(scope, session).await?;
        let (records, next) = self.store.records(scope, session, after, limit).await?;
        let records = records.into_iter().map(|record| SessionRecord { session: of.clone(), record }).collect();
        Ok(RecordPage { records: self.evidence_views(scope, records).await?, next })
    }

    /// Settles many people at once, all or none.
    ///
    /// # Errors
    /// `NotFound` `session_not_found` or `person_not_found`; `Invalid` `invalid_status`, `invalid_reason`,
    /// `too_many_people` or `said_twice`; `Conflict` `session_cancelled`.
    pub async fn confirm(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        params: ConfirmParams,
    ) -> Result<SettledView> {
        let records = self.store.correct(scope, session, params.said(self.clock.now())?).await?;
        Ok(SettledView { records: self.record_views(scope, records).await? })
    }

    /// Takes the last word on a person back.
    ///
    /// # Errors
    /// `NotFound` `session_not_found` or `person_not_found`; `Conflict` `nothing_to_undo` or `session_cancelled`.
    pub async fn undo_correction(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
    ) -> Result<RecordView> {
        self.one_view(scope, self.store.undo_correction(scope, session, person).await?).await
    }

    /// Notes a person's objection.
    ///
    /// # Errors
    /// `NotFound` `session_not_found` or `person_not_found`; `Invalid` `invalid_reason`; `Conflict` `appeal_open` or
    /// `session_cancelled`.
    pub async fn appeal(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
        params: &AppealParams,
    ) -> Result<RecordView> {
        let note = checked_note(&params.note)?;
        self.one_view(scope, self.store.appeal(scope, session, person, note, self.clock.now()).await?).await
    }

    /// Answers an objection.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`, `person_not_found` or `appeal_not_found`; `Conflict` `session_cancelled`.
    pub async fn settle_appeal(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
        patch: &AppealPatch,
    ) -> Result<RecordView> {
        self.one_view(scope, self.store.settle_appeal(scope, session, person, patch.state).await?).await
    }

    pub(super) async fn one_view(&self, scope: &TenantScope, record: SessionRecord) -> Result<RecordView> {
        let name = self.store.names(scope, vec![record.record.person.clone()]).await?.pop().flatten();
        Ok(view(&record, name))
    }

    /// Records as every door shows them, in their order.
    pub(super) async fn record_views(
        &self,
        scope: &TenantScope,
        records: Vec<SessionRecord>,
    ) -> Result<Vec<RecordView>> {
        let people = records.iter().map(|record| record.record.person.clone()).collect();
        let names = self.store.names(scope, people).await?;
        Ok(records.iter().zip(names).map(|(record, name)| view(record, name)).collect())
    }

    async fn evidence_views(
        &self,
        scope: &TenantScope,
        records: Vec<SessionRecord>,
    ) -> Result<Vec<RecordWithEvidence>> {
        let views = self.record_views(scope, records.clone()).await?;
        let sightings = records.iter().flat_map(|record| &record.record.sightings);
        let known = self.known(scope, sightings.filter_map(|sighting| sighting.runner_up)).await?;
        let with_evidence = |(record, view): (SessionRecord, RecordView)| RecordWithEvidence {
            record: view,
            sightings: record
                .record
                .sightings
                .into_iter()
                .map(|sighting| SightingView::new(sighting, &known))
                .collect(),
            corrections: record
                .record
                .corrections
                .into_iter()
                .map(|Correction { said, reason, at, faces }| CorrectionView {
                    said,
                    reason,
                    at,
                    faces: faces.into_iter().map(Into::into).collect(),
                })
                .collect(),
        };
        Ok(records.into_iter().zip(views).map(with_evidence).collect())
    }
}
