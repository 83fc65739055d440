//! Times and dates as a clock and a calendar on the wall show them: where a group is, without an offset. One that says more
//! means an instant, which is not what is asked: it is refused and never cut down to what is.
//!
//! For fields of requests: `#[serde(deserialize_with = "wall::start")]`.

use std::borrow::Cow;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Deserializer, de::Error};

const TIME: &str = "a time of the day is like 08:00, by the group's own clock: without an offset, a zone or a date";
const DATE: &str = "a date is like 2026-03-02, where the group is: without a time, an offset or a zone";
const MIDNIGHT: &str = "24:00 is the end of a day: what begins then begins at 00:00 of the next";

/// When something begins.
///
/// # Errors
/// What is no time of the day; 24:00, which is none of that day.
pub fn start<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
    read(from, start_of)
}

/// The same where it may be missing.
pub fn start_opt<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Time>, D::Error> {
    read_opt(from, start_of)
}

/// When something ends; 24:00 is midnight, as 00:00 is.
///
/// # Errors
/// What is no time of the day.
pub fn end<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
    read(from, end_of)
}

/// The same where it may be missing.
pub fn end_opt<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Time>, D::Error> {
    read_opt(from, end_of)
}

/// A day.
///
/// # Errors
/// What is no date.
pub fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    read(from, date_of)
}

/// The same where it may be missing.
pub fn date_opt<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Date>, D::Error> {
    read_opt(from, date_of)
}

/// What was read, or what it has to be like.
pub(super) type Parsed<T> = Result<T, &'static str>;

fn read<'de, D: Deserializer<'de>, T>(from: D, parse: impl FnOnce(&str) -> Parsed<T>) -> Result<T, D::Error> {
    parse(&Cow::<str>::deserialize(from)?).map_err(D::Error::custom)
}

fn read_opt<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(&str) -> Parsed<T>,
) -> Result<Option<T>, D::Error> {
    let given = Option::<Cow<str>>::deserialize(from)?;
    given.map(|text| parse(&text)).transpose().map_err(D::Error::custom)
}

fn start_of(text: &str) -> Parsed<Time> {
    if is_end_of_day(text) { Err(MIDNIGHT) } else { time_of(text) }
}

fn end_of(text: &str) -> Parsed<Time> {
    if is_end_of_day(text) { Ok(Time::midnight()) } else { time_of(text) }
}

/// As ISO 8601 writes it.
fn is_end_of_day(text: &str) -> bool {
    ["24", "24:00", "24:00:00"].contains(&text)
}

fn time_of(text: &str) -> Parsed<Time> {
    plain(text, ":.").and_then(|text| text.parse().ok()).ok_or(TIME)
}

/// A day, of its text.
pub(super) fn date_of(text: &str) -> Parsed<Date> {
    plain(text, "-").and_then(|text| text.parse().ok()).ok_or(DATE)
}

/// The text, if it is of digits and these signs alone: what a parser would read besides is what would be lost.
fn plain<'t>(text: &'t str, signs: &str) -> Option<&'t str> {
    text.chars().all(|sign| sign.is_ascii_digit() || signs.contains(sign)).then_some(text)
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};

    use super::*;

    #[test]
    fn a_time_is_what_a_clock_shows() {
        for (text, shown) in [
            ("08:00", time(8, 0, 0, 0)),
            ("23:59:59", time(23, 59, 59, 0)),
            ("08:00:00.5", time(8, 0, 0, 500_000_000)),
            ("00:00", Time::midnight()),
        ] {
            assert_eq!((start_of(text), end_of(text)), (Ok(shown), Ok(shown)), "{text}");
        }
        for more in [
            "08:00+05:30",
            "08:00-05:00",
            "08:00Z",
            "08:00[Europe/Vienna]",
            "2026-03-02T08:00",
            "2026-03-02 08:00+01:00",
            "T08:00",
            " 08:00",
            "8am",
            "24:01",
            "24:00:01",
            "25:00",
            "",
        ] {
            assert_eq!((start_of(more), end_of(more)), (Err(TIME), Err(TIME)), "{more}");
        }
    }

    #[test]
    fn midnight_ends_a_day_and_begins_none() {
        for midnight in ["24:00", "24:00:00"] {
            assert_eq!((start_of(midnight), end_of(midnight)), (Err(MIDNIGHT), Ok(Time::midnight())));
        }
    }

    #[test]
    fn a_date_is_what_a_calendar_shows() {
        assert_eq!(date_of("2026-03-02"), Ok(date(2026, 3, 2)));
        for more in [
            "2026-03-02T08:00",
            "2026-03-02T23:30:00-05:00",
            "2026-03-02T23:30:00Z",
            "2026-03-02[Europe/Vienna]",
            "2026-03-02+01:00",
            "2026-02-30",
            "02.03.2026",
            "",
        ] {
            assert_eq!(date_of(more), Err(DATE), "{more}");
        }
    }
}
