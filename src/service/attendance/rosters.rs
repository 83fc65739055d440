//! Rosters: who belongs to a group, and since when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        GroupId, PersonId, TenantScope,
        attendance::roster::{DayOrMoment, Member, Period},
        people::words::by_name,
    },
    error::Result,
    service::attendance::Service,
};

/// The people of a group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RosterView {
    /// By name.
    pub people: Vec<MemberView>,
}

/// Somebody of a group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
    /// Whether they are on the roster.
    pub on_roster: bool,
    /// When they were, oldest first.
    pub periods: Vec<PeriodView>,
}

/// A stretch of time on a roster.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PeriodView {
    /// Sessions that start from then on are theirs.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Those that start from then on no longer; null while they are on the roster.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

impl From<Period> for PeriodView {
    fn from(Period { since, until, .. }: Period) -> Self {
        Self { since, until }
    }
}

impl Service {
    /// The people on a group's roster by name, and those who were where `former` is set.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`.
    pub async fn roster(&self, scope: &TenantScope, group: &GroupId, former: bool) -> Result<RosterView> {
        let mut members = self.store.members(scope, group).await?;
        members.retain(|member| former || member.present().is_some());
        let names = members.iter().map(|member| member.person.clone()).collect();
        let names = self.store.names(scope, names).await?;
        let view = |(member, name): (Member, Option<String>)| MemberView {
            on_roster: member.present().is_some(),
            person: member.person,
            name,
            periods: member.periods.into_iter().map(Into::into).collect(),
        };
        let mut people: Vec<MemberView> = members.into_iter().zip(names).map(view).collect();
        people.sort_by_cached_key(|member| by_name(member.name.as_deref(), &member.person));
        Ok(RosterView { people })
    }

    /// The newest photo of somebody who is on a group's roster.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`, `person_not_found` or `photo_not_found`; `Storage` `damaged_photo`.
    pub async fn photo_of_member(&self, scope: &TenantScope, group: &GroupId, person: &PersonId) -> Result<Vec<u8>> {
        self.store.require_member(scope, group, person).await?;
        self.people.photo(scope, person, None).await
    }

    /// Puts a person on the roster since `since`, or since the beginning of the present day where the group is; doing it
    /// twice is no error.
    ///
    /// # Errors
    /// `NotFound` `group_not_found` or `person_not_found`; `Invalid` `invalid_roster_time`; `Conflict` `too_many_periods`.
    pub async fn add_member(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        person: &PersonId,
        since: Option<DayOrMoment>,
    ) -> Result<()> {
        self.store.add_member(scope, group, person, since, self.clock.now()).await
    }

    /// Takes a person off the roster at the end of `until`, or at once; what is known of them there stays.
    ///
    /// # Errors
    /// `NotFound` `group_not_found` or `person_not_found`; `Invalid` `invalid_roster_time`.
    pub async fn remove_member(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        person: &PersonId,
        until: Option<DayOrMoment>,
    ) -> Result<()> {
        self.store.remove_member(scope, group, person, until, self.clock.now()).await
    }
}
