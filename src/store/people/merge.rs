//! Two records of one person become one, and samples that went to the wrong person go to the right one.

use super::{
    faces, negatives,
    person::with_belongings,
    photos::{self, PersonPhotos},
    pseudonyms::{find, require_person},
    search,
};
use crate::{
    domain::{
        Consent, FaceId, FaceSample, MetadataPatch, Person, PersonId, Pseudonym, TenantId, TenantScope,
        attendance::roster::Member, people::metadata,
    },
    error::{Error, Result},
    store::{
        PersonRecord, Store,
        access::{
            audit,
            usage::{Growth, grow},
        },
        attendance::{
            closing, record,
            rosters::{self, forget, groups_of, places_of},
        },
        engine::Read,
        events::log,
        jobs, keys, person_not_found,
        transaction::Transaction,
    },
};

impl Store {
    /// Gives all that belongs to `from` to `person` and removes `from`: samples, the photos of `from` as `photos` are
    /// of `person`, places on rosters, attendance, and what `person` lacks of address and metadata. Of two records of
    /// one session the better stays; of two consents the one that holds longer; negatives that were made of each
    /// other's samples go. Returns `person` with all their samples.
    ///
    /// Errors: `NotFound` `person_not_found`; `Invalid` `same_person`, or `invalid_metadata` where both together are too
    /// much; `Conflict` `too_many_faces`, `too_many_negatives` or `too_many_periods`. Nothing is changed then.
    pub async fn merge_people(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        from: &PersonId,
        photos: PersonPhotos,
    ) -> Result<PersonRecord> {
        let (author, tenant, limits) = (scope.author(), scope.tenant().clone(), self.inner.default_limits);
        let (target, from) = (person.clone(), from.clone());
        self.write(scope.right(), move |transaction| {
            require_two(&target, &from)?;
            let load = |transaction: &Transaction<'_>, id| find(transaction, &tenant, id)?.ok_or_else(person_not_found);
            let ((who, kept), (other, gone)) = (load(transaction, &target)?, load(transaction, &from)?);
            let merged = merged(kept.clone(), gone)?;
            let mut samples = faces_of(transaction, &tenant, who)?;
            let moved = renamed(faces_of(transaction, &tenant, other)?, &target);
            faces::give_all(transaction, &tenant, who, &target, &moved, samples.len())?;
            photos::give(transaction, &tenant, other, &photos)?;
            photos::remove_key(transaction, &tenant, other);
            faces::remove_all(transaction, &tenant, other)?;
            let old_groups = groups_of(transaction, &tenant, who)?;
            let mut places = Vec::new();
            for (group, place) in places_of(transaction, &tenant, other)? {
                let own = rosters::member(transaction, &tenant, &group, who)?;
                let mut place_of_both = own.unwrap_or_else(|| Member::new(target.clone()));
                place_of_both.add(place.periods)?;
                forget(transaction, &tenant, &group, other);
                let own = rosters::put_alone(transaction, &tenant, &group, who, &place_of_both)?;
                places.push((group, own, place_of_both));
            }
            let groups = groups_of(transaction, &tenant, who)?;
            record::give(transaction, &tenant, other, who, &target)?;
            // Those that have no record of either.
            for (group, own, of_both) in &places {
                closing::follow_roster(transaction, &tenant, group, who, (own.as_ref(), of_both))?;
            }
            log::give(transaction, &tenant, other, who, &target)?;
            let wrong = negatives::give(transaction, &tenant, (other, &from), (who, &target))?;
            jobs::forget_person(transaction, &tenant, other, &from)?;
            search::remove_person(transaction, &tenant, other, &from)?;
            search::put_person(transaction, &tenant, who, &merged)?;
            let growth = Growth { people: -1, samples: -(wrong as i64), ..Growth::default() };
            grow(transaction, &tenant, limits, growth)?;
            audit::note(transaction, &author, "person.merge", |it| {
                it.person(&target)
                    .person(&from)
                    .changed(&(&kept, &old_groups[..]), &(&merged, &groups[..]))
                    .after(&audit::faces(moved.iter().map(|sample| sample.id)))
            })?;
            samples.extend(moved);
            samples.sort_unstable_by_key(|sample| sample.id);
            let faces = samples.iter().map(Into::into).collect();
            Ok(PersonRecord { person: merged, groups, faces })
        })
        .await
    }

    /// Gives one sample of a person to another, with its photo as `photos` is of the other; returns the other as they
    /// are then.
    ///
    /// Errors: `NotFound` `person_not_found` or `face_not_found`; `Invalid` `same_person`; `Conflict` `too_many_faces`;
    /// `Unprocessable` `consent_required`.
    pub async fn move_face(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        face: FaceId,
        to: &PersonId,
        photos: PersonPhotos,
    ) -> Result<PersonRecord> {
        let (author, tenant, person, to) = (scope.author(), scope.tenant().clone(), person.clone(), to.clone());
        self.write(scope.right(), move |transaction| {
            require_two(&person, &to)?;
            let who = require_person(transaction, &tenant, &person)?;
            let (target, other) = find(transaction, &tenant, &to)?.ok_or_else(person_not_found)?;
            let key = keys::face(&tenant, who, face);
            let sample: FaceSample = transaction.get(&key)?.ok_or_else(faces::face_not_found)?;
            let moved = FaceSample { person: to.clone(), ..sample };
            let mut record = with_belongings(transaction, &tenant, target, other)?;
            record.faces.extend(faces::put_all(
                transaction,
                &tenant,
                target,
                &to,
                std::slice::from_ref(&moved),
                record.faces.len(),
            )?);
            record.faces.sort_unstable_by_key(|face| face.id);
            photos::give(transaction, &tenant, who, &photos)?;
            photos::remove(transaction, &tenant, who, face);
            transaction.remove(key);
            audit::note(transaction, &author, "face.move", |it| it.person(&person).face(face).person(&to))?;
            Ok(record)
        })
        .await
    }
}

fn require_two(one: &PersonId, other: &PersonId) -> Result<()> {
    if one == other { Err(Error::invalid("this is one and the same person").with_code("same_person")) } else { Ok(()) }
}

fn faces_of(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<FaceSample>> {
    read.scan(&keys::faces_of(tenant, who), None).collect()
}

fn renamed(samples: Vec<FaceSample>, person: &PersonId) -> Vec<FaceSample> {
    samples.into_iter().map(|sample| FaceSample { person: person.clone(), ..sample }).collect()
}

/// What is known of the two together; where they differ, what is known of `kept`.
fn merged(kept: Person, gone: Person) -> Result<Person> {
    let consent_withdrawn_at = kept.consent_withdrawn_at.max(gone.consent_withdrawn_at);
    let consent = longer(kept.consent, gone.consent);
    let own: MetadataPatch = kept.metadata.into_iter().map(|(key, value)| (key, Some(value))).collect();
    Ok(Person {
        email: kept.email.or(gone.email),
        metadata: metadata::changed(gone.metadata, own)?,
        // Somebody withdrew it, of whichever of the two.
        consent: consent.filter(|consent| consent_withdrawn_at.is_none_or(|withdrawn_at| consent.at > withdrawn_at)),
        consent_withdrawn_at,
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
