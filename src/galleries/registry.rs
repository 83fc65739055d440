//! One gallery a tenant, made from the store at first use.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, OnceCell},
    time::sleep,
};

use super::{
    follower::{Followed, Follower, Names, Terms, insert},
    keeper::Keeper,
};
use crate::{
    domain::{ConsentPolicy, FaceSample, ModelId, TenantId, TenantScope},
    error::{ErrorKind, Result},
    gallery::{GalleryOptions, TenantGallery},
    runtime::spawn_blocking,
    store::{Alias, Matter, Store},
};

/// How often the galleries' sizes and ages are looked at where nothing is loaded.
const LOOK_EVERY: Duration = Duration::from_secs(10);

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
    follower: OnceCell<Follower>,
    /// Milliseconds from the start of the registry to the last search.
    last_used: AtomicU64,
}

/// The galleries of all tenants. Clones share them.
///
/// They follow the store's change feed and are told nothing by anybody: whoever asks for a gallery gets it with all that
/// was acknowledged before.
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
}

impl Galleries {
    /// No gallery loaded yet. Only samples of `model` will be found.
    pub fn new(store: Store, model: ModelId, options: GalleryOptions) -> Self {
        let (keeper, slots) = (Keeper::new(store.clone()), Mutex::default());
        let (started, loaded) = (Instant::now(), Notify::new());
        Self { inner: Arc::new(Inner { store, model, options, keeper, slots, started, loaded }) }
    }

    /// The tenant's gallery with all that was acknowledged before this was asked, loaded from the store if it is not;
    /// callers that come meanwhile wait for the one load. Ask anew for each search: an old one may no longer be kept up
    /// to date.
    ///
    /// Errors: `NotFound` `tenant_not_found`, `Forbidden` `tenant_suspended`.
    pub async fn tenant(&self, scope: &TenantScope) -> Result<Arc<TenantGallery>> {
        loop {
            let slot = Arc::clone(self.slots().entry(scope.tenant().clone()).or_default());
            self.touch(&slot);
            let followed = self.followed(scope, &slot).await;
            if !matches!(followed, Ok(Followed::UpToDate)) {
                // A tenant that may not be loaded leaves nothing behind.
                self.leave(scope.tenant(), &slot);
            }
            if let (Followed::UpToDate, Some(follower)) = (followed?, slot.follower.get()) {
                // A load takes long: others may have been used since.
                self.touch(&slot);
                follower.gallery().drop_ended();
                return Ok(Arc::clone(follower.gallery()));
            }
        }
    }

    /// Takes a slot out that is not to be used any more.
    fn leave(&self, tenant: &TenantId, slot: &Arc<Slot>) {
        let mut slots = self.slots();
        if slots.get(tenant).is_some_and(|held| Arc::ptr_eq(held, slot)) {
            slots.remove(tenant);
        }
    }

    async fn followed(&self, scope: &TenantScope, slot: &Slot) -> Result<Followed> {
        let follower = slot.follower.get_or_try_init(|| self.load(scope)).await?;
        let followed = follower.follow(&self.inner.store, scope, self.inner.options.plan).await?;
        if followed == Followed::UpToDate {
            // Whoever asks for a gallery is about to search it, so its graph is never long behind.
            self.inner.keeper.tend(scope, follower.gallery());
        }
        Ok(followed)
    }

    /// Gives the tenant's memory back. Searches that have its gallery finish; the next one loads it again.
    pub fn unload(&self, scope: &TenantScope) {
        self.slots().remove(scope.tenant());
    }

    /// The loaded galleries with their tenants.
    pub fn loaded_tenants(&self) -> Vec<(TenantId, Arc<TenantGallery>)> {
        let slots = self.slots();
        slots
            .iter()
            .filter_map(|(tenant, slot)| Some((tenant.clone(), Arc::clone(slot.follower.get()?.gallery()))))
            .collect()
    }

