//! Rosters: who belongs to a group, and when they did.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{group::Group, rules::judge::Tenure};
use crate::{ids::PersonId, wall::date_of};
use error::{Error, ErrorKind, Result};

/// 1900-01-01 in UTC.
const EARLIEST_SINCE: Timestamp = Timestamp::constant(-2_208_988_800, 0);
/// The next school year may be put in during this one.
const FURTHEST_SINCE: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The most times that somebody joins one group.
const MAX_PERIODS: usize = 100;

/// A person's place on a group's roster, with its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Whose.
    pub person: PersonId,
    /// When they belonged to the group, oldest first and apart from each other. Only the last can go on.
    pub periods: Vec<Period>,
}

/// A stretch of time on a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Sessions that start from then on are theirs.
    pub since: Timestamp,
    /// Those that start from then on no longer; none while they are on the roster.
    pub until: Option<Timestamp>,
    /// When somebody put them on the roster: in a session that went on then they were not late before.
    pub entered_at: Timestamp,
}

impl Period {
    fn holds(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at < until)
    }
}

impl Member {
    /// Somebody who has never been on the roster.
    pub fn new(person: PersonId) -> Self {
        Self { person, periods: Vec::new() }
    }

    /// The period that goes on; none for who has left.
    pub fn present(&self) -> Option<&Period> {
        self.periods.last().filter(|period| period.until.is_none())
    }

    /// Whether they may be taken for themselves in a photo of that moment: they are on the roster, or were then.
    pub fn belongs(&self, at: Timestamp) -> bool {
        self.present().is_some() || self.holds(at)
    }

    /// How a session that takes so long lies to their time on the roster, and from when on they can be seen there.
    pub fn tenure(&self, start: Timestamp, end: Timestamp) -> (Tenure, Option<Timestamp>) {
        if let Some(period) = self.periods.iter().find(|period| period.holds(start)) {
            // Who is entered in the middle of a session was there before, for all that anybody knows.
            let due = Some(period.entered_at).filter(|entered| (start..end).contains(entered));
            return (Tenure::During, due);
        }
        let has_left = self.periods.first().is_some_and(|first| first.since <= start);
        if has_left || self.periods.is_empty() {
            return (Tenure::After, None);
        }
        (Tenure::Before, self.periods.first().map(|first| first.since))
    }

    /// The first moment at which they belong here and did not with the place `before`, or the other way round.
    pub fn differs_since(&self, before: Option<&Self>) -> Option<Timestamp> {
        let periods = || self.periods.iter().chain(before.into_iter().flat_map(|before| &before.periods));
        let mut edges: Vec<Timestamp> =
            periods().flat_map(|period| [Some(period.since), period.until]).flatten().collect();
        edges.sort_unstable();
        edges.into_iter().find(|&edge| self.holds(edge) != before.is_some_and(|before| before.holds(edge)))
    }

    /// Whether sessions that start at that moment are theirs.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.periods.iter().any(|period| period.holds(at))
    }

    /// Puts them on the roster since `since`, as somebody says at `now`; who is on it has been since then. Errors:
    /// `Conflict` `too_many_periods`.
    pub fn join(&mut self, since: Timestamp, now: Timestamp) -> Result<()> {
        let present = self.periods.pop_if(|period| period.until.is_none());
        let entered_at = present.map_or(now, |period| period.entered_at);
        self.add([Period { since, until: None, entered_at }])
    }

    /// Takes them off the roster from `until` on. Nothing is left of a time that had not begun.
    pub fn leave(&mut self, until: Timestamp) {
        if let Some(present) = self.periods.pop_if(|period| period.until.is_none())
            && present.since < until
        {
            self.periods.push(Period { until: Some(until), ..present });
        }
    }

    /// Adds periods; those that meet become one. Errors: `Conflict` `too_many_periods`.
    pub fn add(&mut self, periods: impl IntoIterator<Item = Period>) -> Result<()> {
        self.periods.extend(periods);
        self.periods.sort_by_key(|period| period.since);
        self.periods.dedup_by(|later, earlier| {
            let meets = earlier.until.is_none_or(|until| later.since <= until);
            if meets {
                earlier.until = earlier.until.zip(later.until).map(|(one, other)| one.max(other));
                earlier.entered_at = earlier.entered_at.min(later.entered_at);
            }
            meets
        });
        if self.periods.len() > MAX_PERIODS {
            let message = format!("a person joins a group at most {MAX_PERIODS} times");
            return Err(Error::new(ErrorKind::Conflict, message).with_code("too_many_periods"));
        }
        Ok(())
    }
}

