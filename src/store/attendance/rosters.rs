//! Rosters: who is in a group, and who was. A place on one is stored both ways round, by group and by person.

use jiff::Timestamp;
use serde::Deserialize;

use super::{closing, groups::require_group};
use crate::{
    domain::{
        Group, GroupId, PersonId, Pseudonym, TenantId, TenantScope,
        attendance::roster::{DayOrMoment, Member, Period, checked_since},
    },
    error::{Error, Result},
    store::{
        Store,
        access::audit,
        codec::{self, Older, OlderBody},
        engine::Read,
        group_not_found,
        keys::{self, Kind, Parsed},
        people::pseudonyms::{pseudonym, require_person},
        person_not_found,
        transaction::Transaction,
    },
};

impl Older for Member {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let MemberV1 { person, joined_at } = body.read()?;
        let period = Period { since: joined_at, until: None, entered_at: joined_at };
        Ok(Self { person, periods: vec![period] })
    }
}

/// Before memberships had an end: who left was forgotten.
#[derive(Deserialize)]
struct MemberV1 {
    person: PersonId,
    joined_at: Timestamp,
}

impl Store {
    /// Puts a person on a group's roster since `since`, or since the beginning of the present day where the group is; who
    /// is on it already stays as they are, or has been since `since`.
    ///
    /// Errors: `NotFound` `group_not_found` or `person_not_found`; `Invalid` `invalid_roster_time`; `Conflict`
    /// `too_many_periods`.
    pub async fn add_member(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        person: &PersonId,
        since: Option<DayOrMoment>,
        now: Timestamp,
    ) -> Result<()> {
        let (author, tenant, group, person) = (scope.author(), scope.tenant().clone(), group.clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            require_group(transaction, &tenant, &group)?;
            let who = require_person(transaction, &tenant, &person)?;
            let before = member(transaction, &tenant, &group, who)?;
            let Some(after) = joined(transaction, &tenant, &group, (who, &person), since, now)? else {
                return Ok(());
            };
            put(transaction, &tenant, &group, who, &after)?;
            audit::note(transaction, &author, "member.add", |it| {
                it.group(&group).person(&person).changed(&before, &Some(after))
            })
        })
        .await
    }

    /// Takes a person off a group's roster at the end of `until`, which is over, or at once; nothing changes where they
    /// are not on it. When they were on it stays, and so does their attendance.
    ///
    /// Errors: `NotFound` `group_not_found` or `person_not_found`; `Invalid` `invalid_roster_time` for a time that is
    /// still to come, or is before they joined.
    pub async fn remove_member(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        person: &PersonId,
        until: Option<DayOrMoment>,
        now: Timestamp,
    ) -> Result<()> {
        let (author, tenant, group, person) = (scope.author(), scope.tenant().clone(), group.clone(), person.clone());
        self.write(scope.right(), move |transaction| {
            let known: Group = transaction.get(&keys::group(&tenant, &group))?.ok_or_else(group_not_found)?;
            let who = require_person(transaction, &tenant, &person)?;
            let Some(before) = member(transaction, &tenant, &group, who)? else { return Ok(()) };
            let Some(present) = before.present() else { return Ok(()) };
            let until = until.map(|until| until.end(&known)).transpose()?;
            if until.is_some_and(|until| until > now || until < present.since) {
                let message = "somebody leaves a roster after they joined it, and not in the future";
                return Err(Error::invalid(message).with_code("invalid_roster_time"));
            }
            let after = leave(transaction, &tenant, &group, who, until.unwrap_or(now))?;
            audit::note(transaction, &author, "member.remove", |it| {
                it.group(&group).person(&person).changed(&Some(before), &after)
            })
        })
        .await
    }

    /// The people on a group's roster, by the bytes of their ids. Errors: `NotFound` `group_not_found`.
    pub async fn roster(&self, scope: &TenantScope, group: &GroupId) -> Result<Vec<PersonId>> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            require_group(view, &tenant, &group)?;
            roster(view, &tenant, &group, |member| member.present().is_some())
        })
        .await
    }

    /// Everybody who is on a group's roster or ever was, with when that was, by the bytes of their ids. Errors:
    /// `NotFound` `group_not_found`.
    pub async fn members(&self, scope: &TenantScope, group: &GroupId) -> Result<Vec<Member>> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            require_group(view, &tenant, &group)?;
            let mut all: Vec<Member> = members(view, &tenant, &group)?.into_iter().map(|(_, member)| member).collect();
            all.sort_unstable_by(|one, other| one.person.cmp(&other.person));
            Ok(all)
        })
        .await
    }

    /// Errors unless a person is on a group's roster: `NotFound` `group_not_found` or `person_not_found`.
    pub async fn require_member(&self, scope: &TenantScope, group: &GroupId, person: &PersonId) -> Result<()> {
        let (tenant, group, person) = (scope.tenant().clone(), group.clone(), person.clone());
        self.read(move |view| {
            require_group(view, &tenant, &group)?;
            let who = require_person(view, &tenant, &person)?;
            let place = member(view, &tenant, &group, who)?.filter(|member| member.present().is_some());
            place.map(drop).ok_or_else(person_not_found)
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

/// The pseudonym of a person who [belongs](Member::belongs) to a group at `at`, and their place on its roster.
pub(in crate::store) fn belonging(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    person: &PersonId,
    at: Timestamp,
) -> Result<Option<(Pseudonym, Member)>> {
    let Some(who) = pseudonym(read, tenant, person)? else { return Ok(None) };
    let place = member(read, tenant, group, who)?.filter(|member| member.belongs(at));
    Ok(place.map(|member| (who, member)))
}

/// The place on a roster of somebody who is on it or was.
pub(in crate::store) fn member(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    who: Pseudonym,
) -> Result<Option<Member>> {
    read.get(&keys::member(tenant, group, who))
}

/// The groups whose roster a person is on.
pub(in crate::store) fn groups_of(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<GroupId>> {
    let places = places_of(read, tenant, who)?.into_iter();
    Ok(places.filter(|(_, member)| member.present().is_some()).map(|(group, _)| group).collect())
}

/// The groups whose roster a person is on or was.
pub(in crate::store) fn all_groups_of(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<GroupId>> {
    read.scan(&keys::memberships(tenant, who), None).collect()
}

/// A person's places on rosters, those that they have left too, by group.
pub(in crate::store) fn places_of(
    read: &impl Read,
    tenant: &TenantId,
    who: Pseudonym,
) -> Result<Vec<(GroupId, Member)>> {
    let place = |group: GroupId| {
        let place = member(read, tenant, &group, who)?;
        Ok(place.map(|member| (group, member)))
    };
    all_groups_of(read, tenant, who)?.into_iter().filter_map(|group| place(group).transpose()).collect()
}

/// The place of somebody who joins a group at `now`, such that they have been on its roster since `since` or the
/// beginning of the day; `None` where that changes nothing. Errors: `NotFound` `group_not_found`; `Invalid`
/// `invalid_roster_time`; `Conflict` `too_many_periods`.
fn joined(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    (who, person): (Pseudonym, &PersonId),
    since: Option<DayOrMoment>,
    now: Timestamp,
) -> Result<Option<Member>> {
    let known: Group = read.get(&keys::group(tenant, group))?.ok_or_else(group_not_found)?;
    let before = member(read, tenant, group, who)?;
    place_since(&known, before.as_ref(), person, since, now)
}

/// The same of somebody who had the place `before`, if they had one, in a group that may be made only now.
pub(in crate::store) fn place_since(
    group: &Group,
    before: Option<&Member>,
    person: &PersonId,
    since: Option<DayOrMoment>,
    now: Timestamp,
) -> Result<Option<Member>> {
    let since = match since {
        None if before.is_some_and(|member| member.present().is_some()) => return Ok(None),
        None => group.day_start(group.local_date(now)?)?,
        Some(since) => checked_since(since.beginning(group)?, now)?,
    };
    let mut after = before.cloned().unwrap_or_else(|| Member::new(person.clone()));
    after.join(since, now)?;
    Ok(Some(after).filter(|after| before != Some(after)))
}

/// The same, written.
pub(in crate::store) fn join(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
    (who, person): (Pseudonym, &PersonId),
    since: Option<DayOrMoment>,
    now: Timestamp,
) -> Result<()> {
    match joined(transaction, tenant, group, (who, person), since, now)? {
        Some(member) => put(transaction, tenant, group, who, &member),
        None => Ok(()),
    }
}

/// Takes a person off a roster from `until` on; what is left of their place there.
pub(in crate::store) fn leave(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
    who: Pseudonym,
    until: Timestamp,
) -> Result<Option<Member>> {
    let Some(mut member) = member(transaction, tenant, group, who)? else { return Ok(None) };
    member.leave(until);
    put(transaction, tenant, group, who, &member)?;
    if member.periods.is_empty() {
        forget(transaction, tenant, group, who);
        return Ok(None);
    }
    Ok(Some(member))
}

/// Writes a place on a roster, and has the registers of closed sessions follow it.
pub(in crate::store) fn put(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
    who: Pseudonym,
    member: &Member,
) -> Result<()> {
    let before = put_alone(transaction, tenant, group, who, member)?;
    closing::follow_roster(transaction, tenant, group, who, (before.as_ref(), member))
}

/// Writes a place on a roster; returns the one that was there.
pub(in crate::store) fn put_alone(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
    who: Pseudonym,
    place: &Member,
) -> Result<Option<Member>> {
    let before = member(transaction, tenant, group, who)?;
    transaction.put(keys::member(tenant, group, who), place)?;
    transaction.put(keys::membership(tenant, who, group), group)?;
    Ok(before)
}

/// Removes a place on a roster with its history.
pub(in crate::store) fn forget(transaction: &mut Transaction<'_>, tenant: &TenantId, group: &GroupId, who: Pseudonym) {
    transaction.remove(keys::member(tenant, group, who));
    transaction.remove(keys::membership(tenant, who, group));
}

/// Who may be in a photo of `at`: those who were on the roster then, though they may have left since.
pub(in crate::store) fn roster_at(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    at: Timestamp,
) -> Result<Vec<PersonId>> {
    roster(read, tenant, group, |member| member.belongs(at))
}

fn roster(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
    is_of_it: impl Fn(&Member) -> bool,
) -> Result<Vec<PersonId>> {
    let members = members(read, tenant, group)?.into_iter().map(|(_, member)| member);
    let mut people: Vec<PersonId> = members.filter(is_of_it).map(|member| member.person).collect();
    people.sort_unstable();
    Ok(people)
}

/// Everybody who is on a roster or was, by pseudonym.
pub(in crate::store) fn members(
    read: &impl Read,
    tenant: &TenantId,
    group: &GroupId,
) -> Result<Vec<(Pseudonym, Member)>> {
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
