//! Reports of items as they are kept. One outlives the upload that it tells of, and many people of whom an upload speaks
//! are never there, or leave: so an erasure finds it by [`mention`](super::mention) where it speaks of somebody who was
//! there when it was written, and of all others it has a digest of the id, which leads to them while they are there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::older::Report2;
use crate::{
    domain::{
        GroupId, ItemReport, Person, PersonId, PhotoReport, Pseudonym, RowOutcome, RowReport, TenantId,
        jobs::{DoublePhoto, Fault, RefusedPhoto},
    },
    error::Result,
    store::{
        codec::{Older, OlderBody},
        engine::Read,
        keys::{self, PersonDigest},
        people::pseudonyms::{pseudonym, salt},
        transaction::Transaction,
    },
};

/// An [`ItemReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) enum KeptReport {
    Row(KeptRow),
    Photo(PhotoReport),
    Erased,
}

impl Older for KeptReport {
    /// The first layout had ids and names of files: what it told is not told on, see the step from version 2 of the
    /// store.
    fn from_older(version: u8, body: OlderBody<'_>) -> Result<Self> {
        if version == 1 { Ok(Self::Erased) } else { Ok(body.read::<Report2>()?.into()) }
    }
}

/// A [`RowReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct KeptRow {
    pub(super) line: u64,
    pub(super) whose: Option<Whose>,
    pub(super) outcome: RowOutcome,
    pub(super) error: Option<Fault>,
    pub(super) samples_added: u32,
    pub(super) refused: Vec<RefusedPhoto>,
    pub(super) duplicates: Vec<DoublePhoto>,
    pub(super) groups_made: Vec<GroupId>,
    pub(super) left: Vec<GroupId>,
}

/// Whose row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) enum Whose {
    /// Somebody's who was there when the report was written.
    Theirs(Pseudonym),
    /// Of an id that nobody had then.
    Nobodys(PersonDigest),
}

impl Whose {
    /// The pseudonym, where there is such a person now.
    fn now(self, read: &impl Read, tenant: &TenantId) -> Result<Option<Pseudonym>> {
        match self {
            Self::Theirs(who) => Ok(Some(who)),
            Self::Nobodys(digest) => read.get(&keys::place(tenant, &digest)),
        }
    }
}

impl KeptReport {
    /// The report without those who were erased while it came about.
    pub(super) fn of(transaction: &mut Transaction<'_>, tenant: &TenantId, report: ItemReport) -> Result<Self> {
        Ok(match report {
            ItemReport::Erased => Self::Erased,
            ItemReport::Photo(mut photo) => {
                for face in &mut photo.faces {
                    face.person = present(transaction, tenant, face.person.take())?;
                }
                Self::Photo(photo)
            }
            ItemReport::Row(row) => Self::Row(KeptRow::of(transaction, tenant, row)?),
        })
    }

    /// The report as it is shown: with the ids of those who are there.
    pub(super) fn shown(self, read: &impl Read, tenant: &TenantId) -> Result<ItemReport> {
        Ok(match self {
            Self::Erased => ItemReport::Erased,
            Self::Photo(photo) => ItemReport::Photo(photo),
            Self::Row(row) => ItemReport::Row(row.shown(read, tenant)?),
        })
    }

    /// Those of whom it speaks, and who were there when it was written: it goes with each of them. `None` stands for one
    /// who has gone without it.
    pub(in crate::store) fn people(&self, read: &impl Read, tenant: &TenantId) -> Result<BTreeSet<Option<Pseudonym>>> {
        let (whose, others): (_, Vec<&PersonId>) = match self {
            Self::Erased => (None, Vec::new()),
            Self::Photo(photo) => (None, photo.faces.iter().filter_map(|face| face.person.as_ref()).collect()),
            Self::Row(row) => (row.whose, row.duplicates.iter().map(|double| &double.person).collect()),
        };
        let own = if let Some(Whose::Theirs(who)) = whose { Some(Ok(Some(who))) } else { None };
        others.into_iter().map(|person| pseudonym(read, tenant, person)).chain(own).collect()
    }

    /// What is left of it without somebody of whom it speaks: of a photo all but whose face it is, of a row nothing.
    pub(super) fn without(self, person: &PersonId) -> Self {
        match self {
            Self::Photo(mut photo) => {
                for face in &mut photo.faces {
                    face.person = face.person.take().filter(|one| one != person);
                }
                Self::Photo(photo)
            }
            Self::Row(_) | Self::Erased => Self::Erased,
        }
    }
}

impl KeptRow {
    fn of(transaction: &mut Transaction<'_>, tenant: &TenantId, row: RowReport) -> Result<Self> {
        let RowReport { line, person, outcome, error, samples_added, refused, mut duplicates, groups_made, left } = row;
        let whose = match person {
            None => None,
            Some(person) => Some(match pseudonym(transaction, tenant, &person)? {
                Some(who) => Whose::Theirs(who),
                None => Whose::Nobodys(salt(transaction, tenant)?.of_person(&person)),
            }),
        };
        let mut gone = BTreeSet::new();
        for double in &duplicates {
            if pseudonym(transaction, tenant, &double.person)?.is_none() {
                gone.insert(double.person.clone());
            }
        }
        duplicates.retain(|double| !gone.contains(&double.person));
        Ok(Self { line, whose, outcome, error, samples_added, refused, duplicates, groups_made, left })
    }

    fn shown(self, read: &impl Read, tenant: &TenantId) -> Result<RowReport> {
        let Self { line, whose, outcome, error, samples_added, refused, duplicates, groups_made, left } = self;
        let who = whose.map_or(Ok(None), |whose| whose.now(read, tenant))?;
        let known: Option<Person> = who.map_or(Ok(None), |who| read.get(&keys::person(tenant, who)))?;
        let person = known.map(|known| known.id);
        Ok(RowReport { line, person, outcome, error, samples_added, refused, duplicates, groups_made, left })
    }
}

/// The person, if there is such a one.
fn present(read: &impl Read, tenant: &TenantId, person: Option<PersonId>) -> Result<Option<PersonId>> {
    let Some(person) = person else { return Ok(None) };
    Ok(pseudonym(read, tenant, &person)?.map(|_| person))
}