    /// Keeps the galleries within `limits`, for ever: looks after each load and now and then, as they grow and rest, and
    /// lets go at once of those of tenants that are closed.
    pub async fn keep_within(self, limits: MemoryLimits) {
        let mut calls = self.inner.store.calls(|matter| matter == Matter::Tenant);
        loop {
            tokio::select! {
                () = self.inner.loaded.notified() => {}
                _ = calls.next() => {}
                () = sleep(LOOK_EVERY.min(limits.idle)) => {}
            }
            self.follow_all().await;
            let galleries = self.clone();
            // Off the caller's thread: freeing a large gallery takes a while.
            if spawn_blocking(move || galleries.unload_unused(limits)).await.is_err() {
                tracing::error!("galleries could not be unloaded");
            }
        }
    }

    /// Brings what is loaded up to date, so that the next search has little to wait for, and lets go of what
    /// cannot go on.
    async fn follow_all(&self) {
        let slots: Vec<(TenantId, Arc<Slot>)> =
            self.slots().iter().map(|(tenant, slot)| (tenant.clone(), Arc::clone(slot))).collect();
        for (tenant, slot) in slots {
            let Some(follower) = slot.follower.get() else { continue };
            let scope = TenantScope::granted(tenant);
            match follower.follow(&self.inner.store, &scope, self.inner.options.plan).await {
                Ok(Followed::UpToDate) => self.inner.keeper.tend(&scope, follower.gallery()),
                Ok(Followed::Outdated) => self.leave(scope.tenant(), &slot),
                Err(error) => {
                    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden) {
                        tracing::warn!(%error, "a gallery cannot follow the store: the next search loads it anew");
                    }
                    self.leave(scope.tenant(), &slot);
                }
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
                let bytes = slot.follower.get()?.memory_bytes();
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

    async fn load(&self, scope: &TenantScope) -> Result<Follower> {
        let (options, store) = (&self.inner.options, &self.inner.store);
        // What changes from here on is followed, whether or not it is seen below.
        let followed_to = store.last_change(scope);
        let settings = store.open_tenant(scope).await?;
        let Terms { plan, consent } = Terms::of(&settings, options.plan);
        let options = GalleryOptions { plan, ..options.clone() };
        let empty = TenantGallery::new(self.inner.model.clone(), options);
        let mut names = Names::default();
        let gallery = Arc::new(match consent {
            ConsentPolicy::Off => empty,
            ConsentPolicy::Required => {
                let consents = store.consents(scope).await?;
                names.learn(consents.iter().map(|(named, _)| named.clone()));
                empty.with_consent(consents.into_iter().map(|((_, person), end)| (person, end)).collect())
            }
        });
        for (who, negative) in store.all_negatives(scope).await? {
            names.learn([(who, negative.person.clone())]);
            gallery.add_negative(negative);
        }
        let names = self.fill(scope, &gallery, names).await?;
        self.inner.loaded.notify_one();
        Ok(Follower::new(gallery, consent, names, followed_to))
    }

    /// Adds all of a tenant's samples; `names` with those whose they are.
    async fn fill(&self, scope: &TenantScope, gallery: &Arc<TenantGallery>, names: Names) -> Result<Names> {
        let (refused, names) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(names)));
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let (filled, counted, learning) = (Arc::clone(gallery), Arc::clone(&refused), Arc::clone(&names));
        let add = move |samples: &[FaceSample], people: &[Alias]| {
            counted.fetch_add(insert(&filled, samples), Ordering::Relaxed);
            learning.lock().unwrap_or_else(PoisonError::into_inner).learn(people.iter().cloned());
            Ok(())
        };
        self.inner.store.each_face(scope, threads, add).await?;
        let refused = refused.load(Ordering::Relaxed);
        if refused > 0 || gallery.of_other_models() > 0 {
            tracing::warn!(
                of_other_models = gallery.of_other_models(),
                refused,
                "some stored face samples cannot be searched: enrol their people again with the present model"
            );
        }
        let learned = std::mem::take(&mut *names.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(learned)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
