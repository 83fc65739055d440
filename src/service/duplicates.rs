//! Faces that are someone else's as well: at the door, and in a sweep of the whole tenant.

mod sweep;

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};
use utoipa::ToSchema;

pub use self::sweep::{DuplicatePair, DuplicatesPage, MisplacedSample};
use super::{Service, enrol::AcceptedImage};
use crate::{
    domain::{DuplicatePolicy, FaceSample, PersonId, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    galleries::PersonGuard,
    gallery::SearchRequest,
    pipeline::{Station, request::turn_of},
    runtime::{CancelToken, JobSpec, ServiceClass},
};

/// Locks for tenants: two of them share one now and then, which costs one a short wait.
const TENANT_LOCKS: usize = 64;

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

/// The order in which people come into tenants that refuse duplicates. Clones share it.
#[derive(Clone)]
pub(super) struct TenantTurns {
    locks: Arc<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

impl Default for TenantTurns {
    fn default() -> Self {
        Self { locks: (0..TENANT_LOCKS).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}

impl TenantTurns {
    async fn of(&self, tenant: &TenantId) -> OwnedMutexGuard<()> {
        let hash = self.hasher.hash_one(tenant);
        Arc::clone(&self.locks[(hash % TENANT_LOCKS as u64) as usize]).lock_owned().await
    }
}

impl Service {
    /// Waits until this person may be changed. Where duplicates are refused nobody else of the tenant is enrolled
    /// meanwhile either: two people with one face who come at once would not see each other.
    pub(super) async fn turns(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        policy: DuplicatePolicy,
    ) -> (Option<OwnedMutexGuard<()>>, PersonGuard) {
        let refuses = policy == DuplicatePolicy::Refuse;
        let tenant = if refuses { Some(self.tenant_turns.of(scope.tenant()).await) } else { None };
        (tenant, self.galleries.person_lock(scope, person).await)
    }

    /// For each of a person's new samples the other person who is nearest, if that is near enough to be named in the
    /// whole gallery. `images` are the ones behind `samples`.
    ///
    /// # Errors
    /// `Unprocessable` `duplicate_of`, with them in the details, where the policy refuses them.
    pub(super) async fn twins(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        samples: &[FaceSample],
        images: &[AcceptedImage],
        policy: DuplicatePolicy,
        class: ServiceClass,
    ) -> Result<Vec<Twin>> {
        if policy == DuplicatePolicy::Off || samples.is_empty() {
            return Ok(Vec::new());
        }
        let gallery = self.galleries.tenant(scope).await?;
        let queries: Vec<f32> = samples.iter().flat_map(|sample| sample.vector.iter().copied()).collect();
        // Two: the nearest may be the person themselves.
        let search = move || gallery.search(&SearchRequest { queries: &queries, top: 2, roster: None });
        let job = gallery_job(class, scope);
        let found = self.pipeline.tools().pool.run(job, search).await?.value?;
        let threshold = self.naming(scope).await?.gallery.threshold;
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
        if policy == DuplicatePolicy::Refuse && !twins.is_empty() {
            return Err(Error::new(ErrorKind::Unprocessable, "this face is already someone else's")
                .with_code("duplicate_of")
                .with_details(serde_json::json!({ "duplicates": twins })));
        }
        Ok(twins)
    }
}

/// Work in the gallery on behalf of no photo.
pub(super) fn gallery_job(class: ServiceClass, scope: &TenantScope) -> JobSpec {
    let (station, turn) = (Station::Matching, turn_of(class, scope));
    JobSpec { turn, stage: station.name(), stage_rank: station.rank(), cancel: CancelToken::default() }
}
