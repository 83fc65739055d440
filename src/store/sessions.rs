//! Sessions of groups. One that a timetable plans is stored once something happens to it; until then it is made anew
//! from the timetable whenever somebody asks, always under the same id.

use jiff::{Timestamp, ToSpan, civil::Date};

use super::{
    Store, audit,
    codec::Record,
    db::Read,
    group_not_found, keys,
    timetables::{group_of_tag, holidays, timetable},
    transaction::Transaction,
};
use crate::{
    domain::{
        Group, GroupId, GroupSession, GroupSessionId, Occurrence, SessionOrigin, SessionState, TenantId, TenantScope,
        ids::PlannedId, timetable::day_session,
    },
    error::{Error, ErrorKind, Result},
};

/// The most sessions of a group on one local date.
const MAX_A_DAY: usize = 100;

impl Record for GroupSession {
    const KIND: u8 = 81;
}

/// The agenda's value.
impl Record for GroupSessionId {
    const KIND: u8 = 82;
}

impl Store {
    /// Plans a session. Errors: `NotFound` `group_not_found`, `Conflict` `too_many_sessions`.
    pub async fn create_group_session(&self, scope: &TenantScope, session: GroupSession) -> Result<GroupSession> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            put(transaction, &tenant, None, &session)?;
            audit::note(transaction, &author, "session.create", |it| {
                it.group(&session.group).session(session.id).after(&session)
            })?;
            Ok(session)
        })
        .await
    }

    /// A session, stored or planned. Errors: `NotFound` `session_not_found`.
    pub async fn group_session(&self, scope: &TenantScope, session: GroupSessionId) -> Result<GroupSession> {
        let tenant = scope.tenant().clone();
        self.read(move |view| require(view, &tenant, session)).await
    }

    /// The sessions of a group on local dates from `from` until `until`, both included, by start. Errors: `NotFound`
    /// `group_not_found`.
    pub async fn group_sessions(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        from: Date,
        until: Date,
    ) -> Result<Vec<GroupSession>> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            let group: Group = view.get(&keys::group(&tenant, &group))?.ok_or_else(group_not_found)?;
            between(view, &tenant, &group, from, until)
        })
        .await
    }

    /// The session of a group to which a mark at `at` belongs: of those whose window holds it the one that starts last;
    /// in a group without a timetable, on a day for which nobody planned one, that whole local day.
    ///
    /// Errors: `NotFound` `group_not_found`; `Conflict` `no_session` where none is planned for then.
    pub async fn session_at(&self, scope: &TenantScope, group: &GroupId, at: Timestamp) -> Result<GroupSession> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            let group: Group = view.get(&keys::group(&tenant, &group))?.ok_or_else(group_not_found)?;
            let today = group.local_date(at)?;
            // A session lasts a day, and its window reaches a day further.
            let (from, until) = (today.saturating_sub(3.days()), today.saturating_add(3.days()));
            let mut planned = between(view, &tenant, &group, from, until)?;
            planned.retain(|session| session.origin != SessionOrigin::Day && session.state != SessionState::Cancelled);
            let has_plan = planned.iter().any(|session| session.date == today)
                || timetable(view, &tenant, &group.id)?.is_some_and(|timetable| !timetable.entries.is_empty());
            planned.retain(|session| group.rules.window(&session.meeting(false)).holds(at));
            if let Some(current) = planned.pop() {
                return Ok(current);
            }
            if has_plan {
                let message = "the group has no session at this time: name one, plan one, or send mark=false";
                return Err(Error::new(ErrorKind::Conflict, message).with_code("no_session"));
            }
            let day = day_session(&group.id, &group.time_zone, today)?;
            Ok(find(view, &tenant, day.id)?.unwrap_or(day))
        })
        .await
    }

    /// Changes a session, which is stored then, and returns it. Errors: `NotFound` `session_not_found`, `Conflict`
    /// `too_many_sessions`, those of `change`.
    pub async fn change_group_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        change: impl FnOnce(GroupSession) -> Result<GroupSession> + Send + 'static,
    ) -> Result<GroupSession> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let before = require(transaction, &tenant, session)?;
            let after = change(before.clone())?;
            put(transaction, &tenant, Some(&before), &after)?;
            audit::note(transaction, &author, "session.update", |it| {
                it.group(&after.group).session(session).changed(&before, &after)
            })?;
            Ok(after)
        })
        .await
    }
}

pub(super) fn require(read: &impl Read, tenant: &TenantId, session: GroupSessionId) -> Result<GroupSession> {
    find(read, tenant, session)?
        .ok_or_else(|| Error::not_found("there is no such session").with_code("session_not_found"))
}

