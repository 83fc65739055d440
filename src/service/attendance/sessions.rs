//! Sessions of groups: planned, found, changed, opened, closed and opened again.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        Group, GroupId, GroupSession, GroupSessionId, SessionOrigin, SessionState, Status, TenantScope,
        attendance::{
            record::checked_note,
            session::{Reopening, Step, is_closed},
            timetable::{blank, checked_sources, instants},
        },
        ids::checked_name,
        wall,
    },
    error::{Error, Result},
    service::attendance::Service,
    store::{Closing, ClosingRules},
};

/// The longest stretch of a list of sessions, in days.
const MAX_LISTED_DAYS: i32 = 366;

/// A session of a group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its identity, also before anything happened to it.
    pub id: GroupSessionId,
    /// Whose.
    pub group: GroupId,
    /// What it is about.
    pub title: Option<String>,
    /// Its local date, to which its marks belong.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Timestamp,
    /// Why there is one.
    pub origin: SessionOrigin,
    /// Where it stands.
    pub state: SessionState,
    /// When it was closed last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    /// When and why it was opened again, oldest first.
    pub reopenings: Vec<Reopening>,
    /// The sources that it waits for before absences are declared.
    pub expected: Vec<String>,
    /// Those that have not reported.
    pub missing: Vec<String>,
}

impl From<GroupSession> for SessionView {
    fn from(session: GroupSession) -> Self {
        let missing = session.missing_sources().map(str::to_owned).collect();
        let GroupSession { id, group, title, date, starts_at, ends_at, origin, state, .. } = session;
        let GroupSession { closed_at, reopenings, expected, .. } = session;
        Self { id, group, title, date, starts_at, ends_at, origin, state, closed_at, reopenings, expected, missing }
    }
}

/// Sessions of a group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// By start.
    pub sessions: Vec<SessionView>,
}

/// What a session beside the timetable takes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// What it is about, 1–200 characters.
    pub title: Option<String>,
    /// The local date on which it starts.
    #[schema(value_type = String, format = Date)]
    #[serde(deserialize_with = "wall::date")]
    pub date: Date,
    /// When it starts, local time, HH:MM.
    #[schema(value_type = String, example = "08:00")]
    #[serde(deserialize_with = "wall::start")]
    pub start: Time,
    /// When it ends, local time, 24:00 for midnight; on the next day if it is not after the start.
    #[schema(value_type = String, example = "09:30")]
    #[serde(deserialize_with = "wall::end")]
    pub end: Time,
    /// The sources that it waits for before absences are declared.
    #[serde(default)]
    pub expected: Vec<String>,
}

/// What can be changed of a session that is not closed; what is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionPatch {
    /// What it is about, 1–200 characters.
    pub title: Option<String>,
    /// The local date on which it starts.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    pub date: Option<Date>,
    /// When it starts, local time, HH:MM.
    #[schema(value_type = Option<String>, example = "08:00")]
    #[serde(deserialize_with = "wall::start_opt", default)]
    pub start: Option<Time>,
    /// When it ends, local time, 24:00 for midnight; on the next day if it is not after the start.
    #[schema(value_type = Option<String>, example = "09:30")]
    #[serde(deserialize_with = "wall::end_opt", default)]
    pub end: Option<Time>,
    /// The sources that it waits for before absences are declared.
    pub expected: Option<Vec<String>>,
}

/// How a session is closed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseParams {
    /// Whether absences are declared although expected sources have not reported, or before the session begins; false if
    /// missing.
    #[serde(default)]
    pub force: bool,
    /// Whether those are absent as well who joined the group after the session's beginning and were not seen; false if
    /// missing: they are `not_on_roster`.
    #[serde(default)]
    pub count_joined_later: bool,
}

/// Why a session is opened again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReopenParams {
    /// 1–500 characters.
    pub reason: String,
}

/// What became of an attempt to close a session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClosingView {
    /// The session: closed, or as it was where `missing` names sources and it was not forced.
    pub session: SessionView,
    /// People by what counts; empty unless it is closed.
    pub counts: Vec<StatusCount>,
    /// How many of them joined the group after the session's beginning; they count with `count_joined_later`.
    pub joined_later: u64,
}

/// So many people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusCount {
    /// What counts.
    pub status: Status,
    /// Of how many.
    pub people: u64,
}

impl From<Closing> for ClosingView {
    fn from(closing: Closing) -> Self {
        let Closing { session, counts, joined_later } = closing;
        let counts = counts.into_iter().map(|(status, people)| StatusCount { status, people }).collect();
        Self { session: session.into(), counts, joined_later }
    }
}

impl Service {
    /// Plans a session beside the timetable.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`; `Invalid` `invalid_name`, `invalid_source`, `invalid_times`; `Conflict`
    /// `too_many_sessions`.
    pub async fn create_session(&self, scope: &TenantScope, group: &GroupId, new: NewSession) -> Result<SessionView> {
        let group = self.store.group(scope, group).await?;
        let times = times(&group, new.date, new.start, new.end)?;
        let session = GroupSession {
            title: new.title.as_deref().map(checked_name).transpose()?,
            expected: checked_sources(new.expected)?,
            time_zone: Some(group.time_zone),
            ..blank(group.id, new.date, times, SessionOrigin::Single)
        };
        Ok(self.store.create_group_session(scope, session.checked()?).await?.into())
    }

