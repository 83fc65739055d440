//! One gallery a tenant, made from the store at first use.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    num::NonZeroUsize,
    slice,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex as AsyncMutex, Notify, OnceCell, OwnedMutexGuard},
    task::spawn_blocking,
    time::timeout,
};

use super::keeper::Keeper;
use crate::{
    domain::{Consent, ConsentPolicy, FaceId, FaceSample, ModelId, Negative, PersonId, TenantId, TenantScope},
    error::Result,
    gallery::{GalleryOptions, TenantGallery},
    store::Store,
};

/// Locks for people: two people share one now and then, which costs one of them a short wait.
const PERSON_LOCKS: usize = 256;

/// How often the galleries' sizes and ages are looked at where nothing is loaded.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Held while a person is changed, see [`Galleries::person_lock`].
pub type PersonGuard = OwnedMutexGuard<()>;

/// When galleries leave memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Nobody has searched it for so long.
    pub idle: Duration,
    /// All of them together take more bytes than this.
    pub bytes: u64,
}

/// A tenant's place. A gallery that has left it is no longer kept up to date.
#[derive(Default)]
struct Slot {
    gallery: OnceCell<Arc<TenantGallery>>,
    /// Milliseconds from the start of the registry to the last search.
    last_used: AtomicU64,
}

/// The galleries of all tenants. Clones share them.
///
/// Whoever changes a person takes [`Self::person_lock`], then writes the store, then calls the operation of the same
/// name here. A tenant whose gallery is not loaded needs no change, for loading reads the store later; a change that
/// meets a load waits for it.
#[derive(Clone)]
pub struct Galleries {
    inner: Arc<Inner>,
}

type Slots = HashMap<TenantId, Arc<Slot>>;

struct Inner {
    store: Store,
    model: ModelId,
    options: GalleryOptions,
    keeper: Keeper,
    slots: Mutex<Slots>,
    started: Instant,
    /// Told of every load.
    loaded: Notify,
    person_locks: Vec<Arc<AsyncMutex<()>>>,
    hasher: RandomState,
}

impl Galleries {
    /// No gallery loaded yet. Only samples of `model` will be found.
    pub fn new(store: Store, model: ModelId, options: GalleryOptions) -> Self {
        let person_locks = (0..PERSON_LOCKS).map(|_| Arc::default()).collect();
        let (slots, hasher) = (Mutex::default(), RandomState::new());
        let keeper = Keeper::new(store.clone());
        let (started, loaded) = (Instant::now(), Notify::new());
        Self { inner: Arc::new(Inner { store, model, options, keeper, slots, started, loaded, person_locks, hasher }) }
    }

