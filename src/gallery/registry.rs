//! One gallery a tenant, made from the store at first use.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OnceCell, OwnedMutexGuard};

use super::tenant::{SearchObserver, TenantGallery};
use crate::{
    domain::{FaceId, FaceSample, ModelId, PersonId, TenantId, TenantScope},
    error::Result,
    store::Store,
};

/// Locks for people: two people share one now and then, which costs one of them a short wait.
const PERSON_LOCKS: usize = 256;

/// Held while a person is changed, see [`Galleries::person_lock`].
pub type PersonGuard = OwnedMutexGuard<()>;

type Slot = Arc<OnceCell<Arc<TenantGallery>>>;

/// The galleries of all tenants. Clones share them.
///
/// Whoever changes a person takes [`Self::person_lock`], then writes the store, then calls the operation of the same
/// name here. A tenant whose gallery is not loaded needs no change, for loading reads the store later; a change that
/// meets a load waits for it.
#[derive(Clone)]
pub struct Galleries {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    model: ModelId,
    observer: Option<SearchObserver>,
    slots: Mutex<HashMap<TenantId, Slot>>,
    person_locks: Vec<Arc<AsyncMutex<()>>>,
    hasher: RandomState,
}

impl Galleries {
    /// No gallery loaded yet. Only samples of `model` will be found. `observer` is told of every search.
    pub fn new(store: Store, model: ModelId, observer: Option<SearchObserver>) -> Self {
        let person_locks = (0..PERSON_LOCKS).map(|_| Arc::default()).collect();
        let (slots, hasher) = (Mutex::default(), RandomState::new());
        Self { inner: Arc::new(Inner { store, model, observer, slots, person_locks, hasher }) }
    }

    /// The tenant's gallery, loaded from the store if it is not; callers that come meanwhile wait for the one load.
    /// Ask anew for each search: after [`Self::unload`] an old one is no longer kept up to date.
    pub async fn tenant(&self, scope: &TenantScope) -> Result<Arc<TenantGallery>> {
        let slot = Arc::clone(self.slots().entry(scope.tenant().clone()).or_default());
        self.loaded(scope, &slot).await
    }

    /// See [`TenantGallery::insert`].
    pub async fn insert(&self, scope: &TenantScope, samples: &[FaceSample]) -> Result<()> {
        self.to_change(scope).await.map_or(Ok(()), |gallery| gallery.insert(samples))
    }

    /// See [`TenantGallery::replace`].
    pub async fn replace(&self, scope: &TenantScope, person: &PersonId, samples: &[FaceSample]) -> Result<()> {
        self.to_change(scope).await.map_or(Ok(()), |gallery| gallery.replace(person, samples))
    }

    /// See [`TenantGallery::remove_person`].
    pub async fn remove_person(&self, scope: &TenantScope, person: &PersonId) {
        if let Some(gallery) = self.to_change(scope).await {
            gallery.remove_person(person);
        }
    }

    /// See [`TenantGallery::remove_faces`].
    pub async fn remove_faces(&self, scope: &TenantScope, person: &PersonId, faces: &[FaceId]) {
        if let Some(gallery) = self.to_change(scope).await {
            gallery.remove_faces(person, faces);
        }
    }

    /// Waits until nobody else changes this person, and keeps others waiting until the guard is dropped. Held around
    /// a change of the store and the same change here, it keeps two changes in one order in both.
    pub async fn person_lock(&self, scope: &TenantScope, person: &PersonId) -> PersonGuard {
        let hash = self.inner.hasher.hash_one((scope.tenant(), person));
        let lock = &self.inner.person_locks[(hash % PERSON_LOCKS as u64) as usize];
        Arc::clone(lock).lock_owned().await
    }

    /// Gives the tenant's memory back. Searches that have its gallery finish; the next one loads it again.
    pub fn unload(&self, scope: &TenantScope) {
        self.slots().remove(scope.tenant());
    }

    /// The loaded galleries with their tenants.
    pub fn loaded_tenants(&self) -> Vec<(TenantId, Arc<TenantGallery>)> {
        let slots = self.slots();
        slots.iter().filter_map(|(tenant, slot)| Some((tenant.clone(), Arc::clone(slot.get()?)))).collect()
    }

    /// The gallery that a change has to reach: none where no load has begun or where it fails, for the next load will
    /// read the changed store.
    async fn to_change(&self, scope: &TenantScope) -> Option<Arc<TenantGallery>> {
        let slot = self.slots().get(scope.tenant()).cloned()?;
        self.loaded(scope, &slot).await.ok()
    }

    async fn loaded(&self, scope: &TenantScope, slot: &Slot) -> Result<Arc<TenantGallery>> {
        slot.get_or_try_init(|| self.load(scope)).await.cloned()
    }

    async fn load(&self, scope: &TenantScope) -> Result<Arc<TenantGallery>> {
        let empty = TenantGallery::new(self.inner.model.clone(), self.inner.observer.clone());
        let add = |(gallery, refused): &mut (TenantGallery, usize), sample| {
            *refused += usize::from(gallery.insert(&[sample]).is_err());
            Ok(())
        };
        let (gallery, refused) = self.inner.store.fold_faces(scope, (empty, 0), add).await?;
        if refused > 0 || gallery.of_other_models() > 0 {
            tracing::warn!(
                of_other_models = gallery.of_other_models(),
                refused,
                "some stored face samples cannot be searched: enrol their people again with the present model"
            );
        }
        Ok(Arc::new(gallery))
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<TenantId, Slot>> {
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
