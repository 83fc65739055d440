//! Groups and their rosters. A roster entry is stored both ways round, by group and by person.

use jiff::Timestamp;
use serde_json::json;

use super::{
    Store, api_keys, attendance, audit,
    codec::{self, Record},
    db::Read,
    events, group_not_found,
    keys::{self, Kind, Parsed},
    pseudonyms::{pseudonym, require_person},
    sessions, timetables,
    transaction::Transaction,
    usage::{Growth, grow},
    users, webhooks,
};
use crate::{
    domain::{Group, GroupId, PersonId, Pseudonym, Rules, TenantId, TenantScope, group::Member},
    error::{Error, ErrorKind, Result},
};

impl Record for Group {
    const KIND: u8 = 3;
}

/// The roster's value.
impl Record for Member {
    const KIND: u8 = 80;
}

/// A value of indices by person.
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
        let (author, tenant, limits) = (scope.author(), scope.tenant().clone(), self.inner.default_limits);
        self.write(scope.right(), move |transaction| {
            let key = keys::group(&tenant, &group.id);
            if transaction.has(&key)? {
                return Err(
                    Error::new(ErrorKind::Conflict, "there is a group of this id already").with_code("group_exists")
                );
            }
            grow(transaction, &tenant, limits, Growth { groups: 1, ..Growth::default() })?;
            transaction.put(key, &group)?;
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
            group.name = change.name.unwrap_or(group.name);
            group.time_zone = change.time_zone.unwrap_or(group.time_zone);
            group.rules = change.rules.unwrap_or(group.rules);
            transaction.put(key, &group)?;
            if group.time_zone != old.time_zone {
                sessions::widen_days(transaction, &tenant, &group)?;
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
            let roster = members(transaction, &tenant, &group)?;
            for (who, _) in &roster {
                leave(transaction, &tenant, &group, *who);
            }
            let records = attendance::remove_of_group(transaction, &tenant, &group)?;
            timetables::remove_of_group(transaction, &tenant, &group)?;
            events::remove_of_group(transaction, &tenant, &group)?;
            webhooks::forget_group(transaction, &author, &group)?;
            api_keys::forget_group(transaction, &author, &group)?;
            users::forget_group(transaction, &author, &group)?;
            // One that cannot be read can still be removed.
            let old: Option<Group> = transaction.get(&keys::group(&tenant, &group)).ok().flatten();
            transaction.remove(keys::group(&tenant, &group));
            let was = json!({ "group": old, "people": roster.len(), "attendance": records });
            audit::note(transaction, &author, "group.delete", |it| it.group(&group).before(&was))?;
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
        let (author, tenant, group, person) = (scope.author(), scope.tenant().clone(), group.clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            require_group(transaction, &tenant, &group)?;
            let who = require_person(transaction, &tenant, &person)?;
            if transaction.has(&keys::member(&tenant, &group, who))? {
                return Ok(());
            }
            join(transaction, &tenant, &group, (who, &person), now)?;
            audit::note(transaction, &author, "member.add", |it| it.group(&group).person(&person))
        })
        .await
    }

    /// Takes a person off a group's roster; nothing changes where they are not on it. Their attendance stays.
    /// Errors: `NotFound` `group_not_found` or `person_not_found`.
    pub async fn remove_member(&self, scope: &TenantScope, group: &GroupId, person: &PersonId) -> Result<()> {
        let (author, tenant, group, person) = (scope.author(), scope.tenant().clone(), group.clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            require_group(transaction, &tenant, &group)?;
            let who = require_person(transaction, &tenant, &person)?;
            if !transaction.has(&keys::member(&tenant, &group, who))? {
                return Ok(());
            }
            leave(transaction, &tenant, &group, who);
            audit::note(transaction, &author, "member.remove", |it| it.group(&group).person(&person))
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
            let who = require_person(view, &tenant, &person)?;
            groups_of(view, &tenant, who)
        })
        .await
    }
}

pub(super) fn require_group(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<()> {
    if read.has(&keys::group(tenant, group))? { Ok(()) } else { Err(group_not_found()) }
}

/// The pseudonym of a person who is on a group's roster, and since when they are.
pub(super) fn on_roster(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    person: &PersonId,
) -> Result<Option<(Pseudonym, Timestamp)>> {
    let Some(who) = pseudonym(read, tenant, person)? else { return Ok(None) };
    Ok(joined_at(read, tenant, group, who)?.map(|since| (who, since)))
}

/// Since when a person is on a roster; `None` if they are not on it.
pub(super) fn joined_at(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    who: Pseudonym,
) -> Result<Option<Timestamp>> {
    Ok(read.get::<Member>(&keys::member(tenant, group, who))?.map(|member| member.joined_at))
}

pub(super) fn groups_of(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<GroupId>> {
    read.scan(&keys::memberships(tenant, who), None).collect()
}

/// Puts a person on a roster at `now`, unless they have been on it for longer.
pub(super) fn join(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
    (who, person): (Pseudonym, &PersonId),
    now: Timestamp,
) -> Result<()> {
    let since = joined_at(transaction, tenant, group, who)?;
    let member = Member { person: person.clone(), joined_at: since.map_or(now, |since| since.min(now)) };
    transaction.put(keys::member(tenant, group, who), &member)?;
    transaction.put(keys::membership(tenant, who, group), group)
}

pub(super) fn leave(transaction: &mut Transaction<'_>, tenant: &TenantId, group: &GroupId, who: Pseudonym) {
    transaction.remove(keys::member(tenant, group, who));
    transaction.remove(keys::membership(tenant, who, group));
}

fn roster(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<Vec<PersonId>> {
    let mut people: Vec<PersonId> =
        members(read, tenant, group)?.into_iter().map(|(_, member)| member.person).collect();
    people.sort_unstable();
    Ok(people)
}

/// The people of a roster, by pseudonym.
pub(super) fn members(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<Vec<(Pseudonym, Member)>> {
    let prefix = keys::members(tenant, group);
    let members = read.scan_bytes(&prefix, None).map(|entry| {
        let (key, bytes) = entry?;
        match keys::parse(&key) {
            Some(Parsed::Data(_, Kind::Member(_, who))) => Ok((who, codec::decode(&bytes)?)),
            _ => Err(codec::damaged()),
        }
    });
    members.collect()
}
