//! When a group meets: weekly entries and holidays, expanded into sessions.
//!
//! An entry is given in local time. A time that the clocks skip counts as much later as they are put forward, one that
//! they show twice as the first of the two. An end that is not after the start lies on the next day; where a change of
//! the clocks leaves an end that is not after its start, the session is as long as on other days.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{self, Date, DateTime, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    group::zone,
    session::{GroupSession, SessionOrigin, SessionState},
};
use crate::{
    ids::{GroupId, PlannedId, TimetableTag, checked_name},
    wall,
};
use error::{Error, Result};

/// The most entries.
const MAX_ENTRIES: usize = 200;
/// The most holidays.
const MAX_HOLIDAYS: usize = 400;
/// The most sources that an entry expects.
const MAX_SOURCES: usize = 20;
/// No session is older. Years before 0 are no dates of RFC 3339, those before 1900 none of workbooks.
const FIRST: Date = civil::date(1900, 1, 1);

/// A group's week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    /// Whose.
    pub group: GroupId,
    /// In the ids of its sessions.
    pub tag: TimetableTag,
    /// Its entries, by number.
    pub entries: Vec<Entry>,
    /// The number of the next new entry: numbers are not given twice.
    pub next: u16,
    /// Days of the group's own on which it does not meet.
    pub holidays: Vec<Holiday>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// The day of the week of a date.
    pub fn of(date: Date) -> Self {
        match date.weekday() {
            civil::Weekday::Monday => Self::Monday,
            civil::Weekday::Tuesday => Self::Tuesday,
            civil::Weekday::Wednesday => Self::Wednesday,
            civil::Weekday::Thursday => Self::Thursday,
            civil::Weekday::Friday => Self::Friday,
            civil::Weekday::Saturday => Self::Saturday,
            civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

/// One weekly meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Tells the entries of a timetable apart, from 1.
    pub number: u16,
    /// What it is about.
    pub title: Option<String>,
    /// The day on which it starts.
    pub weekday: Weekday,
    /// When it starts, local time.
    pub start: Time,
    /// When it ends, local time; on the next day if it is not after the start.
    pub end: Time,
    /// The first date.
    pub from: Option<Date>,
    /// The last date.
    pub until: Option<Date>,
    /// What its sessions wait for before absences are declared.
    pub expected: Vec<String>,
}

/// Days on which nobody meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Holiday {
    /// The first day.
    #[schema(value_type = String, format = Date)]
    #[serde(deserialize_with = "wall::date")]
    pub from: Date,
    /// The last day; `from` if missing.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    pub until: Option<Date>,
    /// What is celebrated, 1–200 characters.
    pub name: String,
}

impl Holiday {
    /// Whether `date` is one of its days.
    pub fn holds(&self, date: Date) -> bool {
        self.from <= date && date <= self.until.unwrap_or(self.from)
    }
}

/// Checks holidays. Errors: `Invalid` `invalid_holiday` or `invalid_name`.
pub fn checked_holidays(holidays: Vec<Holiday>) -> Result<Vec<Holiday>> {
    let invalid = |message| Err(Error::invalid(message).with_code("invalid_holiday"));
    if holidays.len() > MAX_HOLIDAYS {
        return invalid("there are at most 400 holidays");
    }
    if holidays.iter().any(|holiday| holiday.until.is_some_and(|until| until < holiday.from)) {
        return invalid("a holiday ends before it begins");
    }
    if holidays.iter().any(|holiday| holiday.from < FIRST) {
        return invalid("a holiday begins before 1900");
    }
    holidays.into_iter().map(|holiday| Ok(Holiday { name: checked_name(&holiday.name)?, ..holiday })).collect()
}

/// Checks the names of sources. Errors: `Invalid` `invalid_source`.
pub fn checked_sources(mut sources: Vec<String>) -> Result<Vec<String>> {
    sources.sort_unstable();
    sources.dedup();
    if sources.len() > MAX_SOURCES || sources.iter().any(|source| checked_name(source).is_err()) {
        return Err(Error::invalid("expected is at most 20 names").with_code("invalid_source"));
    }
    Ok(sources)
}

impl Timetable {
    /// Checks it. Errors: `Invalid` `invalid_timetable`, `invalid_holiday`, `invalid_source` or `invalid_name`.
    pub fn checked(mut self) -> Result<Self> {
        let invalid = |message| Err(Error::invalid(message).with_code("invalid_timetable"));
        if self.entries.len() > MAX_ENTRIES {
            return invalid("a timetable has at most 200 entries");
        }
        self.entries.sort_by_key(|entry| entry.number);
        if self.entries.windows(2).any(|pair| pair[0].number == pair[1].number) {
            return invalid("two entries have one number");
        }
        for entry in &mut self.entries {
            if entry.until.zip(entry.from).is_some_and(|(until, from)| until < from) {
                return invalid("an entry ends before it begins");
            }
            if [entry.from, entry.until].into_iter().flatten().any(|date| date < FIRST) {
                return invalid("an entry is of days before 1900");
            }
            entry.title = entry.title.as_deref().map(checked_name).transpose()?;
            entry.expected = checked_sources(std::mem::take(&mut entry.expected))?;
        }
        self.holidays = checked_holidays(self.holidays)?;
        Ok(self)
    }

