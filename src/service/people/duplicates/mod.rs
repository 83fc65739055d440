//! Faces that are someone else's as well: at the door, and in a sweep of the whole tenant.

mod sweep;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::sweep::{DuplicatePair, DuplicatesPage, MisplacedSample};
use super::enrol::AcceptedImage;
use crate::{
    domain::{DuplicatePolicy, FaceSample, PersonId, TenantScope},
    error::{Error, ErrorKind, Result},
    gallery::SearchRequest,
    pipeline::{Station, request::turn_of},
    runtime::{CancelToken, JobSpec, ServiceClass},
    service::{Visit, people::Service, people::locks::Held},
};

/// Another person who looks like the one on an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Twin {
    /// The image's place in the request, from 0.
    pub image: usize,
    /// The other.
    pub person: PersonId,
    /// Raw cosine to the nearest of their samples.
    pub similarity: f32,
}

impl Service {
    /// Waits until the photos of this person may be changed. Where duplicates are refused nobody else of the tenant is
    /// enrolled meanwhile either: two people with one face who come at once would not see each other.
    pub(in crate::service) async fn locks(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        policy: DuplicatePolicy,
    ) -> (Option<Held>, Vec<Held>) {
        let refuses = policy == DuplicatePolicy::Refuse;
        let tenant = if refuses { Some(self.tenant_locks.of(scope.tenant()).await) } else { None };
        (tenant, self.people_locks(scope, [person]).await)
    }

    /// For each of a person's new samples the other person who is nearest, if that is near enough to be named in the
    /// whole gallery. `images` are the ones behind `samples`.
    ///
    /// # Errors
    /// `Unprocessable` `duplicate_of`, with them in the details, where the policy refuses them.
    pub(in crate::service) async fn twins(
        &self,
        visit: &Visit,
        person: &PersonId,
        samples: &[FaceSample],
        images: &[AcceptedImage],
        policy: DuplicatePolicy,
        class: ServiceClass,
    ) -> Result<Vec<Twin>> {
        if policy == DuplicatePolicy::Off || samples.is_empty() {
            return Ok(Vec::new());
        }
        let gallery = self.galleries.tenant(visit).await?;
        let queries: Vec<f32> = samples.iter().flat_map(|sample| sample.vector.iter().copied()).collect();
        // Two: the nearest may be the person themselves.
        let search = move || gallery.search(&SearchRequest { queries: &queries, top: 2, roster: None });
        let job = gallery_job(class, visit);
        let found = self.pipeline.tools().pool.run(job, search).await?.value?;
        let threshold = self.recognition.naming_under(visit.settings()).gallery.threshold;
        let twins: Vec<Twin> = found
            .per_query
            .into_iter()
            .zip(images)
            .filter_map(|(candidates, accepted)| {
                let other = candidates.into_iter().find(|candidate| candidate.person != *person)?;
                let twin = Twin { image: accepted.image, person: other.person, similarity: other.similarity };
                (twin.similarity >= threshold).then_some(twin)
            })
            .collect();
        let twins = self.still_there(visit, twins).await?;
        if policy == DuplicatePolicy::Refuse && !twins.is_empty() {
            return Err(Error::new(ErrorKind::Unprocessable, "this face is already someone else's")
                .with_code("duplicate_of")
                .with_details(serde_json::json!({ "duplicates": twins })));
        }
        Ok(twins)
    }

    /// Without those who went meanwhile, or took their consent back.
    pub(super) async fn still_there(&self, scope: &TenantScope, mut twins: Vec<Twin>) -> Result<Vec<Twin>> {
        if twins.is_empty() {
            return Ok(twins);
        }
        let people = twins.iter().map(|twin| twin.person.clone()).collect();
        let mut known = self.store.acquaintances(scope, people, self.clock.now()).await?.into_iter();
        twins.retain(|_| known.next().flatten().is_some_and(|known| known.may_be_recognised));
        Ok(twins)
    }
}

/// Work in the gallery on behalf of no photo.
pub(in crate::service) fn gallery_job(class: ServiceClass, scope: &TenantScope) -> JobSpec {
    let (station, turn) = (Station::Matching, turn_of(class, scope));
    JobSpec { turn, stage: station.name(), stage_rank: station.rank(), cancel: CancelToken::default() }
}