    /// The tenant's gallery, loaded from the store if it is not; callers that come meanwhile wait for the one load.
    /// Ask anew for each search: after [`Self::unload`] an old one is no longer kept up to date.
    ///
    /// Errors: `NotFound` `tenant_not_found`, `Forbidden` `tenant_suspended`.
    pub async fn tenant(&self, scope: &TenantScope) -> Result<Arc<TenantGallery>> {
        let slot = Arc::clone(self.slots().entry(scope.tenant().clone()).or_default());
        self.touch(&slot);
        let gallery = match self.loaded(scope, &slot).await {
            Ok(gallery) => gallery,
            Err(error) => {
                // A tenant that may not be loaded leaves nothing behind.
                let mut slots = self.slots();
                let is_empty = |held: &Arc<Slot>| Arc::ptr_eq(held, &slot) && held.gallery.get().is_none();
                if slots.get(scope.tenant()).is_some_and(is_empty) {
                    slots.remove(scope.tenant());
                }
                return Err(error);
            }
        };
        // A load takes long: others may have been used since.
        self.touch(&slot);
        gallery.drop_ended();
        Ok(gallery)
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

    /// See [`TenantGallery::set_consent`].
    pub async fn set_consent(&self, scope: &TenantScope, person: &PersonId, consent: Option<&Consent>) {
        if let Some(gallery) = self.to_change(scope).await {
            gallery.set_consent(person, consent.map(|consent| consent.expires_at));
        }
    }

    /// See [`TenantGallery::add_negative`].
    pub async fn add_negative(&self, scope: &TenantScope, negative: Negative) {
        if let Some(gallery) = self.to_change(scope).await {
            gallery.add_negative(negative);
        }
    }

    /// See [`TenantGallery::remove_negative`].
    pub async fn remove_negative(&self, scope: &TenantScope, person: &PersonId, face: FaceId) {
        if let Some(gallery) = self.to_change(scope).await {
            gallery.remove_negative(person, face);
        }
    }

    /// See [`TenantGallery::merge_negatives`].
    pub async fn merge_negatives(&self, scope: &TenantScope, from: &PersonId, person: &PersonId) {
        if let Some(gallery) = self.to_change(scope).await {
            gallery.merge_negatives(from, person);
        }
    }

    /// Waits until nobody else changes this person, and keeps others waiting until the guard is dropped. Held around
    /// a change of the store and the same change here, it keeps two changes in one order in both.
    pub async fn person_lock(&self, scope: &TenantScope, person: &PersonId) -> PersonGuard {
        Arc::clone(&self.inner.person_locks[self.place_of_lock(scope, person)]).lock_owned().await
    }

    /// The same for several people. Whoever changes more than one takes all their locks by this, in one call.
    pub async fn person_locks(&self, scope: &TenantScope, people: &[&PersonId]) -> Vec<PersonGuard> {
        // In one order for everybody, and none twice, or two who wait for each other would wait for ever.
        let places: BTreeSet<usize> = people.iter().map(|person| self.place_of_lock(scope, person)).collect();
        let mut guards = Vec::with_capacity(places.len());
        for place in places {
            guards.push(Arc::clone(&self.inner.person_locks[place]).lock_owned().await);
        }
        guards
    }

    fn place_of_lock(&self, scope: &TenantScope, person: &PersonId) -> usize {
        (self.inner.hasher.hash_one((scope.tenant(), person)) % PERSON_LOCKS as u64) as usize
    }

    /// Gives the tenant's memory back. Searches that have its gallery finish; the next one loads it again.
    pub fn unload(&self, scope: &TenantScope) {
        self.slots().remove(scope.tenant());
    }

    /// The loaded galleries with their tenants.
    pub fn loaded_tenants(&self) -> Vec<(TenantId, Arc<TenantGallery>)> {
        let slots = self.slots();
        slots.iter().filter_map(|(tenant, slot)| Some((tenant.clone(), Arc::clone(slot.gallery.get()?)))).collect()
    }

    /// Keeps the galleries within `limits`, for ever: looks after each load and now and then, as they grow and rest.
    pub async fn keep_within(self, limits: MemoryLimits) {
        loop {
            // Ends early where something was loaded, and late where nothing was: both are fine.
            let _ = timeout(LOOK_EVERY.min(limits.idle), self.inner.loaded.notified()).await;
            let galleries = self.clone();
            // Off the caller's thread: freeing a large gallery takes a while.
            if spawn_blocking(move || galleries.unload_unused(limits)).await.is_err() {
                tracing::error!("galleries could not be unloaded");
            }
        }
    }

    /// Unloads what is idle, then what was used longest ago while all together take too much; the one used last stays.
    /// Returns how many it was.
    pub fn unload_unused(&self, limits: MemoryLimits) -> usize {
        let now = self.now();
        let slots: Vec<(TenantId, Arc<Slot>)> =
            self.slots().iter().map(|(tenant, slot)| (tenant.clone(), Arc::clone(slot))).collect();
        // Their sizes are asked for without the lock on all slots: a gallery may be busy with a change.
        let mut loaded: Vec<_> = slots
            .into_iter()
            .filter_map(|(tenant, slot)| {
                let bytes = slot.gallery.get()?.memory_bytes() as u64;
                Some((slot.last_used.load(Ordering::Relaxed), bytes, tenant, slot))
            })
            .collect();
        loaded.sort_by_key(|&(last_used, ..)| last_used);
        let mut total: u64 = loaded.iter().map(|&(_, bytes, ..)| bytes).sum();
        let idle_ms = limits.idle.as_millis() as u64;
        let last = loaded.len().saturating_sub(1);
        let mut unloaded = Vec::new();
        for (place, (last_used, bytes, tenant, slot)) in loaded.into_iter().enumerate() {
            let is_idle = now.saturating_sub(last_used) >= idle_ms;
            if (is_idle || (total > limits.bytes && place < last)) && self.take_out(&tenant, &slot, last_used) {
                total -= bytes;
                unloaded.push(slot);
            }
        }
        unloaded.len()
    }

    /// Takes a slot out unless it was used, or another is in its place, since it was looked at.
    fn take_out(&self, tenant: &TenantId, slot: &Arc<Slot>, last_used: u64) -> bool {
        let mut slots = self.slots();
        let is_same = slots.get(tenant).is_some_and(|present| Arc::ptr_eq(present, slot))
            && slot.last_used.load(Ordering::Relaxed) == last_used;
        if is_same {
            slots.remove(tenant);
        }
        is_same
    }

    fn touch(&self, slot: &Slot) {
        slot.last_used.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// Milliseconds from the start of the registry.
    fn now(&self) -> u64 {
        self.inner.started.elapsed().as_millis() as u64
    }

    /// The gallery that a change has to reach: none where no load has begun or where it fails, for the next load will
    /// read the changed store.
    async fn to_change(&self, scope: &TenantScope) -> Option<Arc<TenantGallery>> {
        let slot = self.slots().get(scope.tenant()).cloned()?;
        self.loaded(scope, &slot).await.ok()
    }

    async fn loaded(&self, scope: &TenantScope, slot: &Slot) -> Result<Arc<TenantGallery>> {
        let gallery = slot.gallery.get_or_try_init(|| self.load(scope)).await?;
        // Whoever asks for a gallery is about to search or to change it, so its graph is never long behind.
        self.inner.keeper.tend(scope, gallery);
        Ok(Arc::clone(gallery))
    }

    async fn load(&self, scope: &TenantScope) -> Result<Arc<TenantGallery>> {
        let options = &self.inner.options;
        let settings = self.inner.store.open_tenant(scope).await?;
        let plan = settings.gallery_plan.unwrap_or(options.plan);
        let options = GalleryOptions { plan, ..options.clone() };
        let empty = TenantGallery::new(self.inner.model.clone(), options);
        let gallery = Arc::new(match settings.enrolment.consent {
            ConsentPolicy::Off => empty,
            ConsentPolicy::Required => empty.with_consent(self.inner.store.consents(scope).await?),
        });
        for negative in self.inner.store.all_negatives(scope).await? {
            gallery.add_negative(negative);
        }
        let refused = Arc::new(AtomicUsize::new(0));
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let (filled, counted) = (Arc::clone(&gallery), Arc::clone(&refused));
        let add = move |samples: &[FaceSample]| {
            if filled.insert(samples).is_err() {
                // One by one: a bad sample keeps no other out.
                let refused = samples.iter().filter(|sample| filled.insert(slice::from_ref(sample)).is_err());
                counted.fetch_add(refused.count(), Ordering::Relaxed);
            }
            Ok(())
        };
        self.inner.store.each_face(scope, threads, add).await?;
        self.inner.loaded.notify_one();
        let refused = refused.load(Ordering::Relaxed);
        if refused > 0 || gallery.of_other_models() > 0 {
            tracing::warn!(
                of_other_models = gallery.of_other_models(),
                refused,
                "some stored face samples cannot be searched: enrol their people again with the present model"
            );
        }
        Ok(gallery)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
