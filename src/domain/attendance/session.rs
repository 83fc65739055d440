//! One meeting of a group, and how it goes on: planned → open → closed, and open again with a reason.
//!
//! The code calls it a group's session, because a login is a session too.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    group::{Group, zone},
    rules::{meeting::Meeting, sighting::TimeTrust},
};
use crate::ids::{GroupId, GroupSessionId};
use crate::people::words::composed;
use error::{Error, ErrorKind, Result};

/// The longest session.
const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(24);
/// The longest reason or note, in Unicode scalar values.
pub const MAX_NOTE_CHARS: usize = 500;
/// Reopenings that a session keeps, the last ones.
const MAX_REOPENINGS: usize = 20;

/// A session of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSession {
    /// Its identity.
    pub id: GroupSessionId,
    /// Whose.
    pub group: GroupId,
    /// What it is about, 1–200 characters.
    pub title: Option<String>,
    /// Its local date, to which its marks belong: where the group was when it was planned, the day on which it starts.
    pub date: Date,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends; after the start.
    pub ends_at: Timestamp,
    /// Why there is one.
    pub origin: SessionOrigin,
    /// Where it stands.
    pub state: SessionState,
    /// When the last of its photos was taken, of those whose time is trusted.
    pub last_photo: Option<Timestamp>,
    /// When it was closed last.
    pub closed_at: Option<Timestamp>,
    /// When and why it was opened again, oldest first.
    pub reopenings: Vec<Reopening>,
    /// What it waits for before absences are declared.
    pub expected: Vec<String>,
    /// What has reported, of those.
    pub reported: Vec<String>,
    /// Where the group was when it was planned, by the IANA name; none where that was not kept: where it has been ever
    /// since.
    pub time_zone: Option<String>,
    /// Whether it was closed such that those count as well who joined the group after its start.
    pub counts_joined_later: bool,
    /// Whether faces that nobody was named for were not kept, as it had so many already.
    pub has_more_faces: bool,
}

/// Why there is a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionOrigin {
    /// Its group's timetable.
    Timetable,
    /// Somebody planned it.
    Single,
    /// Somebody was marked on that local day in a group without a timetable.
    Day,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Nobody has been marked.
    Planned,
    /// Marks are taken.
    Open,
    /// Absences are declared; only corrections by hand change it.
    Closed,
    /// It does not take place.
    Cancelled,
}

/// A closed session that was opened again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reopening {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What may be done with a session as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Marks are taken from now on; the first mark does it too.
    Open,
    /// Absences are declared.
    Close,
    /// It is closed, and shall take marks again.
    Reopen {
        /// Why.
        reason: String,
    },
    /// It does not take place.
    Cancel,
    /// It takes place after all.
    Restore,
}

impl GroupSession {
    /// Checks its times. Errors: `Invalid` `invalid_times`.
    pub fn checked(self) -> Result<Self> {
        let length = self.ends_at.duration_since(self.starts_at);
        if length <= SignedDuration::ZERO || length > MAX_LENGTH {
            let message = "a session ends after it starts, within 24 hours";
            return Err(Error::invalid(message).with_code("invalid_times"));
        }
        Ok(self)
    }

    /// The session as the rules see it.
    pub fn meeting(&self, is_holiday: bool) -> Meeting {
        Meeting {
            start: self.starts_at,
            end: self.ends_at,
            is_planned: self.origin != SessionOrigin::Day,
            last_photo: self.last_photo,
            // Whoever planned it by hand knows what day it is.
            is_holiday: is_holiday && self.origin != SessionOrigin::Single,
            declares_absence: self.state == SessionState::Closed,
        }
    }

    /// Its start on the clocks of `group` as they were when it was planned.
    pub fn local_start(&self, group: &Group) -> Result<DateTime> {
        let zone = zone(self.time_zone.as_deref().unwrap_or(&group.time_zone))?;
        Ok(self.starts_at.to_zoned(zone).datetime())
    }

