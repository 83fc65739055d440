//! A class or an event, and its local days.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use super::roster::no_time;
use crate::{Rules, ids::GroupId};
use error::{Error, Result};

/// A group of a tenant. Its roster is kept beside it, one entry a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Unique in the tenant.
    pub id: GroupId,
    /// Any Unicode, 1–200 characters.
    pub name: String,
    /// IANA name, checked by [`checked_time_zone`].
    pub time_zone: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What counts as attendance.
    pub rules: Rules,
}

/// Checks an IANA time zone name against the compiled-in database; returns its canonical spelling.
pub fn checked_time_zone(name: &str) -> Result<String> {
    TimeZone::get(name).ok().and_then(|zone| zone.iana_name().map(str::to_owned)).ok_or_else(|| {
        Error::invalid("time_zone is an IANA name such as Europe/Vienna or UTC").with_code("invalid_time_zone")
    })
}

/// The zone of a name that was checked once.
pub(super) fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|error| {
        Error::internal("the group's time zone is no longer in the time zone database").with_source(error)
    })
}

impl Group {
    /// The local date of `at` where the group is.
    pub fn local_date(&self, at: Timestamp) -> Result<Date> {
        Ok(at.to_zoned(zone(&self.time_zone)?).date())
    }

    /// When a local date begins where the group is. Errors: `Invalid` `invalid_roster_time` at the end of time.
    pub fn day_start(&self, date: Date) -> Result<Timestamp> {
        Ok(date.to_zoned(zone(&self.time_zone)?).map_err(|_| no_time())?.timestamp())
    }

    /// The local time of `at` where the group is.
    pub fn local_time(&self, at: Timestamp) -> Result<Time> {
        Ok(at.to_zoned(zone(&self.time_zone)?).time())
    }

    /// `at` as the group's own clock and calendar show it, for people: `Monday 2026-03-02 08:05 (Europe/Vienna)`.
    pub fn shown(&self, at: Timestamp) -> Result<String> {
        let local = at.to_zoned(zone(&self.time_zone)?);
        Ok(format!("{} ({})", local.strftime("%A %Y-%m-%d %H:%M"), self.time_zone))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn group(time_zone: &str) -> Group {
        Group {
            id: "g".parse().unwrap(),
            name: "g".into(),
            time_zone: checked_time_zone(time_zone).unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            rules: Rules::default(),
        }
    }

    #[test]
    fn one_instant_is_three_dates() {
        let at: Timestamp = "2026-03-29T10:30:00Z".parse().unwrap();
        for (zone, date) in
            [("Pacific/Kiritimati", "2026-03-30"), ("Pacific/Pago_Pago", "2026-03-28"), ("Europe/Vienna", "2026-03-29")]
        {
            assert_eq!(group(zone).local_date(at).unwrap().to_string(), date, "{zone}");
        }
    }

    #[test]
    fn an_instant_is_shown_by_the_groups_own_clock() {
        let at: Timestamp = "2026-03-29T22:30:00Z".parse().unwrap();
        assert_eq!(group("Europe/Vienna").shown(at).unwrap(), "Monday 2026-03-30 00:30 (Europe/Vienna)");
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert_eq!(checked_time_zone("Mars/Olympus").unwrap_err().code(), "invalid_time_zone");
        assert_eq!(checked_time_zone("utc").unwrap(), "UTC");
    }
}
