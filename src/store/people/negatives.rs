//! Negatives: faces that are known not to be a person's. One that was made of somebody's sample is found by them too, for
//! it goes with them.

use std::sync::Arc;

use super::{
    consent,
    faces::face_not_found,
    pseudonyms::{pseudonym, require_person},
};
use crate::{
    domain::{
        FaceId, FaceSample, Negative, PersonId, Pseudonym, TenantId, TenantScope,
        people::negative::{MAX_NEGATIVES_A_PERSON, merged},
    },
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        access::{
            audit,
            usage::{Growth, grow},
        },
        blocking, codec,
        engine::Read,
        keys::{self, Kind, Parsed},
        transaction::Transaction,
    },
};

/// Negatives read under one view: writes wait for no more than this.
const READ_AT_ONCE: usize = 256;

impl Store {
    /// Adds a negative to its person; one of the same id takes its place.
    ///
    /// Errors: `NotFound` `person_not_found`, also for whose sample it was made of; `Conflict` `too_many_negatives` over
    /// [`MAX_NEGATIVES_A_PERSON`], or `limit_reached`; `Unprocessable` `consent_required` of whose sample it was made of.
    pub async fn add_negative(&self, scope: &TenantScope, negative: Negative) -> Result<()> {
        let (author, tenant, limits) = (scope.author(), scope.tenant().clone(), self.inner.default_limits);
        self.write(scope.right(), move |transaction| {
            let who = require_person(transaction, &tenant, &negative.person)?;
            if let Some(other) = &negative.of {
                let other = require_person(transaction, &tenant, other)?;
                consent::require(transaction, &tenant, other)?;
            }
            let is_new = !transaction.has(&keys::negative(&tenant, who, negative.id))?;
            let present = of_person(transaction, &tenant, who)?.len();
            require_room(present + usize::from(is_new))?;
            put(transaction, &tenant, &negative)?;
            audit::note(transaction, &author, "negative.add", |it| {
                it.person(&negative.person).face(negative.id).after(&negative)
            })?;
            grow(transaction, &tenant, limits, Growth { samples: i64::from(is_new), ..Growth::default() })
        })
        .await
    }

    /// A person's negatives, oldest first. Errors: `NotFound` `person_not_found`.
    pub async fn negatives(&self, scope: &TenantScope, person: &PersonId) -> Result<Vec<Negative>> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            let who = require_person(view, &tenant, &person)?;
            let mut negatives = of_person(view, &tenant, who)?;
            negatives.sort_by_key(|negative| (negative.created_at, negative.id));
            Ok(negatives)
        })
        .await
    }

    /// Removes a negative. Errors: `NotFound` `person_not_found` or `negative_not_found`.
    pub async fn delete_negative(&self, scope: &TenantScope, person: &PersonId, face: FaceId) -> Result<()> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        let limits = self.inner.default_limits;
        self.write(scope.right(), move |transaction| {
            let who = require_person(transaction, &tenant, &person)?;
            let negative: Option<Negative> = transaction.get(&keys::negative(&tenant, who, face))?;
            let missing = || Error::not_found("the person has no such negative").with_code("negative_not_found");
            let negative = negative.ok_or_else(missing)?;
            remove(transaction, &tenant, &negative)?;
            audit::note(transaction, &author, "negative.delete", |it| it.person(&person).face(face).before(&negative))?;
            grow(transaction, &tenant, limits, Growth { samples: -1, ..Growth::default() })
        })
        .await
    }

    /// All negatives of the tenant, each with its person's pseudonym.
    pub async fn all_negatives(&self, scope: &TenantScope) -> Result<Vec<(Pseudonym, Negative)>> {
        let (engine, prefix) = (Arc::clone(self.engine()), keys::negatives(scope.tenant()));
        blocking(move || {
            let (mut negatives, mut after) = (Vec::new(), None);
            loop {
                let view = engine.view()?;
                let page = view.scan_bytes(&prefix, after.as_deref()).take(READ_AT_ONCE).collect::<Result<Vec<_>>>()?;
                let Some((last, _)) = page.last() else { return Ok(negatives) };
                after = Some(last.clone());
                for (key, bytes) in page {
                    let Some(Parsed::Data(_, Kind::Negative(who, _))) = keys::parse(&key) else { continue };
                    negatives.push((who, codec::decode(&bytes)?));
                }
            }
        })
        .await
    }

    /// A sample of a person. Errors: `NotFound` `person_not_found` or `face_not_found`.
    pub async fn face(&self, scope: &TenantScope, person: &PersonId, face: FaceId) -> Result<FaceSample> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            let who = require_person(view, &tenant, &person)?;
            view.get(&keys::face(&tenant, who, face))?.ok_or_else(face_not_found)
        })
        .await
    }
}

