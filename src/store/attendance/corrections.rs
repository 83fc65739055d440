//! What people say of records, and taking it back.

use jiff::Timestamp;

use super::{
    record::{SessionRecord, with_names},
    register::Register,
    rosters::member,
    sessions, strangers,
};
use crate::{
    domain::{
        AttendanceRecord, Author, GroupSession, GroupSessionId, Occurrence, PersonId, Pseudonym, SessionState,
        StrangerId, TenantId, TenantScope,
        attendance::{
            record::{Appeal, AppealState, Case, Correction, Said},
            session::Step,
            stranger::Settled,
        },
    },
    error::{Error, ErrorKind, Result},
    store::{
        Store, access::audit, codec, engine::Read, keys, people::pseudonyms::require_person, transaction::Transaction,
    },
};

impl Store {
    /// Takes somebody's word on people of a session, all or none; returns their records in the order of `said`. Each
    /// must be on the roster or have a record.
    ///
    /// Errors: `NotFound` `session_not_found` or `person_not_found`; `Conflict` `not_on_roster` or `session_cancelled`.
    /// The errors of a person name them in their details, here and below.
    pub async fn correct(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        said: Vec<(PersonId, Correction)>,
    ) -> Result<Vec<SessionRecord>> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let session = kept(transaction, &tenant, session)?;
            let register = Register::of(transaction, &tenant, &session)?;
            let mut corrected = Vec::with_capacity(said.len());
            for (person, correction) in &said {
                let record = changed(transaction, &author, &register, person, "attendance.correct", |record, case| {
                    record.correct(correction.clone(), case);
                    Ok(())
                })?;
                corrected.push(record);
            }
            with_names(transaction, &tenant, &session, corrected)
        })
        .await
    }

    /// Says whose an unknown face of a session is: the stranger is one no longer, and the person was there when they were
    /// seen. The person must be on the roster or have a record.
    ///
    /// Errors: `NotFound` `session_not_found`, `stranger_not_found` or `person_not_found`; `Conflict`
    /// `not_on_roster` or `session_cancelled`.
    pub async fn name_stranger(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        stranger: StrangerId,
        person: &PersonId,
        now: Timestamp,
    ) -> Result<SessionRecord> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            let session = kept(transaction, &tenant, session)?;
            let found = strangers::require(transaction, &tenant, session.id, stranger, now)?;
            let faces = found.glimpses.clone();
            let register = Register::of(transaction, &tenant, &session)?;
            let record = changed(transaction, &author, &register, &person, "stranger.name", |record, case| {
                record.correct(Correction { said: Said::Confirmed, reason: None, at: now, faces }, case);
                Ok(())
            })?;
            strangers::settle(transaction, &tenant, found, Settled::Named(record.0))?;
            with_name(transaction, &tenant, &session, record)
        })
        .await
    }

    /// Takes the last word on somebody back; a stranger whom it named is one again. Errors: `NotFound`
    /// `session_not_found` or `person_not_found`; `Conflict` `nothing_to_undo`, `not_on_roster` or `session_cancelled`.
    pub async fn undo_correction(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
    ) -> Result<SessionRecord> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            let session = kept(transaction, &tenant, session)?;
            let register = Register::of(transaction, &tenant, &session)?;
            let mut faces = Vec::new();
            let record = changed(transaction, &author, &register, &person, "attendance.undo", |record, case| {
                faces = record.undo_correction(case)?.faces;
                Ok(())
            })?;
            strangers::bring_back(transaction, &tenant, session.id, record.0, |stranger| stranger.shows_any(&faces))?;
            with_name(transaction, &tenant, &session, record)
        })
        .await
    }

    /// Notes a person's objection, in the place of one that was answered. Errors: `NotFound` `session_not_found` or
    /// `person_not_found`; `Conflict` `appeal_open` or `not_on_roster`.
    pub async fn appeal(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
        note: String,
        now: Timestamp,
    ) -> Result<SessionRecord> {
        self.change_record(scope, session, person, "attendance.appeal", move |record, _| {
            if record.appeal.as_ref().is_some_and(|appeal| appeal.state == AppealState::Open) {
                return Err(Error::new(ErrorKind::Conflict, "there is an open appeal").with_code("appeal_open"));
            }
            record.appeal = Some(Appeal { note: note.clone(), at: now, state: AppealState::Open });
            Ok(())
        })
        .await
    }

    /// Answers an objection. Errors: `NotFound` `session_not_found`, `person_not_found` or `appeal_not_found`;
    /// `Conflict` `not_on_roster`.
    pub async fn settle_appeal(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
        state: AppealState,
    ) -> Result<SessionRecord> {
        self.change_record(scope, session, person, "attendance.settle", move |record, _| {
            let none = || Error::not_found("there is no appeal").with_code("appeal_not_found");
            record.appeal.as_mut().ok_or_else(none)?.state = state;
            Ok(())
        })
        .await
    }

    async fn change_record(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        person: &PersonId,
        action: &'static str,
        change: impl Fn(&mut AttendanceRecord, &Case<'_>) -> Result<()> + Send + 'static,
    ) -> Result<SessionRecord> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            let session = kept(transaction, &tenant, session)?;
            let register = Register::of(transaction, &tenant, &session)?;
            let record = changed(transaction, &author, &register, &person, action, &change)?;
            with_name(transaction, &tenant, &session, record)
        })
        .await
    }
}