    /// The sessions that it plans on local dates from `from` until `until`, both included, in a time zone; none on its
    /// own holidays and on `holidays`. By start. Dates before 1900 and at the very end of the calendar have none.
    pub fn sessions(
        &self,
        time_zone: &str,
        holidays: &[Holiday],
        from: Date,
        until: Date,
    ) -> Result<Vec<GroupSession>> {
        let zone = zone(time_zone)?;
        let mut sessions = Vec::new();
        for date in from.series(1.day()).take_while(|date| *date <= until) {
            if self.holidays.iter().chain(holidays).any(|holiday| holiday.holds(date)) {
                continue;
            }
            for entry in self.entries.iter().filter(|entry| entry.meets_on(date)) {
                if let Some((starts_at, ends_at)) = instants_in(&zone, date, entry.start, entry.end) {
                    let id = PlannedId { tag: self.tag, entry: entry.number, date }.id();
                    sessions.push(GroupSession {
                        id,
                        title: entry.title.clone(),
                        expected: entry.expected.clone(),
                        time_zone: Some(time_zone.to_owned()),
                        ..blank(self.group.clone(), date, (starts_at, ends_at), SessionOrigin::Timetable)
                    });
                }
            }
        }
        sessions.sort_by_key(|session| (session.starts_at, session.id));
        Ok(sessions)
    }
}

impl Entry {
    fn meets_on(&self, date: Date) -> bool {
        self.weekday == Weekday::of(date)
            && self.from.is_none_or(|from| from <= date)
            && self.until.is_none_or(|until| date <= until)
    }
}

/// A planned session to which nothing has happened yet, under a new id.
pub fn blank(group: GroupId, date: Date, times: (Timestamp, Timestamp), origin: SessionOrigin) -> GroupSession {
    GroupSession {
        id: crate::ids::GroupSessionId::generate(),
        group,
        title: None,
        date,
        starts_at: times.0,
        ends_at: times.1,
        origin,
        state: SessionState::Planned,
        last_photo: None,
        closed_at: None,
        reopenings: Vec::new(),
        expected: Vec::new(),
        reported: Vec::new(),
        time_zone: None,
        counts_joined_later: false,
        has_more_faces: false,
    }
}

/// Start and end of a session that starts on `date` in a time zone, see the module. Errors: `Invalid` `invalid_times`
/// before 1900 and at the end of the calendar.
pub fn instants(time_zone: &str, date: Date, start: Time, end: Time) -> Result<(Timestamp, Timestamp)> {
    let beyond = || Error::invalid("sessions are between 1900 and the end of 9999").with_code("invalid_times");
    instants_in(&zone(time_zone)?, date, start, end).ok_or_else(beyond)
}

fn instants_in(zone: &TimeZone, date: Date, start: Time, end: Time) -> Option<(Timestamp, Timestamp)> {
    if date < FIRST {
        return None;
    }
    let last = if end > start { date } else { date.tomorrow().ok()? };
    let instant = |local: DateTime| zone.to_ambiguous_timestamp(local).compatible().ok();
    let (from, to) = (date.to_datetime(start), last.to_datetime(end));
    let (starts_at, ends_at) = (instant(from)?, instant(to)?);
    let length: SignedDuration = to.duration_since(from);
    let ends_at = if ends_at > starts_at { ends_at } else { starts_at.checked_add(length).ok()? };
    Some((starts_at, ends_at))
}

/// The session of a whole local day of a group without a timetable.
pub fn day_session(group: &GroupId, time_zone: &str, date: Date) -> Result<GroupSession> {
    let midnight = Time::midnight();
    let times = instants(time_zone, date, midnight, midnight)?;
    let id = PlannedId { tag: tag_of(group), entry: 0, date }.id();
    let time_zone = Some(time_zone.to_owned());
    Ok(GroupSession { id, time_zone, ..blank(group.clone(), date, times, SessionOrigin::Day) })
}