    /// Errors: `Conflict` `session_not_begun` for what is closed before its start.
    pub fn require_begun(&self, now: Timestamp) -> Result<()> {
        if now < self.starts_at {
            let message = "this session has not begun: nobody could be there yet; say force to close it all the same";
            return Err(conflict("session_not_begun", message));
        }
        Ok(())
    }

    /// The session after `step` at `now`. Errors: `Conflict` `session_closed`, `session_cancelled`, `session_open` or
    /// `session_not_closed`.
    pub fn after(mut self, step: Step, now: Timestamp) -> Result<Self> {
        use SessionState::{Cancelled, Closed, Open, Planned};
        self.state = match (self.state, step) {
            (Planned | Open, Step::Open) => Open,
            (Planned | Open, Step::Close) => {
                self.closed_at = Some(now);
                Closed
            }
            (Closed, Step::Reopen { reason }) => {
                self.counts_joined_later = false;
                self.reopenings.push(Reopening { at: now, reason });
                let surplus = self.reopenings.len().saturating_sub(MAX_REOPENINGS);
                self.reopenings.drain(..surplus);
                Open
            }
            (Planned | Cancelled, Step::Cancel) => Cancelled,
            (Planned | Cancelled, Step::Restore) => Planned,
            (Closed, Step::Open | Step::Close | Step::Cancel | Step::Restore) => return Err(is_closed()),
            (Cancelled, Step::Open | Step::Close | Step::Reopen { .. }) => {
                return Err(conflict("session_cancelled", "this session is cancelled"));
            }
            (Planned | Open, Step::Reopen { .. }) => {
                return Err(conflict("session_not_closed", "only a closed session is opened again"));
            }
            (Open, Step::Cancel | Step::Restore) => {
                return Err(conflict("session_open", "this session has begun: close it"));
            }
        };
        Ok(self)
    }

    /// Notes a photo of `source` that was taken at `at`. A doubted time is not the last photo's: whoever is not in it would
    /// have left early.
    pub fn note_photo(&mut self, at: Timestamp, time: TimeTrust, source: Option<&str>) {
        if time != TimeTrust::Doubted {
            self.last_photo = self.last_photo.max(Some(at));
        }
        if let Some(source) = source.filter(|source| has_source(&self.expected, source))
            && !has_source(&self.reported, source)
        {
            self.reported.push(source.to_owned());
        }
    }

    /// The sources that it waits for.
    pub fn missing_sources(&self) -> impl Iterator<Item = &str> {
        self.expected.iter().filter(|source| !has_source(&self.reported, source)).map(String::as_str)
    }
}

/// Whether one of the sources is this one, in whichever form of Unicode another system writes it.
fn has_source(sources: &[String], source: &str) -> bool {
    sources.iter().any(|one| composed(one) == composed(source))
}

fn conflict(code: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message).with_code(code)
}

