//! Sessions of groups. One that a timetable plans is stored once something happens to it; until then it is made anew
//! from the timetable whenever somebody asks, always under the same id.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::json;

use super::timetables::{group_of_tag, holidays, timetable};
use crate::{
    domain::{
        Group, GroupId, GroupSession, GroupSessionId, Occurrence, SessionOrigin, SessionState, TenantId, TenantScope,
        attendance::{session::Reopening, timetable::day_session},
        ids::PlannedId,
    },
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        access::audit,
        codec::{Older, OlderBody},
        engine::Read,
        group_not_found, keys,
        transaction::Transaction,
    },
};

/// The most sessions of a group on one local date.
const MAX_A_DAY: usize = 100;
/// How far ahead the next session is looked for, in days.
const SOON_DAYS: i32 = 28;

impl Older for GroupSession {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let old: SessionV1 = body.read()?;
        let SessionV1 { id, group, title, date, starts_at, ends_at, origin, state, last_photo, .. } = old;
        let SessionV1 { closed_at, reopenings, expected, reported, .. } = old;
        let (time_zone, counts_joined_later, has_more_faces) = (None, false, false);
        Ok(Self {
            id,
            group,
            title,
            date,
            starts_at,
            ends_at,
            origin,
            state,
            last_photo,
            closed_at,
            reopenings,
            expected,
            reported,
            time_zone,
            counts_joined_later,
            has_more_faces,
        })
    }
}

/// Before sessions kept the clock by which they were planned.
#[derive(Deserialize)]
struct SessionV1 {
    id: GroupSessionId,
    group: GroupId,
    title: Option<String>,
    date: Date,
    starts_at: Timestamp,
    ends_at: Timestamp,
    origin: SessionOrigin,
    state: SessionState,
    last_photo: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    reopenings: Vec<Reopening>,
    expected: Vec<String>,
    reported: Vec<String>,
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
            Ok(session.clone())
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
            self::at(view, &tenant, &group, at)
        })
        .await
    }

    /// Changes a session, which is stored then, and returns it. Errors: `NotFound` `session_not_found`, `Conflict`
    /// `too_many_sessions`, those of `change`.
    pub async fn change_group_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        change: impl Fn(GroupSession) -> Result<GroupSession> + Send + 'static,
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

/// See [`Store::session_at`].
pub(in crate::store) fn at(read: &impl Read, tenant: &TenantId, group: &Group, at: Timestamp) -> Result<GroupSession> {
    let today = group.local_date(at)?;
    // A session lasts a day, and its window reaches a day further.
    let (from, until) = (today.saturating_sub(3.days()), today.saturating_add(3.days()));
    let mut planned = between(read, tenant, group, from, until)?;
    planned.retain(|session| session.origin != SessionOrigin::Day && session.state != SessionState::Cancelled);
    let has_plan = planned.iter().any(|session| session.date == today)
        || timetable(read, tenant, &group.id)?.is_some_and(|timetable| !timetable.entries.is_empty());
    planned.retain(|session| group.rules.window(&session.meeting(false)).holds(at));
    if let Some(current) = planned.pop() {
        return Ok(current);
    }
    if has_plan {
        return Err(no_session(group, at, next(read, tenant, group, at, today)?.as_ref())?);
    }
    let day = day_session(&group.id, &group.time_zone, today)?;
    Ok(find(read, tenant, day.id)?.unwrap_or(day))
}

/// The session that begins next after `at`, of those that take place soon.
fn next(
    read: &impl Read,
    tenant: &TenantId,
    group: &Group,
    at: Timestamp,
    today: Date,
) -> Result<Option<GroupSession>> {
    let mut soon = between(read, tenant, group, today, today.saturating_add(SOON_DAYS.days()))?.into_iter();
    Ok(soon.find(|it| it.starts_at > at && it.origin != SessionOrigin::Day && it.state != SessionState::Cancelled))
}

