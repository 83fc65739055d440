//! The register of a session: reviewed, confirmed, corrected, appealed.

mod views;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use self::views::{
    AppealParams, AppealPatch, ConfirmParams, CorrectionView, RecordPage, RecordWithEvidence, Review, RosterPerson,
    SetStatus, SettledView, SightingView, ToConfirm,
};
use super::{
    record::{RecordView, view},
    sessions::StatusCount,
};
use crate::{
    domain::{
        GroupSessionId, PersonId, Pseudonym, RecordState, Status, TenantScope,
        attendance::record::{Correction, Said, checked_note},
    },
    error::{Error, Result},
    service::attendance::Service,
    store::SessionRecord,
};

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
        let (session, records) = self.store.register(scope, session).await?;
        let mut counts: BTreeMap<Status, u64> = BTreeMap::new();
        for record in &records {
            *counts.entry(record.verdict.status).or_default() += 1;
        }
        let (mut present, mut to_confirm, mut set_by_hand, mut not_expected, mut not_seen) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for record in records {
            match (record.verdict.state, record.verdict.status) {
                (_, status) if status.is_attended() => present.push(record),
                (RecordState::ByHand, _) => set_by_hand.push(record),
                (_, Status::Covered | Status::Holiday | Status::NotOnRoster) => not_expected.push(record),
                (RecordState::ToConfirm, _) => to_confirm.push(record),
                _ => not_seen.push(record),
            }
        }
        let mut lists = [present, to_confirm, set_by_hand, not_expected, not_seen];
        let is_cut = session.has_more_faces || has_more_faces || lists.iter().any(|list| list.len() > limit);
        for list in &mut lists {
            list.truncate(limit);
        }
        let shown: Vec<PersonId> = lists.iter().flatten().map(|record| record.person.clone()).collect();
        let mut names = self.store.names(scope, shown).await?.into_iter();
        let [present, to_confirm, set_by_hand, not_expected, not_seen] = lists.map(|list| {
            let named = |record| SessionRecord { session: session.clone(), record, name: names.next().flatten() };
            list.into_iter().map(named).collect::<Vec<_>>()
        });
        let views = |list: Vec<SessionRecord>| list.iter().map(view).collect();
        Ok(Review {
            counts: counts.into_iter().map(|(status, people)| StatusCount { status, people }).collect(),
            present: views(present),
            to_confirm: self.evidence_views(scope, to_confirm).await?.into_iter().map(Into::into).collect(),
            set_by_hand: views(set_by_hand),
            not_expected: views(not_expected),
            not_seen: not_seen
                .into_iter()
                .map(|SessionRecord { record, name, .. }| RosterPerson { person: record.person, name })
                .collect(),
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
        let (records, next) = self.store.records(scope, session, after, limit).await?;
        Ok(RecordPage { records: self.evidence_views(scope, records).await?, next })
    }

    /// Settles many people at once, all or none.
    ///
    /// # Errors
    /// `NotFound` `session_not_found` or `person_not_found`; `Invalid` `invalid_status`, `invalid_reason`,
    /// `too_many_people` or `said_twice`; `Conflict` `not_on_roster` or `session_cancelled`.
    pub async fn confirm(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        params: ConfirmParams,
    ) -> Result<SettledView> {
        let records = self.store.correct(scope, session, params.said(self.clock.now())?).await?;
        Ok(SettledView { records: records.iter().map(view).collect() })
    }

    /// Takes the last word on a person back.
    ///
    /// # Errors
    /// `NotFound` `session_not_found` or `person_not_found`; `Conflict` `nothing_to_undo`, `not_on_roster` or
    /// `session_cancelled`.
    pub async fn undo_correction(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
    ) -> Result<RecordView> {
        Ok(view(&self.store.undo_correction(scope, session, person).await?))
    }

    /// Notes a person's objection.
    ///
    /// # Errors
    /// `NotFound` `session_not_found` or `person_not_found`; `Invalid` `invalid_reason`; `Conflict` `appeal_open`,
    /// `not_on_roster` or `session_cancelled`.
    pub async fn appeal(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
        params: &AppealParams,
    ) -> Result<RecordView> {
        let note = checked_note(&params.note)?;
        Ok(view(&self.store.appeal(scope, session, person, note, self.clock.now()).await?))
    }

    /// Answers an objection.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`, `person_not_found` or `appeal_not_found`; `Conflict` `not_on_roster` or
    /// `session_cancelled`.
    pub async fn settle_appeal(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
        patch: &AppealPatch,
    ) -> Result<RecordView> {
        Ok(view(&self.store.settle_appeal(scope, session, person, patch.state).await?))
    }

    async fn evidence_views(
        &self,
        scope: &TenantScope,
        records: Vec<SessionRecord>,
    ) -> Result<Vec<RecordWithEvidence>> {
        let sightings = records.iter().flat_map(|record| &record.record.sightings);
        let known = self.known(scope, sightings.filter_map(|sighting| sighting.runner_up)).await?;
        let with_evidence = |record: SessionRecord| RecordWithEvidence {
            record: view(&record),
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
        Ok(records.into_iter().map(with_evidence).collect())
    }
}
