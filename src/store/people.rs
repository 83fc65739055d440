//! People: with their groups and faces, one record to the outside.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    FaceInfo, Store, attendance,
    codec::Record,
    db::Read,
    faces,
    groups::{groups_of, join, leave, require_group, require_person},
    keys, negatives, person_not_found, search,
    transaction::Transaction,
    usage::{Growth, grow},
};
use crate::{
    domain::{FaceSample, GroupId, MetadataPatch, Person, PersonId, TenantId, TenantScope, metadata},
    error::{Error, ErrorKind, Result},
};

impl Record for Person {
    const KIND: u8 = 6;
}

/// A person with what belongs to them.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRecord {
    /// The person.
    pub person: Person,
    /// The groups whose roster they are on, by the bytes of their ids.
    pub groups: Vec<GroupId>,
    /// Their samples without the vectors, oldest first.
    pub faces: Vec<FaceInfo>,
}

/// What to change of a person; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonChange {
    /// A new name, checked by [`checked_name`](crate::domain::ids::checked_name).
    pub name: Option<String>,
    /// A new address, checked by [`checked_email`](crate::domain::person::checked_email), or none.
    pub email: Option<Option<String>>,
    /// Entries to set or to remove.
    pub metadata: MetadataPatch,
    /// The groups that they belong to from now on, in place of all that they belonged to.
    pub groups: Option<Vec<GroupId>>,
    /// When; since then they are on the rosters that are new to them.
    pub at: Timestamp,
}

impl Store {
    /// Enrols a person: the person, their places on rosters and their samples, or nothing.
    ///
    /// Errors: `Conflict` `person_exists`, `too_many_faces` or `limit_reached`; `NotFound` `tenant_not_found` or `group_not_found`;
    /// `Internal` for a sample of another person.
    pub async fn create_person(
        &self,
        scope: &TenantScope,
        person: Person,
        groups: &[GroupId],
        faces: Vec<FaceSample>,
    ) -> Result<PersonRecord> {
        let (tenant, groups, limits) = (scope.tenant().clone(), groups.to_vec(), self.inner.default_limits);
        self.write(move |transaction| {
            if transaction.has(&keys::person(&tenant, &person.id))? {
                return Err(
                    Error::new(ErrorKind::Conflict, "there is a person of this id already").with_code("person_exists")
                );
            }
            search::put_person(transaction, &tenant, &person)?;
            let groups = set_groups(transaction, &tenant, &person.id, &groups, person.created_at)?;
            let faces = faces::put_all(transaction, &tenant, &person.id, &faces, 0)?;
            grow(transaction, &tenant, limits, Growth { people: 1, samples: faces.len() as i64, groups: 0 })?;
            Ok(PersonRecord { person, groups, faces })
        })
        .await
    }

    /// A person. Errors: `NotFound` `person_not_found`.
    pub async fn person(&self, scope: &TenantScope, person: &PersonId) -> Result<PersonRecord> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            let person = view.get(&keys::person(&tenant, &person))?.ok_or_else(person_not_found)?;
            with_belongings(view, &tenant, person)
        })
        .await
    }

    /// At most `limit` people whose ids come after `after`, by the bytes of their ids.
    pub async fn people(
        &self,
        scope: &TenantScope,
        after: Option<&PersonId>,
        limit: usize,
    ) -> Result<Vec<PersonRecord>> {
        let (tenant, after) = (scope.tenant().clone(), after.map(|person| keys::person(scope.tenant(), person)));
        self.read(move |view| {
            view.scan(&keys::people(&tenant), after.as_deref())
                .take(limit)
                .map(|person| with_belongings(view, &tenant, person?))
                .collect()
        })
        .await
    }

    /// The names of `people`, in their order; `None` for those who do not exist.
    pub async fn names(&self, scope: &TenantScope, people: Vec<PersonId>) -> Result<Vec<Option<String>>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let name = |id: &PersonId| {
                let person: Option<Person> = view.get(&keys::person(&tenant, id))?;
                Ok(person.map(|person| person.name))
            };
            people.iter().map(name).collect()
        })
        .await
    }

    /// Changes a person and returns them as they are then.
    /// Errors: `NotFound` `person_not_found` or `group_not_found`, `Invalid` `invalid_metadata`, and nothing is changed.
    pub async fn update_person(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        change: PersonChange,
    ) -> Result<PersonRecord> {
        let (tenant, key) = (scope.tenant().clone(), keys::person(scope.tenant(), person));
        self.write(move |transaction| {
            let mut person: Person = transaction.get(&key)?.ok_or_else(person_not_found)?;
            person.name = change.name.unwrap_or(person.name);
            person.email = change.email.unwrap_or(person.email);
            person.metadata = metadata::changed(person.metadata, change.metadata)?;
            search::put_person(transaction, &tenant, &person)?;
            let groups = match change.groups {
                Some(groups) => set_groups(transaction, &tenant, &person.id, &groups, change.at)?,
                None => groups_of(transaction, &tenant, &person.id)?,
            };
            let faces = faces::infos(transaction, &tenant, &person.id)?;
            Ok(PersonRecord { person, groups, faces })
        })
        .await
    }

    /// Removes a person and all that is known of them: samples, negatives made of them or of others, places on rosters, and their attendance records in
    /// every group. Who asks to be erased expects nothing less; export the attendance first where it must be kept.
    /// Errors: `NotFound` `person_not_found`.
    pub async fn delete_person(&self, scope: &TenantScope, person: &PersonId) -> Result<()> {
        let (tenant, person, limits) = (scope.tenant().clone(), person.clone(), self.inner.default_limits);
        self.write(move |transaction| {
            require_person(transaction, &tenant, &person)?;
            for group in groups_of(transaction, &tenant, &person)? {
                leave(transaction, &tenant, &group, &person);
            }
            let samples = faces::remove_all(transaction, &tenant, &person)?
                + negatives::remove_all(transaction, &tenant, &person)?;
            attendance::remove_of_person(transaction, &tenant, &person)?;
            search::remove_person(transaction, &tenant, &person)?;
            grow(transaction, &tenant, limits, Growth { people: -1, samples: -(samples as i64), groups: 0 })
        })
        .await
    }
}

pub(super) fn with_belongings(read: &impl Read, tenant: &TenantId, person: Person) -> Result<PersonRecord> {
    let groups = groups_of(read, tenant, &person.id)?;
    let faces = faces::infos(read, tenant, &person.id)?;
    Ok(PersonRecord { person, groups, faces })
}

/// Makes `groups` the person's groups from `now` on, all of which must exist; returns them in order and each once.
fn set_groups(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    person: &PersonId,
    groups: &[GroupId],
    now: Timestamp,
) -> Result<Vec<GroupId>> {
    let groups: BTreeSet<&GroupId> = groups.iter().collect();
    for group in &groups {
        require_group(transaction, tenant, group)?;
    }
    for group in groups_of(transaction, tenant, person)?.iter().filter(|group| !groups.contains(group)) {
        leave(transaction, tenant, group, person);
    }
    for group in &groups {
        join(transaction, tenant, group, person, now)?;
    }
    Ok(groups.into_iter().cloned().collect())
}
