//! Groups and their rosters. A roster entry is stored both ways round, by group and by person.

use jiff::Timestamp;

use super::{
    Store, api_keys, attendance,
    codec::Record,
    db::Read,
    group_not_found, keys, person_not_found, timetables,
    transaction::Transaction,
    usage::{Growth, grow},
    users,
};
use crate::{
    domain::{Group, GroupId, PersonId, Rules, TenantId, TenantScope, group::Member},
    error::{Error, ErrorKind, Result},
};

impl Record for Group {
    const KIND: u8 = 3;
}

/// The roster's value.
impl Record for Member {
    const KIND: u8 = 80;
}

/// The value of indices by person.
impl Record for PersonId {
    const KIND: u8 = 4;
}

/// The roster's value, the other way round: the group.
impl Record for GroupId {
    const KIND: u8 = 5;
}

/// What to change of a group; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupChange {
    /// A new name, checked by [`checked_name`](crate::domain::ids::checked_name).
    pub name: Option<String>,
    /// A new time zone, checked by [`checked_time_zone`](crate::domain::group::checked_time_zone).
    pub time_zone: Option<String>,
    /// New rules, [checked](Rules::checked). Sessions are judged by the rules of the moment; closed ones stay as they are.
    pub rules: Option<Rules>,
}

impl Store {
    /// Makes a group. Errors: `Conflict` `group_exists` or `limit_reached`, `NotFound` `tenant_not_found`.
    pub async fn create_group(&self, scope: &TenantScope, group: Group) -> Result<()> {
        let (tenant, limits) = (scope.tenant().clone(), self.inner.default_limits);
        self.write(move |transaction| {
            let key = keys::group(&tenant, &group.id);
            if transaction.has(&key)? {
                return Err(
                    Error::new(ErrorKind::Conflict, "there is a group of this id already").with_code("group_exists")
                );
            }
            grow(transaction, &tenant, limits, Growth { groups: 1, ..Growth::default() })?;
            transaction.put(key, &group)
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
        let key = keys::group(scope.tenant(), group);
        self.write(move |transaction| {
            let mut group: Group = transaction.get(&key)?.ok_or_else(group_not_found)?;
            group.name = change.name.unwrap_or(group.name);
            group.time_zone = change.time_zone.unwrap_or(group.time_zone);
            group.rules = change.rules.unwrap_or(group.rules);
            transaction.put(key, &group)?;
            Ok(group)
        })
        .await
    }

    /// Removes a group with its roster, its sessions and their records; its people stay.
    /// Errors: `NotFound` `group_not_found`.
    pub async fn delete_group(&self, scope: &TenantScope, group: &GroupId) -> Result<()> {
        let (tenant, group, limits) = (scope.tenant().clone(), group.clone(), self.inner.default_limits);
        self.write(move |transaction| {
            require_group(transaction, &tenant, &group)?;
            for person in roster(transaction, &tenant, &group)? {
                leave(transaction, &tenant, &group, &person);
            }
            attendance::remove_of_group(transaction, &tenant, &group)?;
            timetables::remove_of_group(transaction, &tenant, &group)?;
            api_keys::forget_group(transaction, &tenant, &group)?;
            users::forget_group(transaction, &tenant, &group)?;
            transaction.remove(keys::group(&tenant, &group));
            grow(transaction, &tenant, limits, Growth { groups: -1, ..Growth::default() })
        })
        .await
    }

    /// Puts a person on a group's roster from `now` on; nothing changes where they are on it.
    /// Errors: `NotFound` `group_not_found` or `person_not_found`.
    pub async fn add_member(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        person: &PersonId,
        now: Timestamp,
    ) -> Result<()> {
        let (tenant, group, person) = (scope.tenant().clone(), group.clone(), person.clone());
        self.write(move |transaction| {
            require_group(transaction, &tenant, &group)?;
            require_person(transaction, &tenant, &person)?;
            join(transaction, &tenant, &group, &person, now)
        })
        .await
    }

    /// Takes a person off a group's roster; nothing changes where they are not on it. Their attendance stays.
    /// Errors: `NotFound` `group_not_found` or `person_not_found`.
    pub async fn remove_member(&self, scope: &TenantScope, group: &GroupId, person: &PersonId) -> Result<()> {
        let (tenant, group, person) = (scope.tenant().clone(), group.clone(), person.clone());
        self.write(move |transaction| {
            require_group(transaction, &tenant, &group)?;
            require_person(transaction, &tenant, &person)?;
            leave(transaction, &tenant, &group, &person);
            Ok(())
        })
        .await
    }

    /// The people on a group's roster, by the bytes of their ids. Errors: `NotFound` `group_not_found`.
    pub async fn roster(&self, scope: &TenantScope, group: &GroupId) -> Result<Vec<PersonId>> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            require_group(view, &tenant, &group)?;
            roster(view, &tenant, &group)
        })
        .await
    }

    /// The groups whose roster a person is on, by the bytes of their ids. Errors: `NotFound` `person_not_found`.
    pub async fn groups_of(&self, scope: &TenantScope, person: &PersonId) -> Result<Vec<GroupId>> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            require_person(view, &tenant, &person)?;
            groups_of(view, &tenant, &person)
        })
        .await
    }
}

pub(super) fn require_group(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<()> {
    if read.has(&keys::group(tenant, group))? { Ok(()) } else { Err(group_not_found()) }
}

pub(super) fn require_person(read: &impl Read, tenant: &TenantId, person: &PersonId) -> Result<()> {
    if read.has(&keys::person(tenant, person))? { Ok(()) } else { Err(person_not_found()) }
}

/// Since when a person is on a roster; `None` if they are not on it.
pub(super) fn joined_at(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    person: &PersonId,
) -> Result<Option<Timestamp>> {
    Ok(read.get::<Member>(&keys::member(tenant, group, person))?.map(|member| member.joined_at))
}

pub(super) fn members(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<Vec<Member>> {
    read.scan(&keys::members(tenant, group), None).collect()
}

pub(super) fn groups_of(read: &impl Read, tenant: &TenantId, person: &PersonId) -> Result<Vec<GroupId>> {
    read.scan(&keys::memberships(tenant, person), None).collect()
}

/// Puts a person on a roster at `now`, unless they have been on it for longer.
pub(super) fn join(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
    person: &PersonId,
    now: Timestamp,
) -> Result<()> {
    let since = joined_at(transaction, tenant, group, person)?;
    let member = Member { person: person.clone(), joined_at: since.map_or(now, |since| since.min(now)) };
    transaction.put(keys::member(tenant, group, person), &member)?;
    transaction.put(keys::membership(tenant, person, group), group)
}

pub(super) fn leave(transaction: &mut Transaction<'_>, tenant: &TenantId, group: &GroupId, person: &PersonId) {
    transaction.remove(keys::member(tenant, group, person));
    transaction.remove(keys::membership(tenant, person, group));
}

fn roster(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<Vec<PersonId>> {
    Ok(members(read, tenant, group)?.into_iter().map(|member| member.person).collect())
}
