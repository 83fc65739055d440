//! Closing a session, which declares absences, and opening it again, which takes them back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::{
    register::{Register, cell, put_beside_the_sheet, records},
    rosters::members,
    sessions, sheets,
};
use crate::{
    domain::{
        AttendanceRecord, GroupId, GroupSession, GroupSessionId, Occurrence, Pseudonym, RecordState, SessionState,
        Status, TenantId, TenantScope,
        attendance::{roster::Member, rules::judge::Tenure, session::Step},
    },
    error::Result,
    store::{Store, access::audit, transaction::Transaction},
};

/// How a session is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClosingRules {
    /// Whether also before its beginning, and though expected sources have not reported.
    pub is_forced: bool,
    /// Whether those are absent as well who joined the group after its beginning and were not seen.
    pub counts_joined_later: bool,
}

/// What became of an attempt to close a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Closing {
    /// The session: closed, unless something is missing.
    pub session: GroupSession,
    /// People on its register, by what counts; empty unless it is closed.
    pub counts: BTreeMap<Status, u64>,
    /// How many of them joined the group after its beginning, whether or not they were seen; 0 unless it is closed.
    pub joined_later: u64,
}

impl Store {
    /// Closes a session: everybody on the roster has a record from then on, and who was not seen is absent. While an
    /// expected source has not reported, nothing happens, unless it is forced.
    ///
    /// Errors: `NotFound` `session_not_found`; `Conflict` `session_closed` or `session_cancelled`, or `session_not_begun`
    /// unless it is forced.
    pub async fn close_group_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        rules: ClosingRules,
        now: Timestamp,
    ) -> Result<Closing> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let open = sessions::require(transaction, &tenant, session)?;
            let ClosingRules { is_forced, counts_joined_later } = rules;
            let closed = GroupSession { counts_joined_later, ..open.clone().after(Step::Close, now)? };
            if !is_forced {
                open.require_begun(now)?;
                if open.missing_sources().next().is_some() {
                    return Ok(Closing { session: open, counts: BTreeMap::new(), joined_later: 0 });
                }
            }
            sessions::put(transaction, &tenant, Some(&open), &closed)?;
            let (counts, joined_later) = judge_all(transaction, &tenant, &closed)?;
            let told = json!({ "counts": &counts, "is_forced": is_forced, "counts_joined_later": counts_joined_later });
            audit::note(transaction, &author, "session.close", |it| {
                it.group(&closed.group).session(closed.id).after(&told)
            })?;
            Ok(Closing { session: closed, counts, joined_later })
        })
        .await
    }

    /// Opens a closed session again: nobody is absent by it any more, but who left the roster before it kept that.
    /// Errors: `NotFound` `session_not_found`; `Conflict` `session_not_closed` or `session_cancelled`.
    pub async fn reopen_group_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        reason: String,
        now: Timestamp,
    ) -> Result<GroupSession> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let closed = sessions::require(transaction, &tenant, session)?;
            let open = closed.clone().after(Step::Reopen { reason: reason.clone() }, now)?;
            sessions::put(transaction, &tenant, Some(&closed), &open)?;
            sheets::remove(transaction, &tenant, session)?;
            let register = Register::of(transaction, &tenant, &open)?;
            let mut known = records(transaction, &tenant, session)?;
            for (who, member) in members(transaction, &tenant, &open.group)? {
                match known.remove(&who) {
                    Some(record) if record.says_something() => {
                        judged(transaction, &register, &open, (who, &member), record)?;
                    }
                    Some(record) => register.remove(transaction, who, &record)?,
                    None => {}
                }
            }
            audit::note(transaction, &author, "session.reopen", |it| {
                it.group(&open.group).session(open.id).changed(&closed, &open)
            })?;
            Ok(open)
        })
        .await
    }
}

/// Has the registers of a group's closed sessions follow a change of somebody's time on its roster: of those that are
/// theirs since or no longer, who had no record gets one, and who was absent or not on the roster, by the register
/// alone, is judged anew. All others stay as they are, of whatever place they tell.
pub(in crate::store) fn follow_roster(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
    who: Pseudonym,
    (before, after): (Option<&Member>, &Member),
) -> Result<()> {
    let Some(since) = after.differs_since(before) else { return Ok(()) };
    let by_roster = |record: &AttendanceRecord| {
        record.verdict.state == RecordState::NotSeen
            && matches!(record.verdict.status, Status::Absent | Status::NotOnRoster)
    };
    for session in sessions::stored_from(transaction, tenant, group, since)? {
        let is_theirs = after.holds(session.starts_at);
        let was_theirs = before.is_some_and(|before| before.holds(session.starts_at));
        if session.state != SessionState::Closed || is_theirs == was_theirs {
            continue;
        }
        let register = Register::of(transaction, tenant, &session)?;
        let case = register.case(transaction, who, Some(after))?;
        let (status, record) = match register.record(transaction, who)? {
            Some(mut record) if by_roster(&record) => {
                let status = record.verdict.status;
                record.judge(&case);
                (Some(status), record)
            }
            None if is_theirs => (None, register.blank(after.person.clone(), &case)),
            _ => continue,
        };
        if status != Some(record.verdict.status) {
            register.put(transaction, who, &record)?;
            let (before, after) =
                (status.map(|it| it.code().to_owned()), Some(record.verdict.status.code().to_owned()));
            let (group, person, date) = (session.group, record.person, session.date);
            transaction.tell(tenant, Occurrence::Corrected { group, person, record: record.id, date, before, after });
        }
    }
    Ok(())
}

/// Gives everybody of the register a record, and judges the records that there are anew: whether somebody left early
/// shows only in the last photo. Writes the session's sheet. Returns what counts of how many, and how many joined
/// later.
fn judge_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
) -> Result<(BTreeMap<Status, u64>, u64)> {
    let register = Register::of(transaction, tenant, session)?;
    let (mut sheet, mut joined_later) = (Vec::new(), 0);
    let mut known = records(transaction, tenant, session.id)?;
    for (who, member) in members(transaction, tenant, &session.group)? {
        let record = match known.remove(&who) {
            Some(record) => judged(transaction, &register, session, (who, &member), record)?,
            None if register.lists(&member) => {
                let record = register.blank(member.person.clone(), &register.case(transaction, who, Some(&member))?);
                put_beside_the_sheet(transaction, tenant, session, who, &record)?;
                record
            }
            None => continue,
        };
        let (tenure, since) = member.tenure(session.starts_at, session.ends_at);
        joined_later += u64::from(tenure == Tenure::Before && since <= session.closed_at);
        sheet.push((who, cell(&record)));
    }
    // Who left the roster before it kept that keeps what was known.
    sheet.extend(known.into_iter().map(|(who, record)| (who, cell(&record))));
    sheet.sort_unstable_by_key(|row| row.0);
    sheets::write(transaction, tenant, session.id, &sheet)?;
    let mut counts = BTreeMap::new();
    for (_, cell) in sheet {
        *counts.entry(cell.status).or_default() += 1;
    }
    Ok((counts, joined_later))
}

/// Judges the record of somebody anew who has this place on the roster, and writes it if that changes it.
fn judged(
    transaction: &mut Transaction<'_>,
    register: &Register,
    session: &GroupSession,
    (who, member): (Pseudonym, &Member),
    mut record: AttendanceRecord,
) -> Result<AttendanceRecord> {
    let before = record.verdict;
    record.judge(&register.case(transaction, who, Some(member))?);
    if record.verdict != before {
        put_beside_the_sheet(transaction, register.tenant(), session, who, &record)?;
    }
    Ok(record)
}
