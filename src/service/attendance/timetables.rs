//! Timetables of groups and holidays of a tenant.

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        GroupId, TenantScope, Timetable,
        attendance::timetable::{Entry, Holiday, Weekday, checked_holidays},
        ids::fresh_tag,
        wall,
    },
    error::Result,
    service::attendance::Service,
    store::NewEntry,
};

/// One weekly meeting.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimetableEntry {
    /// Tells the entries apart. Give it to keep an entry and its sessions; a new entry has none.
    #[schema(minimum = 1)]
    pub number: Option<u16>,
    /// What it is about, 1–200 characters.
    pub title: Option<String>,
    /// The day on which it starts.
    pub weekday: Weekday,
    /// When it starts, local time, HH:MM.
    #[schema(value_type = String, example = "08:00")]
    #[serde(deserialize_with = "wall::start")]
    pub start: Time,
    /// When it ends, local time, 24:00 for midnight; on the next day if it is not after the start.
    #[schema(value_type = String, example = "09:30")]
    #[serde(deserialize_with = "wall::end")]
    pub end: Time,
    /// The first date.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    pub from: Option<Date>,
    /// The last date.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    pub until: Option<Date>,
    /// The sources that its sessions wait for before absences are declared.
    #[serde(default)]
    pub expected: Vec<String>,
}

/// A group's week.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimetableView {
    /// When it meets, at most 200 entries.
    pub entries: Vec<TimetableEntry>,
    /// Days on which it does not, besides the tenant's, at most 400.
    #[serde(default)]
    pub holidays: Vec<Holiday>,
}

/// Days on which no group of a tenant meets.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HolidaysView {
    /// At most 400.
    pub holidays: Vec<Holiday>,
}

impl From<Timetable> for TimetableView {
    fn from(timetable: Timetable) -> Self {
        let view = |entry: Entry| {
            let Entry { number, title, weekday, start, end, from, until, expected } = entry;
            TimetableEntry { number: Some(number), title, weekday, start, end, from, until, expected }
        };
        Self { entries: timetable.entries.into_iter().map(view).collect(), holidays: timetable.holidays }
    }
}

impl From<TimetableEntry> for NewEntry {
    fn from(view: TimetableEntry) -> Self {
        let TimetableEntry { number, title, weekday, start, end, from, until, expected } = view;
        Self { number, entry: Entry { number: 0, title, weekday, start, end, from, until, expected } }
    }
}

impl Service {
    /// A group's timetable; an empty one if it has none.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`.
    pub async fn timetable(&self, scope: &TenantScope, group: &GroupId) -> Result<TimetableView> {
        Ok(self.store.timetable(scope, group).await?.map(Into::into).unwrap_or_default())
    }

    /// Puts a timetable in the place of the one that a group has.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`; `Invalid` `invalid_timetable`, `invalid_holiday`, `invalid_source`, `invalid_name`.
    pub async fn put_timetable(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        new: TimetableView,
    ) -> Result<TimetableView> {
        let entries = new.entries.into_iter().map(Into::into).collect();
        Ok(self.store.put_timetable(scope, group, fresh_tag(), entries, new.holidays).await?.into())
    }

    /// Days on which no group of the tenant meets.
    pub async fn holidays(&self, scope: &TenantScope) -> Result<HolidaysView> {
        Ok(HolidaysView { holidays: self.store.holidays(scope).await? })
    }

    /// Puts holidays in the place of those that the tenant has.
    ///
    /// # Errors
    /// `Invalid` `invalid_holiday` or `invalid_name`.
    pub async fn put_holidays(&self, scope: &TenantScope, new: HolidaysView) -> Result<HolidaysView> {
        let holidays = checked_holidays(new.holidays)?;
        self.store.put_holidays(scope, holidays.clone()).await?;
        Ok(HolidaysView { holidays })
    }
}
