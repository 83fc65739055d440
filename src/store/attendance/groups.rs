//! Groups.

use serde_json::json;

use super::{record, rosters, sessions, timetables};
use crate::{
    domain::{Group, GroupId, Rules, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        access::{
            api_keys, audit,
            usage::{Growth, grow},
            users,
        },
        engine::Read,
        events::{log, webhooks},
        group_not_found, keys,
    },
};

/// What to change of a group; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupChange {
    /// A new name, checked by [`checked_name`](crate::domain::ids::checked_name).
    pub name: Option<String>,
    /// A new time zone, checked by [`checked_time_zone`](crate::domain::attendance::group::checked_time_zone).
    pub time_zone: Option<String>,
    /// New rules, [checked](Rules::checked). Sessions are judged by the rules of the moment; closed ones stay as they
    /// are.
    pub rules: Option<Rules>,
}

impl Store {
    /// Makes a group. Errors: `Conflict` `group_exists` or `limit_reached`, `NotFound` `tenant_not_found`.
    pub async fn create_group(&self, scope: &TenantScope, group: Group) -> Result<()> {
        let (author, tenant, limits) = (scope.author(), scope.tenant().clone(), self.inner.default_limits);
        self.write(scope.right(), move |transaction| {
            let key = keys::group(&tenant, &group.id);
            if transaction.has(&key)? {
                return Err(
                    Error::new(ErrorKind::Conflict, "there is a group of this id already").with_code("group_exists")
                );
            }
            grow(transaction, &tenant, limits, Growth { groups: 1, ..Growth::default() })?;
            transaction.put(key.clone(), &group)?;
            audit::note(transaction, &author, "group.create", |it| it.group(&group.id).after(&group))
        })
        .await
    }

    /// A group. Errors: `NotFound` `group_not_found`.
    pub async fn group(&self, scope: &TenantScope, group: &GroupId) -> Result<Group> {
        let key = keys::group(scope.tenant(), group);
        self.read(move |view| view.get(&key)?.ok_or_else(group_not_found)).await
    }

    /// At most `limit` groups whose ids come after `after`, by the bytes of their ids.
    pub async fn groups(&self, scope: &TenantScope, after: Option<&GroupId>, limit: usize) -> Result<Vec<Group>> {
        let tenant = scope.tenant();
        let (prefix, after) = (keys::groups(tenant), after.map(|group| keys::group(tenant, group)));
        self.read(move |view| view.scan(&prefix, after.as_deref()).take(limit).collect()).await
    }

    /// Changes a group and returns it as it is then. Errors: `NotFound` `group_not_found`.
    pub async fn update_group(&self, scope: &TenantScope, group: &GroupId, change: GroupChange) -> Result<Group> {
        let (author, tenant, key) = (scope.author(), scope.tenant().clone(), keys::group(scope.tenant(), group));
        self.write(scope.right(), move |transaction| {
            let old: Group = transaction.get(&key)?.ok_or_else(group_not_found)?;
            let mut group = old.clone();
            group.name = change.name.clone().unwrap_or(group.name);
            group.time_zone = change.time_zone.clone().unwrap_or(group.time_zone);
            group.rules = change.rules.clone().unwrap_or(group.rules);
            transaction.put(key.clone(), &group)?;
            if group.time_zone != old.time_zone {
                sessions::move_along(transaction, &tenant, &group, &old.time_zone)?;
            }
            audit::note(transaction, &author, "group.update", |it| it.group(&group.id).changed(&old, &group))?;
            Ok(group)
        })
        .await
    }

    /// Removes a group with its roster, its sessions and their records, and the events about it; its people stay.
    /// Errors: `NotFound` `group_not_found`.
    pub async fn delete_group(&self, scope: &TenantScope, group: &GroupId) -> Result<()> {
        let (author, tenant, group) = (scope.author(), scope.tenant().clone(), group.clone());
        let limits = self.inner.default_limits;
        self.write(scope.right(), move |transaction| {
            require_group(transaction, &tenant, &group)?;
            let roster = rosters::members(transaction, &tenant, &group)?;
            for (who, _) in &roster {
                rosters::forget(transaction, &tenant, &group, *who);
            }
            let people = roster.iter().filter(|(_, member)| member.present().is_some()).count();
            let records = record::remove_of_group(transaction, &tenant, &group)?;
            timetables::remove_of_group(transaction, &tenant, &group)?;
            log::remove_of_group(transaction, &tenant, &group)?;
            webhooks::forget_group(transaction, &author, &group)?;
            api_keys::forget_group(transaction, &author, &group)?;
            users::forget_group(transaction, &author, &group)?;
            // One that cannot be read can still be removed.
            let old: Option<Group> = transaction.get(&keys::group(&tenant, &group)).ok().flatten();
            transaction.remove(keys::group(&tenant, &group));
            let was = json!({ "group": old, "people": people, "attendance": records });
            audit::note(transaction, &author, "group.delete", |it| it.group(&group).before(&was))?;
            grow(transaction, &tenant, limits, Growth { groups: -1, ..Growth::default() })
        })
        .await
    }
}

pub(in crate::store) fn require_group(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<()> {
    if read.has(&keys::group(tenant, group))? { Ok(()) } else { Err(group_not_found()) }
}
