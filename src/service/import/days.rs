//! Days as rosters write them.

use jiff::civil::Date;

use crate::{domain::roster::DayOrMoment, error::Result};

/// A moment, or a day: `2026-09-01`, or `1.9.2026`. With slashes nobody knows which number is the month.
///
/// Errors: `Invalid` `invalid_roster_time`.
pub(super) fn day_or_moment(text: &str) -> Result<DayOrMoment> {
    // `%Y` takes two digits, too, for a year of the Romans.
    let day = || Date::strptime("%d.%m.%Y", text).ok().filter(|day| day.year() >= 1000).map(DayOrMoment::Day);
    text.parse().or_else(|error| day().ok_or(error))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_is_read_in_the_ways_that_are_clear() {
        for text in ["2026-09-01", "1.9.2026", "01.09.2026"] {
            assert_eq!(day_or_moment(text).unwrap(), DayOrMoment::Day(date(2026, 9, 1)), "{text}");
        }
        let moment = DayOrMoment::Moment("2026-09-01T06:00:00Z".parse().unwrap());
        assert_eq!(day_or_moment("2026-09-01T08:00:00+02:00").unwrap(), moment);
        for text in ["09/01/2026", "1.9.26", "soon", ""] {
            assert_eq!(day_or_moment(text).unwrap_err().code(), "invalid_roster_time", "{text}");
        }
    }
}
