//! Two records of one person become one, and samples that went to the wrong person go to the right one.

use super::{
    PersonRecord, Store, attendance,
    db::Read,
    faces,
    groups::{groups_of, join, joined_at, leave, require_person},
    keys, negatives,
    people::with_belongings,
    person_not_found, search,
    transaction::Transaction,
    usage::{Growth, grow},
};
use crate::{
    domain::{Consent, FaceId, FaceSample, MetadataPatch, Person, PersonId, TenantId, TenantScope, metadata},
    error::{Error, Result},
};

impl Store {
    /// Gives all that belongs to `from` to `person` and removes `from`: samples, places on rosters, attendance, and what
    /// `person` lacks of address and metadata. Of two records of one session the better stays; of two consents the one
    /// that holds longer; negatives that were made of each other's samples go. Returns `person` with all their samples.
    ///
    /// Errors: `NotFound` `person_not_found`; `Invalid` `same_person`, or `invalid_metadata` where both together are too
    /// much; `Conflict` `too_many_faces` or `too_many_negatives`. Nothing is changed then.
    pub async fn merge_people(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        from: &PersonId,
    ) -> Result<(PersonRecord, Vec<FaceSample>)> {
        let (tenant, limits) = (scope.tenant().clone(), self.inner.default_limits);
        let (target, from) = (person.clone(), from.clone());
        self.write(move |transaction| {
            require_two(&target, &from)?;
            let load = |transaction: &Transaction<'_>, id| -> Result<Person> {
                transaction.get(&keys::person(&tenant, id))?.ok_or_else(person_not_found)
            };
            let (kept, gone) = (load(transaction, &target)?, load(transaction, &from)?);
            let merged = merged(kept, gone)?;
            let mut samples = faces_of(transaction, &tenant, &target)?;
            let moved = renamed(faces_of(transaction, &tenant, &from)?, &target);
            faces::put_all(transaction, &tenant, &target, &moved, samples.len())?;
            faces::remove_all(transaction, &tenant, &from)?;
            let mut groups = groups_of(transaction, &tenant, &target)?;
            for group in groups_of(transaction, &tenant, &from)? {
                let since = joined_at(transaction, &tenant, &group, &from)?.unwrap_or(merged.created_at);
                leave(transaction, &tenant, &group, &from);
                join(transaction, &tenant, &group, &target, since)?;
                groups.push(group);
            }
            groups.sort_unstable();
            groups.dedup();
            attendance::give(transaction, &tenant, &from, &target)?;
            let wrong = negatives::give(transaction, &tenant, &from, &target)?;
            search::remove_person(transaction, &tenant, &from)?;
            search::put_person(transaction, &tenant, &merged)?;
            let growth = Growth { people: -1, samples: -(wrong as i64), ..Growth::default() };
            grow(transaction, &tenant, limits, growth)?;
            samples.extend(moved);
            samples.sort_unstable_by_key(|sample| sample.id);
            let faces = samples.iter().map(Into::into).collect();
            Ok((PersonRecord { person: merged, groups, faces }, samples))
        })
        .await
    }

    /// Gives one sample of a person to another; returns it, and the other as they are then.
    ///
    /// Errors: `NotFound` `person_not_found` or `face_not_found`; `Invalid` `same_person`; `Conflict` `too_many_faces`.
    pub async fn move_face(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        face: FaceId,
        to: &PersonId,
    ) -> Result<(FaceSample, PersonRecord)> {
        let (tenant, person, to) = (scope.tenant().clone(), person.clone(), to.clone());
        self.write(move |transaction| {
            require_two(&person, &to)?;
            require_person(transaction, &tenant, &person)?;
            let other: Person = transaction.get(&keys::person(&tenant, &to))?.ok_or_else(person_not_found)?;
            let key = keys::face(&tenant, &person, face);
            let sample: FaceSample = transaction.get(&key)?.ok_or_else(faces::face_not_found)?;
            let moved = FaceSample { person: to.clone(), ..sample };
            let mut record = with_belongings(transaction, &tenant, other)?;
            record.faces.extend(faces::put_all(
                transaction,
                &tenant,
                &to,
                std::slice::from_ref(&moved),
                record.faces.len(),
            )?);
            record.faces.sort_unstable_by_key(|face| face.id);
            transaction.remove(key);
            Ok((moved, record))
        })
        .await
    }
}

fn require_two(one: &PersonId, other: &PersonId) -> Result<()> {
    if one == other { Err(Error::invalid("this is one and the same person").with_code("same_person")) } else { Ok(()) }
}

fn faces_of(read: &impl Read, tenant: &TenantId, person: &PersonId) -> Result<Vec<FaceSample>> {
    read.scan(&keys::faces_of(tenant, person), None).collect()
}

fn renamed(samples: Vec<FaceSample>, person: &PersonId) -> Vec<FaceSample> {
    samples.into_iter().map(|sample| FaceSample { person: person.clone(), ..sample }).collect()
}

/// What is known of the two together; where they differ, what is known of `kept`.
fn merged(kept: Person, gone: Person) -> Result<Person> {
    let own: MetadataPatch = kept.metadata.into_iter().map(|(key, value)| (key, Some(value))).collect();
    Ok(Person {
        email: kept.email.or(gone.email),
        metadata: metadata::changed(gone.metadata, own)?,
        consent: longer(kept.consent, gone.consent),
        created_at: kept.created_at.min(gone.created_at),
        ..kept
    })
}

/// The consent that holds longer.
fn longer(kept: Option<Consent>, gone: Option<Consent>) -> Option<Consent> {
    match (kept, gone) {
        (Some(kept), Some(gone)) => {
            let is_longer = kept.expires_at.is_some_and(|end| gone.expires_at.is_none_or(|other| other > end));
            Some(if is_longer { gone } else { kept })
        }
        (kept, gone) => kept.or(gone),
    }
}
