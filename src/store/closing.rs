//! Closing a session, which declares absences, and opening it again, which takes them back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::{
    Store, audit,
    groups::members,
    register::{Register, cell, put_beside_the_sheet, records},
    sessions, sheets,
    transaction::Transaction,
};
use crate::{
    domain::{
        AttendanceRecord, GroupSession, GroupSessionId, Pseudonym, Status, TenantId, TenantScope, group::Member,
        session::Step,
    },
    error::Result,
};

/// What became of an attempt to close a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Closing {
    /// The session: closed, unless something is missing.
    pub session: GroupSession,
    /// People on its register, by what counts; empty unless it is closed.
    pub counts: BTreeMap<Status, u64>,
}

impl Store {
    /// Closes a session: everybody on the roster has a record from then on, and who was not seen is absent. While an
    /// expected source has not reported, nothing happens, unless it is forced.
    ///
    /// Errors: `NotFound` `session_not_found`; `Conflict` `session_closed` or `session_cancelled`.
    pub async fn close_group_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        is_forced: bool,
        now: Timestamp,
    ) -> Result<Closing> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let open = sessions::require(transaction, &tenant, session)?;
            let closed = open.clone().after(Step::Close, now)?;
            if !is_forced && open.missing_sources().next().is_some() {
                return Ok(Closing { session: open, counts: BTreeMap::new() });
            }
            sessions::put(transaction, &tenant, Some(&open), &closed)?;
            let counts = judge_all(transaction, &tenant, &closed)?;
            let told = json!({ "counts": &counts, "is_forced": is_forced });
            audit::note(transaction, &author, "session.close", |it| {
                it.group(&closed.group).session(closed.id).after(&told)
            })?;
            Ok(Closing { session: closed, counts })
        })
        .await
    }

    /// Opens a closed session again: nobody on the roster is absent by it any more. Who has left the roster keeps what was
    /// known. Errors: `NotFound` `session_not_found`; `Conflict` `session_not_closed` or `session_cancelled`.
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
            let open = closed.clone().after(Step::Reopen { reason }, now)?;
            sessions::put(transaction, &tenant, Some(&closed), &open)?;
            sheets::remove(transaction, &tenant, session)?;
            let register = Register::of(transaction, &tenant, &open)?;
            let mut known = records(transaction, &tenant, session)?;
            for (who, Member { joined_at, .. }) in members(transaction, &tenant, &open.group)? {
                match known.remove(&who) {
                    Some(record) if record.says_something() => {
                        judged(transaction, &register, &open, (who, joined_at), record)?;
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

/// Gives everybody on the roster a record, and judges the records that there are anew: whether somebody left early shows
/// only in the last photo. Writes the session's sheet.
fn judge_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    session: &GroupSession,
) -> Result<BTreeMap<Status, u64>> {
    let register = Register::of(transaction, tenant, session)?;
    let mut sheet = Vec::new();
    let mut known = records(transaction, tenant, session.id)?;
    for (who, Member { person, joined_at }) in members(transaction, tenant, &session.group)? {
        let record = if let Some(record) = known.remove(&who) {
            judged(transaction, &register, session, (who, joined_at), record)?
        } else {
            let record = register.blank(person, &register.case(transaction, who, Some(joined_at))?);
            put_beside_the_sheet(transaction, tenant, session, who, &record)?;
            record
        };
        sheet.push((who, cell(&record)));
    }
    // Who has left the roster keeps what was known.
    sheet.extend(known.into_iter().map(|(who, record)| (who, cell(&record))));
    sheet.sort_unstable_by_key(|row| row.0);
    sheets::write(transaction, tenant, session.id, &sheet)?;
    let mut counts = BTreeMap::new();
    for (_, cell) in sheet {
        *counts.entry(cell.status).or_default() += 1;
    }
    Ok(counts)
}

/// Judges the record of somebody anew who came onto the roster at `joined_at`, and writes it if that changes it.
fn judged(
    transaction: &mut Transaction<'_>,
    register: &Register,
    session: &GroupSession,
    (who, joined_at): (Pseudonym, Timestamp),
    mut record: AttendanceRecord,
) -> Result<AttendanceRecord> {
    let before = record.verdict;
    record.judge(&register.case(transaction, who, Some(joined_at))?);
    if record.verdict != before {
        put_beside_the_sheet(transaction, register.tenant(), session, who, &record)?;
    }
    Ok(record)
}