    /// The sessions of a group on local dates from `from` until `until`: of one the week that it begins or ends, of
    /// neither the week that begins today.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`; `Invalid` `invalid_range`.
    pub async fn sessions(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        from: Option<Date>,
        until: Option<Date>,
    ) -> Result<SessionList> {
        let (from, until) = match (from, until) {
            (Some(from), Some(until)) => (from, until),
            (None, Some(until)) => (until.saturating_sub(6.days()), until),
            (from, None) => {
                let today = self.store.group(scope, group).await?.local_date(self.clock.now())?;
                let from = from.unwrap_or(today);
                (from, from.saturating_add(6.days()))
            }
        };
        if !(0..MAX_LISTED_DAYS).contains(&(until - from).get_days()) {
            let message = format!("until is from or a day after it, {MAX_LISTED_DAYS} days in all at most");
            return Err(Error::invalid(message).with_code("invalid_range"));
        }
        let sessions = self.store.group_sessions(scope, group, from, until).await?;
        Ok(SessionList { sessions: sessions.into_iter().map(Into::into).collect() })
    }

    /// The session to which a mark of a group at `at`, or now, belongs.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`; `Conflict` `no_session`.
    pub async fn current_session(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        at: Option<Timestamp>,
    ) -> Result<SessionView> {
        Ok(self.store.session_at(scope, group, at.unwrap_or_else(|| self.clock.now())).await?.into())
    }

    /// A session.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`.
    pub async fn session(&self, scope: &TenantScope, session: GroupSessionId) -> Result<SessionView> {
        Ok(self.store.group_session(scope, session).await?.into())
    }

    /// The group of a session, to see whether a caller may reach it.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`.
    pub async fn group_of_session(&self, scope: &TenantScope, session: GroupSessionId) -> Result<GroupId> {
        Ok(self.store.group_session(scope, session).await?.group)
    }

    /// Changes a session that is not closed.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`; `Invalid` `invalid_name`, `invalid_source`, `invalid_times`; `Conflict`
    /// `session_closed`, `too_many_sessions`.
    pub async fn update_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        patch: SessionPatch,
    ) -> Result<SessionView> {
        let title = patch.title.as_deref().map(checked_name).transpose()?;
        let expected = patch.expected.map(checked_sources).transpose()?;
        let group = self.group_of_session(scope, session).await?;
        let group = self.store.group(scope, &group).await?;
        let (date, start, end) = (patch.date, patch.start, patch.end);
        let change = move |mut session: GroupSession| {
            if session.state == SessionState::Closed {
                return Err(is_closed());
            }
            if date.is_some() || start.is_some() || end.is_some() {
                let (was_start, was_end) = (group.local_time(session.starts_at)?, group.local_time(session.ends_at)?);
                session.date = date.unwrap_or(session.date);
                let times = times(&group, session.date, start.unwrap_or(was_start), end.unwrap_or(was_end))?;
                (session.starts_at, session.ends_at) = times;
                session.time_zone = Some(group.time_zone.clone());
            }
            session.title = title.clone().or(session.title);
            session.expected = expected.clone().unwrap_or(session.expected);
            session.checked()
        };
        Ok(self.store.change_group_session(scope, session, change).await?.into())
    }

    /// Opens a session, cancels it, or takes that back.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`; `Conflict` `session_closed`, `session_cancelled`, `session_open`.
    pub async fn step_session(&self, scope: &TenantScope, session: GroupSessionId, step: Step) -> Result<SessionView> {
        let now = self.clock.now();
        let change = move |session: GroupSession| session.after(step.clone(), now);
        Ok(self.store.change_group_session(scope, session, change).await?.into())
    }

    /// Closes a session and declares absences, unless an expected source has not reported and it is not forced.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`; `Conflict` `session_closed`, `session_cancelled`, `session_not_begun`.
    pub async fn close_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        params: &CloseParams,
    ) -> Result<ClosingView> {
        let &CloseParams { force: is_forced, count_joined_later: counts_joined_later } = params;
        let rules = ClosingRules { is_forced, counts_joined_later };
        Ok(self.store.close_group_session(scope, session, rules, self.clock.now()).await?.into())
    }

    /// Opens a closed session again; absences are not declared any more.
    ///
    /// # Errors
    /// `NotFound` `session_not_found`; `Invalid` `invalid_reason`; `Conflict` `session_not_closed`,
    /// `session_cancelled`.
    pub async fn reopen_session(
        &self,
        scope: &TenantScope,
        session: GroupSessionId,
        params: &ReopenParams,
    ) -> Result<SessionView> {
        let reason = checked_note(&params.reason)?;
        Ok(self.store.reopen_group_session(scope, session, reason, self.clock.now()).await?.into())
    }
}

fn times(group: &Group, date: Date, start: Time, end: Time) -> Result<(Timestamp, Timestamp)> {
    instants(&group.time_zone, date, start, end)
}
