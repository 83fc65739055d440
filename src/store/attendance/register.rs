//! The register of a session: what an operation needs to judge the session's people and to write their records.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{
    record::Place,
    sessions::stored_between,
    sheets,
    timetables::{holidays, timetable},
};
use crate::{
    domain::{
        AttendanceRecord, Group, GroupId, GroupSession, GroupSessionId, PersonId, Pseudonym, SessionState, TenantId,
        attendance::{
            record::Case,
            roster::{Member, Period},
            rules::{
                judge::{Tenure, Verdict},
                meeting::Meeting,
            },
        },
        recognition::liveness::LivenessPolicy,
    },
    error::Result,
    reports::Cell,
    store::{
        codec,
        engine::Read,
        group_not_found,
        keys::{self, Kind, Parsed},
        transaction::Transaction,
    },
};

/// A session's register; see the module.
pub(in crate::store) struct Register {
    tenant: TenantId,
    group: Group,
    session: GroupSession,
    meeting: Meeting,
    /// The group's other sessions of that local date that take place, where the rules limit the marks of a day.
    others: Vec<GroupSessionId>,
}

impl Register {
    /// Of a session as it is. Errors: `NotFound` `group_not_found`.
    pub(in crate::store) fn of(read: &impl Read, tenant: &TenantId, session: &GroupSession) -> Result<Self> {
        let group: Group = read.get(&keys::group(tenant, &session.group))?.ok_or_else(group_not_found)?;
        let mut free = holidays(read, tenant)?;
        free.extend(timetable(read, tenant, &group.id)?.into_iter().flat_map(|timetable| timetable.holidays));
        let is_holiday = free.iter().any(|holiday| holiday.holds(session.date));
        let mut others = Vec::new();
        if group.rules.max_marks_a_day.is_some() {
            let that_day = stored_between(read, tenant, &group.id, session.date, session.date)?;
            let counts = |other: &&GroupSession| other.id != session.id && other.state != SessionState::Cancelled;
            others.extend(that_day.iter().filter(counts).map(|other| other.id));
        }
        let meeting = session.meeting(is_holiday);
        Ok(Self { tenant: tenant.clone(), group, session: session.clone(), meeting, others })
    }

    /// Of which tenant.
    pub(in crate::store) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The session's local date.
    pub(in crate::store) fn date(&self) -> Date {
        self.session.date
    }

    /// Of which group.
    pub(in crate::store) fn group(&self) -> &GroupId {
        &self.group.id
    }

    /// How live a face must be to be marked in it.
    pub(in crate::store) fn liveness(&self) -> LivenessPolicy {
        self.group.rules.liveness
    }

    /// What somebody is judged by who has this place on the roster; without one nobody knows any more when they left.
    pub(in crate::store) fn case(&self, read: &impl Read, who: Pseudonym, member: Option<&Member>) -> Result<Case<'_>> {
        let mut attended_that_day = 0;
        for &other in &self.others {
            let record: Option<AttendanceRecord> = read.get(&keys::attendance(&self.tenant, other, who))?;
            attended_that_day += usize::from(record.is_some_and(|record| record.verdict.status.is_attended()));
        }
        let Meeting { start, end, .. } = self.meeting;
        let (tenure, due) = match member.map(|member| member.tenure(start, end)) {
            Some((Tenure::Before, due)) if member.is_some_and(|member| self.counts(member)) => (Tenure::During, due),
            Some(known) => known,
            None => (Tenure::During, None),
        };
        Ok(Case { rules: &self.group.rules, meeting: self.meeting, tenure, due, attended_that_day })
    }

    /// Whether the session, when it was closed, counted somebody who joined after its beginning: who was entered later,
    /// or joins later, was not thought of.
    fn counts(&self, member: &Member) -> bool {
        let is_entered = |period: &Period| {
            self.session.closed_at.is_none_or(|closed_at| period.entered_at.max(period.since) <= closed_at)
        };
        self.session.counts_joined_later && member.periods.first().is_some_and(is_entered)
    }

    /// Whether somebody is of the register though nothing is known of them: they are on the roster, or were when the
    /// session started.
    pub(in crate::store) fn lists(&self, member: &Member) -> bool {
        let Meeting { start, end, .. } = self.meeting;
        member.present().is_some() || member.tenure(start, end).0 == Tenure::During
    }

    /// What is known of somebody.
    pub(in crate::store) fn record(&self, read: &impl Read, who: Pseudonym) -> Result<Option<AttendanceRecord>> {
        read.get(&keys::attendance(&self.tenant, self.session.id, who))
    }

    /// The record of somebody of whom nothing is known.
    pub(in crate::store) fn blank(&self, person: PersonId, case: &Case<'_>) -> AttendanceRecord {
        AttendanceRecord::new(self.session.id, person, case)
    }

    /// Writes a record in the place of the one that the person had.
    pub(in crate::store) fn put(
        &self,
        transaction: &mut Transaction<'_>,
        who: Pseudonym,
        record: &AttendanceRecord,
    ) -> Result<()> {
        put(transaction, &self.tenant, &self.session, who, record)
    }

    /// Removes a record.
    pub(in crate::store) fn remove(
        &self,
        transaction: &mut Transaction<'_>,
        who: Pseudonym,
        record: &AttendanceRecord,
    ) -> Result<()> {
        remove(transaction, &self.tenant, &self.session, who, record)
    }
}

