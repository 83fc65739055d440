//! Everything that is stored of one person.

use super::{negatives, person::with_belongings, photos, pseudonyms::find};
use crate::{
    domain::{Event, FaceSample, GroupId, KeptPhoto, Negative, PersonId, TenantScope, attendance::roster::Member},
    error::Result,
    store::{
        PersonRecord, SessionRecord, Store,
        attendance::{record, rosters::places_of},
        engine::Read,
        events::log,
        keys, person_not_found,
    },
};

/// All that is stored of a person, as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonFile {
    /// The person and their groups.
    pub record: PersonRecord,
    /// Their places on rosters, those that they have left too.
    pub places: Vec<(GroupId, Member)>,
    /// Their samples with the vectors, oldest first.
    pub samples: Vec<FaceSample>,
    /// Photos behind the samples, by them.
    pub photos: Vec<KeptPhoto>,
    /// Faces that are not theirs.
    pub negatives: Vec<Negative>,
    /// Their attendance.
    pub attendance: Vec<SessionRecord>,
    /// The events about them that are kept.
    pub events: Vec<Event>,
}

impl Store {
    /// All that is stored of a person. Errors: `NotFound` `person_not_found`.
    pub async fn person_file(&self, scope: &TenantScope, person: &PersonId) -> Result<PersonFile> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            let (who, known) = find(view, &tenant, &person)?.ok_or_else(person_not_found)?;
            let name = known.name.clone();
            let named = |(session, record)| SessionRecord { session, record, name: Some(name.clone()) };
            Ok(PersonFile {
                record: with_belongings(view, &tenant, who, known)?,
                places: places_of(view, &tenant, who)?,
                samples: view.scan(&keys::faces_of(&tenant, who), None).collect::<Result<_>>()?,
                photos: photos::of_person(view, &tenant, who)?,
                negatives: negatives::of_person(view, &tenant, who)?,
                attendance: record::of_person(view, &tenant, who)?.into_iter().map(named).collect(),
                events: log::of_person(view, &tenant, who)?,
            })
        })
        .await
    }
}