/// A moment as people say it: a whole local day, `2026-09-01` or `1.9.2026`, or an instant, `2026-09-01T08:00:00+02:00`.
/// With slashes nobody knows which number is the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DayOrMoment {
    /// A date where the group is.
    Day(Date),
    /// An instant.
    Moment(Timestamp),
}

impl DayOrMoment {
    /// The moment, or the beginning of the day where `group` is. Errors: `Invalid` `invalid_roster_time`.
    pub fn beginning(self, group: &Group) -> Result<Timestamp> {
        match self {
            Self::Moment(moment) => Ok(moment),
            Self::Day(date) => group.day_start(date),
        }
    }

    /// The moment, or the end of the day where `group` is. Errors: `Invalid` `invalid_roster_time`.
    pub fn end(self, group: &Group) -> Result<Timestamp> {
        match self {
            Self::Moment(moment) => Ok(moment),
            Self::Day(date) => group.day_start(date.tomorrow().map_err(|_| no_time())?),
        }
    }
}

impl FromStr for DayOrMoment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(moment) = text.parse() {
            return Ok(Self::Moment(moment));
        }
        // A time without an offset is not cut down to its day.
        date_of(text).ok().or_else(|| dotted(text)).map(Self::Day).ok_or_else(no_time)
    }
}

/// A day of which the year comes last.
fn dotted(text: &str) -> Option<Date> {
    // `%Y` takes two digits, too, for a year of the Romans.
    Date::strptime("%d.%m.%Y", text).ok().filter(|day| day.year() >= 1000)
}

impl TryFrom<String> for DayOrMoment {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DayOrMoment> for String {
    fn from(time: DayOrMoment) -> Self {
        match time {
            DayOrMoment::Day(day) => day.to_string(),
            DayOrMoment::Moment(moment) => moment.to_string(),
        }
    }
}

/// Since when somebody is on a roster. Errors: `Invalid` `invalid_roster_time` for what nobody can mean.
pub fn checked_since(since: Timestamp, now: Timestamp) -> Result<Timestamp> {
    let can_be_meant = since >= EARLIEST_SINCE && since <= now + FURTHEST_SINCE;
    if can_be_meant {
        return Ok(since);
    }
    let message = "somebody is on a roster since a day after 1900, and at most a year from now: is the year right?";
    Err(Error::invalid(message).with_code("invalid_roster_time"))
}

/// The error for what is no time on a roster.
pub(super) fn no_time() -> Error {
    let message = "a time on a roster is a date such as 2026-09-01, or a moment such as 2026-09-01T08:00:00+02:00";
    Error::invalid(message).with_code("invalid_roster_time")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attendance::group::checked_time_zone;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn member(periods: &[(i64, Option<i64>)]) -> Member {
        let period = |&(since, until): &(i64, Option<i64>)| Period {
            since: at(since),
            until: until.map(at),
            entered_at: at(since),
        };
        Member { person: "p".parse().unwrap(), periods: periods.iter().map(period).collect() }
    }

    fn stretches(member: &Member) -> Vec<(i64, Option<i64>)> {
        let minute = |at: Timestamp| at.as_second() / 60;
        member.periods.iter().map(|period| (minute(period.since), period.until.map(minute))).collect()
    }

    #[test]
    fn joining_again_begins_a_period_and_an_interruption_that_was_none_is_mended() {
        let mut one = member(&[]);
        one.join(at(10), at(15)).unwrap();
        assert_eq!((stretches(&one), one.periods[0].entered_at), (vec![(10, None)], at(15)));
        one.join(at(20), at(30)).unwrap();
        assert_eq!((stretches(&one), one.periods[0].entered_at), (vec![(20, None)], at(15)), "said better");
        one.leave(at(40));
        one.leave(at(50));
        assert_eq!((stretches(&one), one.present()), (vec![(20, Some(40))], None), "who has left has left");
        one.join(at(60), at(60)).unwrap();
        assert_eq!(stretches(&one), [(20, Some(40)), (60, None)]);
        one.leave(at(60));
        assert_eq!(stretches(&one), [(20, Some(40))], "nothing is left of a time that had not begun");
        one.join(at(40), at(70)).unwrap();
        assert_eq!((stretches(&one), one.periods[0].entered_at), (vec![(20, None)], at(15)));
    }

    #[test]
    fn a_session_lies_before_during_or_after_somebodys_time() {
        use Tenure::{After, Before, During};
        let twice = member(&[(10, Some(20)), (40, None)]);
        for (minute, expected) in [(5, Before), (10, During), (19, During), (20, After), (39, After), (40, During)] {
            assert_eq!(twice.tenure(at(minute), at(minute + 1)).0, expected, "{minute}");
        }
        assert_eq!(member(&[]).tenure(at(1), at(2)), (After, None));
        let gone = member(&[(10, Some(20))]);
        assert_eq!([9, 10, 19, 20].map(|minute| gone.belongs(at(minute))), [false, true, true, false]);
        assert!(twice.belongs(at(30)), "who is back may be in an older photo");
        let mut late = member(&[]);
        late.join(at(0), at(105)).unwrap();
        assert_eq!(late.tenure(at(100), at(150)), (During, Some(at(105))), "entered in its middle");
        assert_eq!(late.tenure(at(50), at(90)), (During, None), "of which the photos came later");
    }

    #[test]
    fn a_day_begins_and_ends_where_the_group_is() {
        let group = Group {
            time_zone: checked_time_zone("Europe/Vienna").unwrap(),
            ..crate::attendance::group::tests::group("UTC")
        };
        let day: DayOrMoment = "2026-03-29".parse().unwrap();
        assert_eq!(day.beginning(&group).unwrap().to_string(), "2026-03-28T23:00:00Z");
        assert_eq!(day.end(&group).unwrap().to_string(), "2026-03-29T22:00:00Z");
        for text in ["2026-09-01", "1.9.2026", "01.09.2026"] {
            assert_eq!(text.parse::<DayOrMoment>().unwrap(), DayOrMoment::Day(jiff::civil::date(2026, 9, 1)), "{text}");
        }
        let moment: DayOrMoment = "2026-09-01T08:00:00+02:00".parse().unwrap();
        assert_eq!(moment.beginning(&group).unwrap(), moment.end(&group).unwrap());
        // Without an offset it is neither: it is not cut down to its day.
        for bad in ["", "09/01/2026", "1.9.26", "2026-13-01", "tomorrow", "2026-09-01T10:30:00", "2026-09-01 10:30"] {
            assert_eq!(bad.parse::<DayOrMoment>().unwrap_err().code(), "invalid_roster_time", "{bad}");
        }
        let never: DayOrMoment = "9999-12-31".parse().unwrap();
        assert_eq!(never.end(&group).unwrap_err().code(), "invalid_roster_time");
    }

    #[test]
    fn a_year_that_was_mistyped_is_no_time_on_a_roster() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        for (since, is_good) in [
            ("1899-12-31T00:00:00Z", false),
            ("1999-09-01T00:00:00Z", true),
            ("2027-09-01T00:00:00Z", true),
            ("2062-09-01T00:00:00Z", false),
        ] {
            assert_eq!(checked_since(since.parse().unwrap(), now).is_ok(), is_good, "{since}");
        }
    }

