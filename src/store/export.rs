//! Everything that is stored of one person.

use super::{
    PersonRecord, SessionRecord, Store, attendance, db::Read, keys, negatives, people::with_belongings,
    person_not_found,
};
use crate::{
    domain::{FaceSample, Negative, PersonId, TenantScope},
    error::Result,
};

/// All that is stored of a person, as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonFile {
    /// The person and their groups.
    pub record: PersonRecord,
    /// Their samples with the vectors, oldest first.
    pub samples: Vec<FaceSample>,
    /// Faces that are not theirs.
    pub negatives: Vec<Negative>,
    /// Their attendance.
    pub attendance: Vec<SessionRecord>,
}

impl Store {
    /// All that is stored of a person. Errors: `NotFound` `person_not_found`.
    pub async fn person_file(&self, scope: &TenantScope, person: &PersonId) -> Result<PersonFile> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            let known = view.get(&keys::person(&tenant, &person))?.ok_or_else(person_not_found)?;
            Ok(PersonFile {
                record: with_belongings(view, &tenant, known)?,
                samples: view.scan(&keys::faces_of(&tenant, &person), None).collect::<Result<_>>()?,
                negatives: negatives::of_person(view, &tenant, &person)?,
                attendance: attendance::of_person(view, &tenant, &person)?,
            })
        })
        .await
    }
}