/// The session, stored from now on.
fn kept(transaction: &mut Transaction<'_>, tenant: &TenantId, session: GroupSessionId) -> Result<GroupSession> {
    let session = sessions::require(transaction, tenant, session)?;
    if session.state == SessionState::Cancelled {
        // Says what is wrong.
        return session.after(Step::Open, Timestamp::UNIX_EPOCH);
    }
    if !transaction.has(&keys::group_session(tenant, session.id))? {
        sessions::put(transaction, tenant, None, &session)?;
    }
    Ok(session)
}

/// Somebody of whom the session's register says nothing: they are not on the roster, and were not when it was kept.
fn not_on_roster(person: &PersonId) -> Error {
    let message = "the person is not on the roster of the session's group and has no record in the session";
    naming(Error::new(ErrorKind::Conflict, message).with_code("not_on_roster"), person)
}

/// Says which of many people an error is about.
fn naming(error: Error, person: &PersonId) -> Error {
    error.with_details(serde_json::json!({ "person": person }))
}

/// A record of a session with whose it is.
fn with_name(
    read: &impl Read,
    tenant: &TenantId,
    session: &GroupSession,
    record: (Pseudonym, AttendanceRecord),
) -> Result<SessionRecord> {
    with_names(read, tenant, session, vec![record])?.pop().ok_or_else(codec::damaged)
}

/// The record of somebody, changed and written; removed where nothing is left of it and the session is not closed.
fn changed(
    transaction: &mut Transaction<'_>,
    author: &Author,
    register: &Register,
    person: &PersonId,
    action: &'static str,
    change: impl FnOnce(&mut AttendanceRecord, &Case<'_>) -> Result<()>,
) -> Result<(Pseudonym, AttendanceRecord)> {
    let who = require_person(transaction, register.tenant(), person).map_err(|error| naming(error, person))?;
    let member = member(transaction, register.tenant(), register.group(), who)?;
    let known = register.record(transaction, who)?;
    if known.is_none() && !member.as_ref().is_some_and(|member| register.lists(member)) {
        return Err(not_on_roster(person));
    }
    let case = register.case(transaction, who, member.as_ref())?;
    let mut record = known.unwrap_or_else(|| register.blank(person.clone(), &case));
    let before = record.clone();
    change(&mut record, &case)?;
    if record.says_something() || case.meeting.declares_absence {
        register.put(transaction, who, &record)?;
    } else {
        register.remove(transaction, who, &record)?;
    }
    let [was, is] = [&before, &record].map(|record| record.verdict.status);
    if was != is {
        transaction.tell(
            register.tenant(),
            Occurrence::Corrected {
                group: register.group().clone(),
                person: person.clone(),
                record: record.id,
                date: register.date(),
                before: Some(was.code().to_owned()),
                after: Some(is.code().to_owned()),
            },
        );
    }
    audit::note(transaction, author, action, |it| {
        it.group(register.group()).session(record.session).person(person).changed(&before, &record)
    })?;
    Ok((who, record))
}