/// Says by the group's own clock when it was, as a photo's clock may be wrong, and when the next lesson is.
fn no_session(group: &Group, at: Timestamp, next: Option<&GroupSession>) -> Result<Error> {
    let coming = match next {
        Some(next) => format!("the next begins {}", group.shown(next.starts_at)?),
        None => format!("none is planned for the next {SOON_DAYS} days"),
    };
    let message = format!(
        "the group has no session at {}; {coming}: name a session, plan one, or send mark=false",
        group.shown(at)?
    );
    let next = next.map(|next| json!({ "session": next.id, "starts_at": next.starts_at }));
    let details = json!({ "at": at, "next": next });
    Ok(Error::new(ErrorKind::Conflict, message).with_code("no_session").with_details(details))
}

pub(in crate::store) fn require(read: &impl Read, tenant: &TenantId, session: GroupSessionId) -> Result<GroupSession> {
    find(read, tenant, session)?
        .ok_or_else(|| Error::not_found("there is no such session").with_code("session_not_found"))
}

/// A session, stored or planned.
pub(in crate::store) fn find(
    read: &impl Read,
    tenant: &TenantId,
    session: GroupSessionId,
) -> Result<Option<GroupSession>> {
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
pub(in crate::store) fn stored_between(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    from: Date,
    until: Date,
) -> Result<Vec<GroupSession>> {
    let (prefix, first) = (keys::agenda_of(tenant, group), keys::agenda_on(tenant, group, from));
    let mut sessions = Vec::new();
    for id in read.scan::<GroupSessionId>(&prefix, Some(&first)) {
        let session: GroupSession =
            read.get(&keys::group_session(tenant, id?))?.ok_or_else(crate::store::codec::damaged)?;
        if session.date > until {
            break;
        }
        sessions.push(session);
    }
    Ok(sessions)
}

/// The stored sessions of a group that start at `since` or later.
pub(in crate::store) fn stored_from(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    since: Timestamp,
) -> Result<Vec<GroupSession>> {
    // No clock is more than a day from the world's.
    let day = since.to_zoned(TimeZone::UTC).date();
    let mut sessions = stored_between(read, tenant, group, day.yesterday().unwrap_or(day), Date::MAX)?;
    sessions.retain(|session| session.starts_at >= since);
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

/// After a group has moved from `old_zone` to another time zone: its sessions keep the clock by which they were planned,
/// but the days that nobody planned and that are not closed reach to the ends of their date there. They stay as long as
/// they were before, too: what was seen in them is not outside.
pub(in crate::store) fn move_along(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &Group,
    old_zone: &str,
) -> Result<()> {
    for before in all_of(transaction, tenant, &group.id)? {
        let mut after = before.clone();
        after.time_zone.get_or_insert_with(|| old_zone.to_owned());
        if after.origin == SessionOrigin::Day && after.state != SessionState::Closed {
            let there = day_session(&group.id, &group.time_zone, after.date)?;
            if there.starts_at < after.starts_at {
                (after.starts_at, after.time_zone) = (there.starts_at, there.time_zone);
            }
            after.ends_at = after.ends_at.max(there.ends_at);
        }
        if after != before {
            put(transaction, tenant, Some(&before), &after)?;
        }
    }
    Ok(())
}

/// Stores a session that was `before`, if it was stored. Errors: `NotFound` `group_not_found`, `Conflict`
/// `too_many_sessions`.
pub(in crate::store) fn put(
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
pub(in crate::store) fn all_of(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<Vec<GroupSession>> {
    stored_between(read, tenant, group, Date::MIN, Date::MAX)
}

pub(in crate::store) fn remove(transaction: &mut Transaction<'_>, tenant: &TenantId, session: &GroupSession) {
    transaction.remove(keys::agenda(tenant, &session.group, session.date, session.id));
    transaction.remove(keys::group_session(tenant, session.id));
}
