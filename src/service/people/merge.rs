//! Putting right who is who: two records of one person, and samples that went to the wrong one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::person::PersonView;
use crate::{
    domain::{FaceId, PersonId, TenantScope},
    error::Result,
    service::{people::Service, to_completion},
};

/// Who is to be merged.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeParams {
    /// The person who is the same and goes.
    pub from: PersonId,
}

/// Where a sample is to go.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveParams {
    /// The person whose it is.
    pub to: PersonId,
}

impl Service {
    /// Gives everything of another person to this one, and removes the other.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`; `Invalid` `same_person` or `invalid_metadata`; `Conflict` `too_many_faces` or
    /// `too_many_negatives`; `Overloaded` `rules_changed` where photos are kept no more since.
    pub async fn merge_people(&self, scope: &TenantScope, person: &PersonId, from: &PersonId) -> Result<PersonView> {
        let (service, scope, person, from) = (self.clone(), scope.clone(), person.clone(), from.clone());
        to_completion(async move {
            let _locks = service.people_locks(&scope, [&person, &from]).await;
            let (photos, old) = service.write_photos_over(&scope, &from, &person, None).await?;
            let merged = service.store.merge_people(&scope, &person, &from, photos.records()).await;
            let record = photos.settled(merged)?;
            service.remove_files(&scope, old).await;
            Ok(record.into())
        })
        .await
    }

    /// Gives one sample of a person to another, who is returned.
    ///
    /// # Errors
    /// `NotFound` `person_not_found` or `face_not_found`; `Invalid` `same_person`; `Conflict` `too_many_faces`;
    /// `Unprocessable` `consent_required`, which the other has to have where one is needed; `Overloaded` `rules_changed`.
    pub async fn move_face(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        face: FaceId,
        to: &PersonId,
    ) -> Result<PersonView> {
        let (service, scope, person, to) = (self.clone(), scope.clone(), person.clone(), to.clone());
        to_completion(async move {
            let _locks = service.people_locks(&scope, [&person, &to]).await;
            let policy = service.store.tenant_settings(&scope).await?.enrolment.consent;
            let other = service.store.person(&scope, &to).await?.person;
            policy.require(other.consent.as_ref(), service.clock.now())?;
            let (photos, old) = service.write_photos_over(&scope, &person, &to, Some(face)).await?;
            let moved = service.store.move_face(&scope, &person, face, &to, photos.records()).await;
            let record = photos.settled(moved)?;
            service.remove_files(&scope, old).await;
            Ok(record.into())
        })
        .await
    }
}