/// Of a group's days, which are found by their group and never by their id alone before they are stored.
fn tag_of(group: &GroupId) -> TimetableTag {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(group.as_str()).into();
    let [a, b, c, d, e, f, ..] = digest;
    [a, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};

    use super::*;

    fn timetable(weekday: Weekday, start: Time, end: Time) -> Timetable {
        let entry = Entry {
            number: 1,
            title: None,
            weekday,
            start,
            end,
            from: Some(date(2026, 1, 1)),
            until: Some(date(2026, 12, 31)),
            expected: Vec::new(),
        };
        Timetable { group: "g".parse().unwrap(), tag: [7; 6], entries: vec![entry], next: 2, holidays: Vec::new() }
    }

    /// Start and end of the only session on `day`, local, with offsets.
    fn on(zone: &str, day: Date, start: Time, end: Time) -> (String, String) {
        let sessions = timetable(Weekday::of(day), start, end).sessions(zone, &[], day, day).unwrap();
        let [session] = sessions.as_slice() else { panic!("{sessions:?}") };
        assert_eq!(session.date, day);
        let tz = TimeZone::get(zone).unwrap();
        let local = |at: Timestamp| at.to_zoned(tz.clone()).strftime("%m-%dT%H:%M%:z").to_string();
        (local(session.starts_at), local(session.ends_at))
    }

    #[test]
    fn local_times_at_both_changes_of_the_clocks_and_at_the_ends_of_the_earth() {
        let (gap, fold) = (date(2026, 3, 29), date(2026, 10, 25));
        let table = [
            // As on other days.
            ("Europe/Vienna", date(2026, 3, 28), (8, 0), (9, 30), "03-28T08:00+01:00", "03-28T09:30+01:00"),
            // The clocks skip 02:00 to 03:00.
            ("Europe/Vienna", gap, (1, 30), (3, 30), "03-29T01:30+01:00", "03-29T03:30+02:00"),
            ("Europe/Vienna", gap, (2, 30), (4, 0), "03-29T03:30+02:00", "03-29T04:00+02:00"),
            ("Europe/Vienna", gap, (1, 0), (2, 30), "03-29T01:00+01:00", "03-29T03:30+02:00"),
            ("Europe/Vienna", gap, (2, 30), (3, 15), "03-29T03:30+02:00", "03-29T04:15+02:00"),
            // They show 02:00 to 03:00 twice.
            ("Europe/Vienna", fold, (2, 30), (3, 30), "10-25T02:30+02:00", "10-25T03:30+01:00"),
            ("Europe/Vienna", fold, (1, 30), (2, 30), "10-25T01:30+02:00", "10-25T02:30+02:00"),
            // Overnight, also across a change.
            ("Europe/Vienna", date(2026, 3, 28), (22, 0), (6, 0), "03-28T22:00+01:00", "03-29T06:00+02:00"),
            ("Europe/Vienna", date(2026, 5, 1), (22, 0), (6, 0), "05-01T22:00+02:00", "05-02T06:00+02:00"),
            ("Europe/Vienna", date(2026, 5, 1), (0, 0), (0, 0), "05-01T00:00+02:00", "05-02T00:00+02:00"),
            // Overnight where the clocks skip the hour after midnight, or show the hour before it twice.
            ("America/Santiago", date(2026, 9, 5), (22, 0), (2, 0), "09-05T22:00-04:00", "09-06T02:00-03:00"),
            ("America/Santiago", date(2026, 9, 5), (22, 0), (0, 0), "09-05T22:00-04:00", "09-06T01:00-03:00"),
            ("America/Santiago", date(2026, 9, 6), (0, 30), (2, 0), "09-06T01:30-03:00", "09-06T02:00-03:00"),
            ("America/Santiago", date(2026, 4, 4), (22, 0), (2, 0), "04-04T22:00-03:00", "04-05T02:00-04:00"),
            ("America/Santiago", date(2026, 4, 4), (23, 30), (0, 30), "04-04T23:30-03:00", "04-05T00:30-04:00"),
            ("Asia/Beirut", date(2026, 3, 28), (22, 0), (2, 0), "03-28T22:00+02:00", "03-29T02:00+03:00"),
            ("Asia/Beirut", date(2026, 10, 24), (22, 0), (0, 0), "10-24T22:00+03:00", "10-25T00:00+02:00"),
            ("Pacific/Kiritimati", date(2026, 5, 1), (8, 0), (9, 0), "05-01T08:00+14:00", "05-01T09:00+14:00"),
            ("Pacific/Pago_Pago", date(2026, 5, 1), (23, 0), (1, 0), "05-01T23:00-11:00", "05-02T01:00-11:00"),
        ];
        for (zone, day, (h, m), (to_h, to_m), starts, ends) in table {
            let got = on(zone, day, time(h, m, 0, 0), time(to_h, to_m, 0, 0));
            assert_eq!((got.0.as_str(), got.1.as_str()), (starts, ends), "{zone} {day} {h}:{m}");
        }
    }

    #[test]
    fn weeks_are_expanded_between_the_entrys_dates_and_without_holidays() {
        let mut plan = timetable(Weekday::Monday, time(8, 0, 0, 0), time(9, 0, 0, 0));
        plan.entries.push(Entry {
            number: 2,
            weekday: Weekday::Friday,
            until: None,
            from: None,
            ..plan.entries[0].clone()
        });
        plan.holidays.push(Holiday { from: date(2026, 12, 25), until: None, name: "Christmas".into() });
        let school = [Holiday { from: date(2026, 12, 20), until: Some(date(2026, 12, 24)), name: "Advent".into() }];
        let dates = |plan: &Timetable, from, until| -> Vec<String> {
            plan.sessions("UTC", &school, from, until).unwrap().iter().map(|session| session.date.to_string()).collect()
        };
        let expected = ["2026-12-14", "2026-12-18", "2026-12-28", "2027-01-01", "2027-01-08"];
        assert_eq!(dates(&plan, date(2026, 12, 13), date(2027, 1, 8)), expected);
        assert_eq!(dates(&plan, date(2026, 12, 14), date(2026, 12, 14)), ["2026-12-14"]);
        assert!(dates(&plan, date(2026, 12, 15), date(2026, 12, 14)).is_empty());
        assert!(dates(&plan, Date::MAX, Date::MAX).is_empty(), "no instant after the end of the calendar");
        assert!(dates(&plan, Date::MIN, date(-9998, 1, 1)).is_empty(), "no dates that are none of RFC 3339");
        assert_eq!(dates(&plan, date(1899, 12, 1), date(1900, 1, 5)), ["1900-01-05"]);
        let ids: Vec<_> = plan.sessions("UTC", &[], date(2026, 1, 1), date(2026, 12, 31)).unwrap();
        let unique: std::collections::BTreeSet<_> = ids.iter().map(|session| session.id).collect();
        assert_eq!(unique.len(), ids.len());
        let moved = plan.sessions("Asia/Tokyo", &[], date(2026, 1, 1), date(2026, 12, 31)).unwrap();
        assert_eq!(moved[3].id, ids[3].id, "a session keeps its id whatever becomes of its times");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = || timetable(Weekday::Monday, time(8, 0, 0, 0), time(9, 0, 0, 0));
        assert!(good().checked().is_ok());
        let mut twice = good();
        twice.entries.push(twice.entries[0].clone());
        let mut ended = good();
        ended.entries[0].until = Some(date(2025, 1, 1));
        let mut ancient = good();
        ancient.entries[0].from = Some(date(-44, 3, 15));
        for bad in [twice, ended, ancient] {
            assert_eq!(bad.checked().unwrap_err().code(), "invalid_timetable");
        }
        for (from, until) in [(date(2026, 2, 2), date(2026, 2, 1)), (date(0, 1, 1), date(2026, 2, 1))] {
            let mut holiday = good();
            holiday.holidays = vec![Holiday { from, until: Some(until), name: "x".into() }];
            assert_eq!(holiday.checked().unwrap_err().code(), "invalid_holiday");
        }
        let mut sources = good();
        sources.entries[0].expected = vec![String::new()];
        assert_eq!(sources.checked().unwrap_err().code(), "invalid_source");
    }

    #[test]
    fn a_day_lasts_as_long_as_the_day_does() {
        for (zone, day, hours) in [
            ("Europe/Vienna", date(2026, 3, 29), 23),
            ("Europe/Vienna", date(2026, 10, 25), 25),
            ("America/Santiago", date(2026, 9, 6), 23),
            ("America/Santiago", date(2026, 4, 4), 25),
            ("Pacific/Kiritimati", date(2026, 10, 25), 24),
        ] {
            let session = day_session(&"g".parse().unwrap(), zone, day).unwrap();
            assert_eq!(session.ends_at.duration_since(session.starts_at).as_hours(), hours, "{zone} {day}");
            assert_eq!(session.id, day_session(&"g".parse().unwrap(), "UTC", day).unwrap().id);
        }
    }

    /// Whatever the clocks do, each moment lies in the day of its local date, so no mark falls between two days.
    #[test]
    fn days_follow_each_other_without_a_gap() {
        let zones = [
            "Europe/Vienna",
            "America/Santiago",
            "Asia/Beirut",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
            "Pacific/Kiritimati",
            "Pacific/Pago_Pago",
        ];
        for name in zones {
            let zone = TimeZone::get(name).unwrap();
            for date in date(2025, 12, 31).series(1.day()).take(367) {
                let day = |date| day_session(&"g".parse().unwrap(), name, date).unwrap();
                let (today, tomorrow) = (day(date), day(date.tomorrow().unwrap()));
                assert_eq!(today.ends_at, tomorrow.starts_at, "{name} {date}");
                let local_date = |at: Timestamp| at.to_zoned(zone.clone()).date();
                let last = today.ends_at - SignedDuration::from_secs(1);
                assert_eq!([local_date(today.starts_at), local_date(last)], [date; 2], "{name} {date}");
            }
        }
    }
}
