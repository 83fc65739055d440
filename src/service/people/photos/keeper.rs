//! Looking through what is kept for a time, strangers and photos: for those whose time is over, files that no record
//! names, and photos that do not open.

use std::{collections::HashMap, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    domain::{KeptPhoto, PhotoKey, PhotoRules, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    runtime::spawn_blocking,
    service::people::Service,
    store::{Matter, Store, TenantRecord},
    vault::Vault,
};

/// How often that is done: the longest that something stays beyond its time.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Tenants read at once.
const TENANTS_AT_ONCE: usize = 100;

/// What a tenant keeps, and for how long.
#[derive(Clone, Copy, PartialEq)]
struct Retention {
    photos: PhotoRules,
    unknown_faces_days: u32,
}

impl Retention {
    fn of(record: &TenantRecord) -> Self {
        Self { photos: record.settings.photos, unknown_faces_days: record.settings.unknown_faces_days }
    }
}

impl Service {
    /// Removes what is to go at once, every hour, and of a tenant when its rules were changed, for ever.
    pub async fn keep_to_retention(self) {
        let mut calls = self.store.calls(|matter| matter == Matter::Tenant);
        let mut known = HashMap::new();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tidy_all(&mut known).await,
                called = calls.next() => for (tenant, _) in called {
                    self.tidy_changed(tenant, &mut known).await;
                },
            }
        }
    }

    async fn tidy_all(&self, known: &mut HashMap<TenantId, Retention>) {
        match tenants(&self.store).await {
            Ok(records) => {
                *known = records.iter().map(|record| (record.tenant.id.clone(), Retention::of(record))).collect();
                for record in records {
                    self.tidy(record).await;
                }
            }
            Err(error) => {
                tracing::error!(%error, "tenants cannot be looked through: this is tried again every hour");
            }
        }
    }

    /// Only where what it keeps is another than at the last look.
    async fn tidy_changed(&self, tenant: TenantId, known: &mut HashMap<TenantId, Retention>) {
        match self.store.tenant_record(&TenantScope::granted(tenant.clone())).await {
            Ok(record) => {
                let retention = Retention::of(&record);
                if known.insert(tenant, retention) != Some(retention) {
                    self.tidy(record).await;
                }
            }
            // Gone, and so is all that was kept.
            Err(error) if error.kind() == ErrorKind::NotFound => drop(known.remove(&tenant)),
            Err(error) => {
                known.remove(&tenant);
                tracing::error!(%error, "a tenant cannot be looked through: this is tried again every hour");
            }
        }
    }

    async fn tidy(&self, record: TenantRecord) {
        let scope = TenantScope::granted(record.tenant.id);
        if let Err(error) = self.store.forget_strangers(&scope, self.clock.now()).await {
            tracing::error!(%error, "a tenant's unknown faces cannot be looked through: this is tried again every hour");
        }
        if let Err(error) = self.tidy_photos_of(&scope, record.settings.photos).await {
            tracing::error!(%error, "a tenant's photos cannot be looked through: this is tried again every hour");
        }
    }

    async fn tidy_photos_of(&self, scope: &TenantScope, rules: PhotoRules) -> Result<()> {
        let tenant = scope.tenant().clone();
        let mut unnamed = self.in_vault(move |vault| vault.settled_files(&tenant)).await?;
        let now = self.clock.now();
        each_page(&self.store, scope, async |page| {
            for photo in &page {
                unnamed.remove(&photo.file);
            }
            let over: Vec<KeptPhoto> = page.into_iter().filter(|photo| rules.is_over(photo, now)).collect();
            if !over.is_empty() {
                self.store.forget_photos(scope, over.clone()).await?;
                self.count_removed("over", over.len());
                self.remove_files(scope, over).await;
            }
            Ok(())
        })
        .await?;
        // A store that has failed may show less than is on the disk.
        if unnamed.is_empty() || !self.store.is_healthy() {
            return Ok(());
        }
        self.count_removed("unnamed", unnamed.len());
        let tenant = scope.tenant().clone();
        self.in_vault(move |vault| vault.remove(&tenant, unnamed)).await
    }

    fn count_removed(&self, reason: &str, photos: usize) {
        self.pipeline.tools().metrics.kept_photos_removed.with_label_values(&[reason]).inc_by(photos as u64);
    }
}

/// Opens every photo with its key, and shows `tell` those of which that fails, with what is wrong.
///
/// # Errors
/// `Storage` if a record cannot be read.
pub(in crate::service) async fn unreadable_photos(
    store: &Store,
    vault: &Vault,
    mut tell: impl FnMut(&TenantId, &KeptPhoto, &'static str),
) -> Result<()> {
    for record in tenants(store).await? {
        let scope = TenantScope::granted(record.tenant.id);
        each_page(store, &scope, async |page| {
            for photo in page {
                let known = store.photos(&scope, &photo.person).await.unwrap_or_default();
                let Some(wrong) = fault(vault, &scope, &photo, known.key).await? else { continue };
                // One that was removed meanwhile is not missed.
                if store.photos(&scope, &photo.person).await.is_ok_and(|known| known.photos.contains(&photo)) {
                    tell(scope.tenant(), &photo, wrong);
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// What is wrong with a photo, if it does not open.
async fn fault(
    vault: &Vault,
    scope: &TenantScope,
    photo: &KeptPhoto,
    key: Option<PhotoKey>,
) -> Result<Option<&'static str>> {
    let Some(key) = key else { return Ok(Some("no_photo_key")) };
    let (vault, tenant, photo) = (vault.clone(), scope.tenant().clone(), photo.clone());
    let open = move || match vault.load(&tenant, &photo, &key) {
        Ok(Some(_)) => None,
        Ok(None) => Some("no_photo_file"),
        Err(error) => Some(error.code()),
    };
    spawn_blocking(open).await.map_err(|lost| Error::internal("a photo was not looked at").with_source(lost))
}

/// All tenants; only the operator makes them.
async fn tenants(store: &Store) -> Result<Vec<TenantRecord>> {
    let mut all: Vec<TenantRecord> = Vec::new();
    loop {
        let page = store.tenants(all.last().map(|record| &record.tenant.id), TENANTS_AT_ONCE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Shows `step` a tenant's photos, some at once.
async fn each_page(
    store: &Store,
    scope: &TenantScope,
    mut step: impl AsyncFnMut(Vec<KeptPhoto>) -> Result<()>,
) -> Result<()> {
    let mut after = None;
    loop {
        let (page, next) = store.some_photos(scope, after).await?;
        if next.is_none() {
            return Ok(());
        }
        after = next;
        step(page).await?;
    }
}
