//! Timetables of groups, and the holidays of a tenant.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::groups::require_group;
use crate::{
    domain::{
        GroupId, TenantId, TenantScope, Timetable,
        attendance::timetable::{Entry, Holiday},
        ids::TimetableTag,
    },
    error::{Error, Result},
    store::{Store, access::audit, engine::Read, keys, transaction::Transaction},
};

/// Days on which no group of a tenant meets.
#[derive(Default, Serialize, Deserialize)]
pub(in crate::store) struct Holidays(Vec<Holiday>);

/// A new entry, or one that a timetable has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The number of the one that it takes the place of; none for a new one.
    pub number: Option<u16>,
    /// The entry; its own number counts for nothing.
    pub entry: Entry,
}

impl Store {
    /// A group's timetable. Errors: `NotFound` `group_not_found`.
    pub async fn timetable(&self, scope: &TenantScope, group: &GroupId) -> Result<Option<Timetable>> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            require_group(view, &tenant, &group)?;
            timetable(view, &tenant, &group)
        })
        .await
    }

    /// Puts entries and holidays in the place of those that a group had. Sessions that are stored stay. `fresh` is a
    /// tag by chance, for a group's first timetable.
    ///
    /// Errors: `NotFound` `group_not_found`; `Invalid` `invalid_timetable` also for a number that the timetable has not
    /// given; those of [`Timetable::checked`].
    pub async fn put_timetable(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        fresh: TimetableTag,
        entries: Vec<NewEntry>,
        holidays: Vec<Holiday>,
    ) -> Result<Timetable> {
        let (author, tenant, group) = (scope.author(), scope.tenant().clone(), group.clone());
        self.write(scope.right(), move |transaction| {
            require_group(transaction, &tenant, &group)?;
            let old = timetable(transaction, &tenant, &group)?;
            if old.is_none() && transaction.has(&keys::timetable_tag(&tenant, fresh))? {
                return Err(Error::internal("two timetables were given one tag: try again"));
            }
            let none =
                Timetable { group: group.clone(), tag: fresh, entries: Vec::new(), next: 1, holidays: Vec::new() };
            let old = old.unwrap_or(none);
            let new = replaced(old.clone(), entries.clone(), holidays.clone())?.checked()?;
            transaction.put(keys::timetable_tag(&tenant, new.tag), &group)?;
            transaction.put(keys::timetable(&tenant, &group), &new)?;
            audit::note(transaction, &author, "timetable.replace", |it| it.group(&group).changed(&old, &new))?;
            Ok(new)
        })
        .await
    }

    /// Days on which no group of the tenant meets.
    pub async fn holidays(&self, scope: &TenantScope) -> Result<Vec<Holiday>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| holidays(view, &tenant)).await
    }

    /// Puts [checked](crate::domain::attendance::timetable::checked_holidays) holidays in the place of those that the tenant had.
    pub async fn put_holidays(&self, scope: &TenantScope, holidays: Vec<Holiday>) -> Result<()> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let old = json!({ "holidays": self::holidays(transaction, &tenant)? });
            let new = json!({ "holidays": &holidays });
            transaction.put(keys::holidays(&tenant), &Holidays(holidays.clone()))?;
            audit::note(transaction, &author, "holidays.replace", |it| it.changed(&old, &new))
        })
        .await
    }
}

fn replaced(old: Timetable, entries: Vec<NewEntry>, holidays: Vec<Holiday>) -> Result<Timetable> {
    let mut next = old.next;
    let mut numbered = Vec::with_capacity(entries.len());
    for NewEntry { number, entry } in entries {
        let number = match number {
            Some(number) if (1..old.next).contains(&number) => number,
            Some(_) => {
                let message = "an entry's number is one that this timetable has given, or none";
                return Err(Error::invalid(message).with_code("invalid_timetable"));
            }
            None => {
                next = next.checked_add(1).ok_or_else(|| {
                    Error::invalid("this timetable has had too many entries").with_code("invalid_timetable")
                })?;
                next - 1
            }
        };
        numbered.push(Entry { number, ..entry });
    }
    Ok(Timetable { entries: numbered, next, holidays, ..old })
}

pub(in crate::store) fn timetable(read: &impl Read, tenant: &TenantId, group: &GroupId) -> Result<Option<Timetable>> {
    read.get(&keys::timetable(tenant, group))
}

pub(in crate::store) fn holidays(read: &impl Read, tenant: &TenantId) -> Result<Vec<Holiday>> {
    Ok(read.get::<Holidays>(&keys::holidays(tenant))?.unwrap_or_default().0)
}

/// The group whose timetable has a tag.
pub(in crate::store) fn group_of_tag(
    read: &impl Read,
    tenant: &TenantId,
    tag: TimetableTag,
) -> Result<Option<GroupId>> {
    read.get(&keys::timetable_tag(tenant, tag))
}

pub(in crate::store) fn remove_of_group(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
) -> Result<()> {
    if let Some(timetable) = timetable(transaction, tenant, group)? {
        transaction.remove(keys::timetable_tag(tenant, timetable.tag));
        transaction.remove(keys::timetable(tenant, group));
    }
    Ok(())
}