/// A person's negatives.
pub(in crate::store) fn of_person(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<Negative>> {
    read.scan(&keys::negatives_of(tenant, who), None).collect()
}

/// Removes a person's negatives and those of others that were made of the person's samples; how many those are.
pub(in crate::store) fn remove_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
) -> Result<usize> {
    let mut gone = of_person(transaction, tenant, who)?;
    gone.extend(made_of(transaction, tenant, who)?);
    for negative in &gone {
        remove(transaction, tenant, negative)?;
    }
    Ok(gone.len())
}

/// Gives the negatives of `from` to `person`, see [`merged`]; those that were made of the samples of `from` are of
/// `person` now. Returns how many went.
///
/// Errors: `Conflict` `too_many_negatives`.
pub(in crate::store) fn give(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    from: (Pseudonym, &PersonId),
    person: (Pseudonym, &PersonId),
) -> Result<usize> {
    let (own, others) = (of_person(transaction, tenant, person.0)?, of_person(transaction, tenant, from.0)?);
    // Those of the two themselves are not there any more when their places are taken.
    let of_third: Vec<Negative> = made_of(transaction, tenant, from.0)?
        .into_iter()
        .filter(|negative| negative.person != *person.1 && negative.person != *from.1)
        .collect();
    for negative in own.iter().chain(&others).chain(&of_third) {
        remove(transaction, tenant, negative)?;
    }
    let before = own.len() + others.len();
    let kept = merged(person.1, own, from.1, others);
    require_room(kept.len())?;
    for negative in &kept {
        put(transaction, tenant, negative)?;
    }
    for negative in of_third {
        put(transaction, tenant, &Negative { of: Some(person.1.clone()), ..negative })?;
    }
    Ok(before - kept.len())
}

/// The negatives, of whomever, that were made of a person's samples.
fn made_of(read: &impl Read, tenant: &TenantId, other: Pseudonym) -> Result<Vec<Negative>> {
    let prefix = keys::disowned_of(tenant, other);
    let negatives = read.scan_bytes(&prefix, None).filter_map(|entry| {
        let found = entry.and_then(|(key, _)| match keys::parse(&key) {
            Some(Parsed::Data(_, Kind::Disowned(_, person, face))) => read.get(&keys::negative(tenant, person, face)),
            _ => Ok(None),
        });
        found.transpose()
    });
    negatives.collect()
}

fn require_room(negatives: usize) -> Result<()> {
    if negatives <= MAX_NEGATIVES_A_PERSON {
        return Ok(());
    }
    let message = format!("a person has at most {MAX_NEGATIVES_A_PERSON} negatives: remove some first");
    Err(Error::new(ErrorKind::Conflict, message).with_code("too_many_negatives"))
}

fn put(transaction: &mut Transaction<'_>, tenant: &TenantId, negative: &Negative) -> Result<()> {
    let Negative { id, person, of, .. } = negative;
    let who = require_person(transaction, tenant, person)?;
    transaction.put(keys::negative(tenant, who, *id), negative)?;
    if let Some(other) = of {
        let other = require_person(transaction, tenant, other)?;
        transaction.put(keys::disowned(tenant, other, who, *id), &who)?;
    }
    Ok(())
}

fn remove(transaction: &mut Transaction<'_>, tenant: &TenantId, negative: &Negative) -> Result<()> {
    let Negative { id, person, of, .. } = negative;
    let who = require_person(transaction, tenant, person)?;
    transaction.remove(keys::negative(tenant, who, *id));
    let other = of.as_ref().map(|other| pseudonym(transaction, tenant, other)).transpose()?.flatten();
    if let Some(other) = other {
        transaction.remove(keys::disowned(tenant, other, who, *id));
    }
    Ok(())
}
