//! Groups.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        Access, Group, GroupId, PersonId, Rules, TenantScope, attendance::group::checked_time_zone, ids::checked_name,
    },
    error::{ErrorKind, Result},
    service::attendance::Service,
    store::GroupChange,
};

/// What a new group takes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// Unique in the tenant; made up if missing.
    pub id: Option<GroupId>,
    /// 1–200 characters.
    pub name: String,
    /// IANA name; the tenant's if missing.
    pub time_zone: Option<String>,
    /// What counts as attendance; what is missing is the default.
    pub rules: Option<Rules>,
}

/// What can be changed of a group; what is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupPatch {
    /// 1–200 characters.
    pub name: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// What counts as attendance; all of it, what is missing is the default.
    pub rules: Option<Rules>,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Unique in the tenant.
    pub id: GroupId,
    /// 1–200 characters.
    pub name: String,
    /// IANA name: where its local days are.
    pub time_zone: String,
    /// What counts as attendance.
    pub rules: Rules,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A group with its roster.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GroupWithRoster {
    /// The group.
    #[serde(flatten)]
    pub group: GroupView,
    /// Ids of its people, in order.
    pub people: Vec<PersonId>,
}

/// A page of groups.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GroupPage {
    /// In the order of their ids.
    pub groups: Vec<GroupView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<GroupId>,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        let Group { id, name, time_zone, created_at, rules } = group;
        Self { id, name, time_zone, rules, created_at }
    }
}

impl Service {
    /// Makes a group.
    ///
    /// # Errors
    /// `Conflict` if the id is taken, `Invalid` for a bad name, time zone or rules.
    pub async fn create_group(&self, scope: &TenantScope, new: NewGroup) -> Result<GroupView> {
        let time_zone = match new.time_zone {
            Some(time_zone) => checked_time_zone(&time_zone)?,
            None => self.store.tenant_settings(scope).await?.time_zone().to_owned(),
        };
        let group = Group {
            id: new.id.unwrap_or_else(GroupId::generate),
            name: checked_name(&new.name)?,
            time_zone,
            created_at: self.clock.now(),
            rules: new.rules.unwrap_or_default().checked()?,
        };
        self.store.create_group(scope, group.clone()).await?;
        Ok(group.into())
    }

    /// A page of groups after the id `after`.
    pub async fn groups(&self, scope: &TenantScope, after: Option<&GroupId>, limit: usize) -> Result<GroupPage> {
        let mut groups = self.store.groups(scope, after, limit + 1).await?;
        let more = groups.len() > limit;
        groups.truncate(limit);
        let next = groups.last().filter(|_| more).map(|group| group.id.clone());
        Ok(GroupPage { groups: groups.into_iter().map(Into::into).collect(), next })
    }

    /// The same, of the groups that `access` reaches.
    ///
    /// # Errors
    /// `Forbidden` for an access to no tenant.
    pub async fn groups_for(&self, access: &Access, after: Option<&GroupId>, limit: usize) -> Result<GroupPage> {
        let scope = access.tenant_scope()?;
        let Some(own) = access.groups() else { return self.groups(&scope, after, limit).await };
        let mut ids = own.iter().filter(|id| after.is_none_or(|after| *id > after));
        let mut groups: Vec<GroupView> = Vec::new();
        for id in ids.by_ref().take(limit) {
            match self.store.group(&scope, id).await {
                Ok(group) => groups.push(group.into()),
                // Deleted just now.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let next = groups.last().filter(|_| ids.next().is_some()).map(|group| group.id.clone());
        Ok(GroupPage { groups, next })
    }

    /// One group and its roster.
    pub async fn group(&self, scope: &TenantScope, id: &GroupId) -> Result<GroupWithRoster> {
        let group = self.store.group(scope, id).await?.into();
        Ok(GroupWithRoster { group, people: self.store.roster(scope, id).await? })
    }

    /// Changes a group. Sessions that are stored keep their times, and marks keep the local date that they were given.
    pub async fn update_group(&self, scope: &TenantScope, id: &GroupId, patch: GroupPatch) -> Result<GroupView> {
        let change = GroupChange {
            name: patch.name.as_deref().map(checked_name).transpose()?,
            time_zone: patch.time_zone.as_deref().map(checked_time_zone).transpose()?,
            rules: patch.rules.map(Rules::checked).transpose()?,
        };
        Ok(self.store.update_group(scope, id, change).await?.into())
    }

    /// Deletes a group with its roster and its attendance; its people stay.
    pub async fn delete_group(&self, scope: &TenantScope, id: &GroupId) -> Result<()> {
        self.store.delete_group(scope, id).await
    }
}