/// The error of who would change a closed session.
pub fn is_closed() -> Error {
    conflict("session_closed", "this session is closed: reopen it with a reason (POST …/reopen), or correct by hand")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(state: SessionState) -> GroupSession {
        GroupSession {
            id: GroupSessionId::generate(),
            group: "g".parse().unwrap(),
            title: None,
            date: jiff::civil::date(2026, 3, 2),
            starts_at: "2026-03-02T08:00:00Z".parse().unwrap(),
            ends_at: "2026-03-02T09:00:00Z".parse().unwrap(),
            origin: SessionOrigin::Single,
            state,
            last_photo: None,
            closed_at: None,
            reopenings: Vec::new(),
            expected: vec!["camera".into(), "teacher".into()],
            reported: vec!["teacher".into()],
            time_zone: None,
            counts_joined_later: false,
            has_more_faces: false,
        }
    }

    #[test]
    fn the_table_of_steps() {
        use SessionState::{Cancelled, Closed, Open, Planned};
        let steps =
            [Step::Open, Step::Close, Step::Reopen { reason: "late photos".into() }, Step::Cancel, Step::Restore];
        let table = [
            (Planned, [Ok(Open), Ok(Closed), Err("session_not_closed"), Ok(Cancelled), Ok(Planned)]),
            (Open, [Ok(Open), Ok(Closed), Err("session_not_closed"), Err("session_open"), Err("session_open")]),
            (
                Closed,
                [Err("session_closed"), Err("session_closed"), Ok(Open), Err("session_closed"), Err("session_closed")],
            ),
            (
                Cancelled,
                [
                    Err("session_cancelled"),
                    Err("session_cancelled"),
                    Err("session_cancelled"),
                    Ok(Cancelled),
                    Ok(Planned),
                ],
            ),
        ];
        for (state, outcomes) in table {
            for (step, expected) in steps.iter().zip(outcomes) {
                let outcome = session(state).after(step.clone(), Timestamp::UNIX_EPOCH);
                let outcome = outcome.as_ref().map(|session| session.state).map_err(Error::code);
                assert_eq!(outcome, expected, "{state:?} {step:?}");
            }
        }
        let closed = session(Open).after(Step::Close, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(closed.closed_at, Some(Timestamp::UNIX_EPOCH));
        let mut again = closed;
        for n in 0..30 {
            again.state = Closed;
            again = again.after(Step::Reopen { reason: n.to_string() }, Timestamp::UNIX_EPOCH).unwrap();
        }
        assert_eq!((again.reopenings.len(), again.reopenings[19].reason.as_str()), (20, "29"));
    }

    #[test]
    fn it_keeps_the_clock_by_which_it_was_planned_and_is_not_over_before_it_begins() {
        let group = Group { time_zone: "Asia/Tokyo".into(), ..crate::attendance::group::tests::group("UTC") };
        for (zone, start) in [(None, "2026-03-02T17:00:00"), (Some("Europe/Vienna"), "2026-03-02T09:00:00")] {
            let planned = GroupSession { time_zone: zone.map(Into::into), ..session(SessionState::Closed) };
            assert_eq!(planned.local_start(&group).unwrap().to_string(), start, "{zone:?}");
        }
        let planned = session(SessionState::Planned);
        assert!(planned.require_begun(planned.starts_at).is_ok());
        assert_eq!(planned.require_begun(Timestamp::UNIX_EPOCH).unwrap_err().code(), "session_not_begun");
    }

    #[test]
    fn it_waits_for_what_has_not_reported_and_lasts_a_day_at_most() {
        let one = session(SessionState::Open);
        assert_eq!(one.missing_sources().collect::<Vec<_>>(), ["camera"]);
        let mut seen = one.clone();
        for source in ["camera", "camera", "a stranger"] {
            seen.note_photo(one.starts_at, TimeTrust::Offline, Some(source));
        }
        assert_eq!((seen.missing_sources().count(), seen.reported.len()), (0, 2));
        let mut named = GroupSession { expected: vec!["entre\u{301}e".into()], ..one.clone() };
        named.note_photo(one.starts_at, TimeTrust::Offline, Some("entrée"));
        assert_eq!(named.missing_sources().count(), 0, "as another system writes it");
        seen.note_photo(Timestamp::UNIX_EPOCH, TimeTrust::Trusted, None);
        seen.note_photo(one.ends_at, TimeTrust::Doubted, None);
        assert_eq!(seen.last_photo, Some(one.starts_at));
        for (ends_at, fits) in
            [("2026-03-02T08:00:00Z", false), ("2026-03-03T08:00:00Z", true), ("2026-03-03T08:00:01Z", false)]
        {
            let session = GroupSession { ends_at: ends_at.parse().unwrap(), ..one.clone() };
            assert_eq!(session.checked().is_ok(), fits, "{ends_at}");
        }
    }
}
