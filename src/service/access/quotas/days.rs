//! How many photos each tenant has sent on its present day. Counted in memory and written now and then, so no photo
//! waits for the disk; a crash forgets what was counted since.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::join_all;
use jiff::civil::Date;

use crate::{
    domain::{PhotosOfDay, TenantId, TenantScope},
    error::{ErrorKind, Result},
    store::Store,
};

/// See the module. Clones share the counts.
#[derive(Clone)]
pub(super) struct Days {
    store: Store,
    /// Tenants that have sent a photo since the start: at most those that exist.
    counts: Arc<Mutex<HashMap<TenantId, Count>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    day: PhotosOfDay,
    is_stored: bool,
}

impl Days {
    pub(super) fn new(store: Store) -> Self {
        Self { store, counts: Arc::default() }
    }

    /// Adds `photos` to the tenant's count of `today`, unless there would be more than `max`: then the inner error is
    /// the count as it is.
    pub(super) async fn count(
        &self,
        scope: &TenantScope,
        today: Date,
        photos: u64,
        max: u64,
    ) -> Result<Result<(), u64>> {
        if self.last(scope.tenant()).is_none() {
            let day = self.store.photos_of_day(scope).await?.unwrap_or_default();
            self.counts().entry(scope.tenant().clone()).or_insert(Count { day, is_stored: true });
        }
        let mut counts = self.counts();
        let Count { day, is_stored } = counts.entry(scope.tenant().clone()).or_default();
        // A tenant that moved to the west finds itself on an earlier day: that one is not begun again.
        if today > day.date {
            *day = PhotosOfDay { date: today, photos: 0 };
        }
        if day.photos.saturating_add(photos) > max {
            return Ok(Err(day.photos));
        }
        day.photos += photos;
        *is_stored = false;
        Ok(Ok(()))
    }

    /// Takes `photos` back.
    pub(super) fn discount(&self, scope: &TenantScope, photos: u64) {
        if let Some(Count { day, is_stored }) = self.counts().get_mut(scope.tenant()) {
            day.photos = day.photos.saturating_sub(photos);
            *is_stored = false;
        }
    }

    /// The tenant's last day, if it is in memory.
    pub(super) fn last(&self, tenant: &TenantId) -> Option<PhotosOfDay> {
        self.counts().get(tenant).map(|count| count.day)
    }

    pub(super) fn forget(&self, tenant: &TenantId) {
        self.counts().remove(tenant);
    }

    /// Writes what has changed since it was written last.
    pub(super) async fn write(&self) {
        let changed: Vec<(TenantScope, PhotosOfDay)> = self
            .counts()
            .iter_mut()
            .filter_map(|(tenant, count)| {
                let is_new = !mem::replace(&mut count.is_stored, true);
                is_new.then(|| (TenantScope::granted(tenant.clone()), count.day))
            })
            .collect();
        // All at once: they share a flush.
        join_all(changed.into_iter().map(|(scope, day)| async move {
            match self.store.put_photos_of_day(&scope, day).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => self.forget(scope.tenant()),
                Err(error) => tracing::error!(%error, "a tenant's count of photos cannot be written"),
            }
        }))
        .await;
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<TenantId, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
