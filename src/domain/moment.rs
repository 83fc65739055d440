//! Times that somebody can mean.

use error::{Error, Result};
use jiff::Timestamp;

/// Clocks that were never set say the first days of 1970, 1980, 1990 or 2000, and tools that know no time say 1980: what
/// lies before 2000-01-03 in UTC is such a time, and nobody's lesson.
pub const EARLIEST: Timestamp = Timestamp::constant(946_857_600, 0);

/// A time at which something was seen. Errors: `Invalid` `invalid_at` for one that nobody can mean, or that is yet to come.
pub fn checked_at(at: Timestamp, now: Timestamp) -> Result<Timestamp> {
    if at > now {
        return Err(Error::invalid("at lies in the future").with_code("invalid_at"));
    }
    if at < EARLIEST {
        return Err(Error::invalid("at lies before the year 2000: was a clock never set?").with_code("invalid_at"));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_nobody_can_mean_is_refused() {
        let now: Timestamp = "2026-11-23T09:15:00Z".parse().unwrap();
        for (at, is_meant) in [
            ("-009999-01-02T01:59:59Z", false),
            ("1970-01-01T00:00:00Z", false),
            ("1980-01-01T00:00:00Z", false),
            ("2000-01-01T12:00:00Z", false),
            ("2000-01-03T00:00:00Z", true),
            ("2026-11-23T09:15:00Z", true),
            ("2026-11-23T09:15:01Z", false),
            ("9999-12-30T00:00:00Z", false),
        ] {
            assert_eq!(checked_at(at.parse().unwrap(), now).is_ok(), is_meant, "{at}");
        }
    }
}