    #[test]
    fn nobody_joins_a_group_for_ever() {
        let mut often = member(&[]);
        for n in 0..MAX_PERIODS as i64 {
            often.join(at(n * 10), at(0)).unwrap();
            often.leave(at(n * 10 + 5));
        }
        assert_eq!(often.join(at(100_000), at(0)).unwrap_err().code(), "too_many_periods");
    }

    proptest! {
        #[test]
        fn places_differ_from_where_their_times_begin_to_differ(
            steps in prop::collection::vec((any::<bool>(), 0..50i64), 0..6),
            more in prop::collection::vec((any::<bool>(), 0..50i64), 0..3),
        ) {
            let taken = |mut one: Member, steps: Vec<(bool, i64)>| {
                for (joins, minute) in steps {
                    if joins { one.join(at(minute), at(minute)).unwrap() } else { one.leave(at(minute)) }
                }
                one
            };
            let before = taken(member(&[]), steps);
            let after = taken(before.clone(), more);
            let first = (-1..60).map(at).find(|&minute| before.holds(minute) != after.holds(minute));
            prop_assert_eq!(after.differs_since(Some(&before)), first);
            prop_assert_eq!(after.differs_since(None), (-1..60).map(at).find(|&minute| after.holds(minute)));
        }

        #[test]
        fn periods_are_in_order_apart_and_all_but_the_last_over(steps in prop::collection::vec((any::<bool>(), 0..500i64), 0..60)) {
            let mut one = member(&[]);
            for (joins, minute) in steps {
                if joins { one.join(at(minute), at(minute)).unwrap() } else { one.leave(at(minute)) }
                for pair in one.periods.windows(2) {
                    prop_assert!(pair[0].until.is_some_and(|until| until < pair[1].since));
                }
                prop_assert!(one.periods.iter().all(|period| period.until.is_none_or(|until| period.since < until)));
            }
        }
    }
}
