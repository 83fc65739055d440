//! People: reading, changing and erasing them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Service, to_completion};
use crate::{
    domain::{FaceId, GroupId, PersonId, Quality, TenantScope, ids::checked_name},
    error::Result,
    store::{FaceInfo, PersonChange, PersonRecord},
};

/// An enrolled face sample; the vector itself is never shown here.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SampleView {
    /// The sample.
    pub id: FaceId,
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// How good the face was.
    pub quality: Quality,
    /// The network that made the vector.
    pub model: String,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// Unique in the tenant.
    pub id: PersonId,
    /// 1–200 characters.
    pub name: String,
    /// The groups they are in.
    pub groups: Vec<GroupId>,
    /// Their samples.
    pub faces: Vec<SampleView>,
    /// When they were enrolled.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A page of people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PersonPage {
    /// In the order of their ids.
    pub people: Vec<PersonView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<PersonId>,
}

/// What can be changed of a person; what is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonPatch {
    /// 1–200 characters.
    pub name: Option<String>,
    /// All groups that they are to be in.
    pub groups: Option<Vec<GroupId>>,
}

impl From<FaceInfo> for SampleView {
    fn from(face: FaceInfo) -> Self {
        Self { id: face.id, score: face.score, quality: face.quality, model: face.model.name.to_string() }
    }
}

impl From<PersonRecord> for PersonView {
    fn from(record: PersonRecord) -> Self {
        Self {
            id: record.person.id,
            name: record.person.name,
            groups: record.groups,
            faces: record.faces.into_iter().map(Into::into).collect(),
            created_at: record.person.created_at,
        }
    }
}

impl Service {
    /// A page of people after the id `after`.
    pub async fn people(&self, scope: &TenantScope, after: Option<&PersonId>, limit: usize) -> Result<PersonPage> {
        let mut people = self.store.people(scope, after, limit + 1).await?;
        let more = people.len() > limit;
        people.truncate(limit);
        let next = people.last().filter(|_| more).map(|record| record.person.id.clone());
        Ok(PersonPage { people: people.into_iter().map(Into::into).collect(), next })
    }

    /// One person.
    pub async fn person(&self, scope: &TenantScope, id: &PersonId) -> Result<PersonView> {
        Ok(self.store.person(scope, id).await?.into())
    }

    /// Changes a person's name or groups.
    pub async fn update_person(&self, scope: &TenantScope, id: &PersonId, patch: PersonPatch) -> Result<PersonView> {
        let name = patch.name.as_deref().map(checked_name).transpose()?;
        Ok(self.store.update_person(scope, id, PersonChange { name, groups: patch.groups }).await?.into())
    }

    /// Erases a person: samples, memberships and attendance. Nobody finds them from then on.
    pub async fn delete_person(&self, scope: &TenantScope, id: &PersonId) -> Result<()> {
        let (service, scope, id) = (self.clone(), scope.clone(), id.clone());
        to_completion(async move {
            let _turn = service.galleries.person_lock(&scope, &id).await;
            service.store.delete_person(&scope, &id).await?;
            service.galleries.remove_person(&scope, &id).await;
            Ok(())
        })
        .await
    }

    /// Deletes one sample of a person.
    pub async fn delete_face(&self, scope: &TenantScope, person: &PersonId, face: FaceId) -> Result<()> {
        let (service, scope, person) = (self.clone(), scope.clone(), person.clone());
        to_completion(async move {
            let _turn = service.galleries.person_lock(&scope, &person).await;
            service.store.delete_face(&scope, &person, face).await?;
            service.galleries.remove_faces(&scope, &person, &[face]).await;
            Ok(())
        })
        .await
    }
}