/// A session, stored or planned.
pub(super) fn find(read: &impl Read, tenant: &TenantId, session: GroupSessionId) -> Result<Option<GroupSession>> {
    if let Some(stored) = read.get(&keys::group_session(tenant, session))? {
        return Ok(Some(stored));
    }
    let Some(planned) = PlannedId::of(session) else { return Ok(None) };
    let Some(group) = group_of_tag(read, tenant, planned.tag)? else { return Ok(None) };
    let Some(group): Option<Group> = read.get(&keys::group(tenant, &group))? else { return Ok(None) };
    let sessions = planned_between(read, tenant, &group, planned.date, planned.date)?;
    Ok(sessions.into_iter().find(|one| one.id == session))
}

/// The sessions on local dates from `from` until `until`, both included, by start.
fn between(read: &impl Read, tenant: &TenantId, group: &Group, from: Date, until: Date) -> Result<Vec<GroupSession>> {
    let mut sessions = stored_between(read, tenant, &group.id, from, until)?;
    for planned in planned_between(read, tenant, group, from, until)? {
        // One that was moved to another date is not on its old one.
        if !read.has(&keys::group_session(tenant, planned.id))? {
            sessions.push(planned);
        }
    }
    sessions.sort_by_key(|session| (session.starts_at, session.id));
    Ok(sessions)
}

/// Those that are stored, by date.
pub(super) fn stored_between(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    from: Date,
    until: Date,
) -> Result<Vec<GroupSession>> {
    let (prefix, first) = (keys::agenda_of(tenant, group), keys::agenda_on(tenant, group, from));
    let mut sessions = Vec::new();
    for id in read.scan::<GroupSessionId>(&prefix, Some(&first)) {
        let session: GroupSession = read.get(&keys::group_session(tenant, id?))?.ok_or_else(super::codec::damaged)?;
        if session.date > until {
            break;
        }
        sessions.push(session);
    }
    Ok(sessions)
}

fn planned_between(
    read: &impl Read,
    tenant: &TenantId,
    group: &Group,
    from: Date,
    until: Date,
) -> Result<Vec<GroupSession>> {
    match timetable(read, tenant, &group.id)? {
        Some(timetable) => timetable.sessions(&group.time_zone, &holidays(read, tenant)?, from, until),
        None => Ok(Vec::new()),
    }
}

/// After a group has moved to another time zone: the days that nobody planned and that are not closed reach to the
/// ends of their date there. They stay as long as they were before, too: what was seen in them is not outside.
pub(super) fn widen_days(transaction: &mut Transaction<'_>, tenant: &TenantId, group: &Group) -> Result<()> {
    let is_open_day =
        |session: &GroupSession| session.origin == SessionOrigin::Day && session.state != SessionState::Closed;
    let mut days = all_of(transaction, tenant, &group.id)?;
    days.retain(is_open_day);
    for before in days {
        let there = day_session(&group.id, &group.time_zone, before.date)?;
        let wider = GroupSession {
            starts_at: before.starts_at.min(there.starts_at),
            ends_at: before.ends_at.max(there.ends_at),
            ..before.clone()
        };
        put(transaction, tenant, Some(&before), &wider)?;
    }
    Ok(())
}

/// Stores a session that was `before`, if it was stored. Errors: `NotFound` `group_not_found`, `Conflict`
/// `too_many_sessions`.
pub(super) fn put(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    before: Option<&GroupSession>,
    session: &GroupSession,
) -> Result<()> {
    super::groups::require_group(transaction, tenant, &session.group)?;
    let agenda = |session: &GroupSession| keys::agenda(tenant, &session.group, session.date, session.id);
    if let Some(before) = before.filter(|before| before.date != session.date) {
        transaction.remove(agenda(before));
    }
    let place = agenda(session);
    if !transaction.has(&place)? {
        let that_day = keys::agenda_on(tenant, &session.group, session.date);
        if transaction.scan_keys(&that_day).take(MAX_A_DAY).count() == MAX_A_DAY {
            let message = format!("a group has at most {MAX_A_DAY} sessions a day");
            return Err(Error::new(ErrorKind::Conflict, message).with_code("too_many_sessions"));
        }
        transaction.put(place, &session.id)?;
    }
    if before.map(|before| before.state) != Some(session.state) {
        let (group, id, date) = (session.group.clone(), session.id.to_string(), session.date);
        match session.state {
            // Nobody opened it: the first mark of the day did, which is told.
            SessionState::Open if session.origin == SessionOrigin::Day => {}
            SessionState::Open => transaction.tell(tenant, Occurrence::SessionOpened { group, session: id, date }),
            SessionState::Closed => transaction.tell(tenant, Occurrence::SessionClosed { group, session: id, date }),
            SessionState::Planned | SessionState::Cancelled => {}
        }
    }
    transaction.put(keys::group_session(tenant, session.id), session)
}

/// All stored sessions of a group.
pub(super) fn all_of(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<Vec<GroupSession>> {
    stored_between(read, tenant, group, Date::MIN, Date::MAX)
}

pub(super) fn remove(transaction: &mut Transaction<'_>, tenant: &TenantId, session: &GroupSession) {
    transaction.remove(keys::agenda(tenant, &session.group, session.date, session.id));
    transaction.remove(keys::group_session(tenant, session.id));
}