/// The records of a session, by pseudonym.
pub(in crate::store) fn records(
    read: &impl Read,
    tenant: &TenantId,
    session: GroupSessionId,
) -> Result<BTreeMap<Pseudonym, AttendanceRecord>> {
    let prefix = keys::attendance_in(tenant, session);
    let records = read.scan_bytes(&prefix, None).map(|entry| {
        let (key, bytes) = entry?;
        match keys::parse(&key) {
            Some(Parsed::Data(_, Kind::Attendance(_, who))) => Ok((who, codec::decode(&bytes)?)),
            _ => Err(codec::damaged()),
        }
    });
    records.collect()
}

/// Writes a record of a session in the place of the one that the person had, and into the session's sheet.
pub(in crate::store) fn put(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
    who: Pseudonym,
    record: &AttendanceRecord,
) -> Result<()> {
    if session.state == SessionState::Closed {
        sheets::amend(transaction, tenant, session.id, who, Some(cell(record)))?;
    }
    put_beside_the_sheet(transaction, tenant, session, who, record)
}

/// The same for who closes the session, and writes the sheet.
pub(in crate::store) fn put_beside_the_sheet(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    GroupSession { id: session, group, .. }: &GroupSession,
    who: Pseudonym,
    record: &AttendanceRecord,
) -> Result<()> {
    transaction.put(keys::attendance(tenant, *session, who), record)?;
    transaction.put(keys::sighting(tenant, who, *session), group)?;
    if let Some(id) = record.id {
        let place = Place { session: *session, person: who, record: id };
        transaction.put(keys::mark(tenant, group, id), &place)?;
    }
    Ok(())
}

/// Removes a record, from the session's sheet too.
pub(in crate::store) fn remove(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
    who: Pseudonym,
    record: &AttendanceRecord,
) -> Result<()> {
    if session.state == SessionState::Closed {
        sheets::amend(transaction, tenant, session.id, who, None)?;
    }
    remove_beside_the_sheet(transaction, tenant, session, who, record);
    Ok(())
}

/// The same for who removes the sheet.
pub(in crate::store) fn remove_beside_the_sheet(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
    who: Pseudonym,
    record: &AttendanceRecord,
) {
    transaction.remove(keys::attendance(tenant, session.id, who));
    transaction.remove(keys::sighting(tenant, who, session.id));
    if let Some(id) = record.id {
        transaction.remove(keys::mark(tenant, &session.group, id));
    }
}

/// What a sheet says of a record.
pub(in crate::store) fn cell(record: &AttendanceRecord) -> Cell {
    let Verdict { status, late_minutes, .. } = record.verdict;
    Cell { status, late_minutes }
}
