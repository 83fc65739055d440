//! How much work a tenant may ask for: requests a second, counted in memory, and photos a day, counted durably.

mod bucket;
mod days;

use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Zoned;
use prometheus::IntCounterVec;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::{bucket::Bucket, days::Days};
use crate::{
    domain::{Quotas, TenantId, TenantScope, TenantSettings},
    error::{Error, ErrorKind, Result},
    runtime::Clock,
    store::{Store, TenantRecord},
};

/// How often counts of photos are written where there are new ones: the most that a crash forgets.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// Holds tenants to their quotas. Clones share the counts.
#[derive(Clone)]
pub(in crate::service) struct QuotaKeeper {
    /// Where the tenant has none of its own.
    defaults: Quotas,
    clock: Arc<dyn Clock>,
    /// Tenants that have sent a request within the last seconds: a full bucket says nothing, and is thrown away.
    buckets: Arc<Mutex<HashMap<TenantId, Bucket>>>,
    days: Days,
    refused: IntCounterVec,
}

impl QuotaKeeper {
    /// `refused` counts by the quota's name.
    pub(in crate::service) fn new(
        defaults: Quotas,
        store: Store,
        clock: Arc<dyn Clock>,
        refused: IntCounterVec,
    ) -> Self {
        Self { defaults, clock, buckets: Arc::default(), days: Days::new(store), refused }
    }

    /// The quotas in force for a tenant.
    pub(in crate::service) fn of(&self, settings: &TenantSettings) -> Quotas {
        settings.quotas(self.defaults)
    }

    /// Counts a request. Errors: `Overloaded` `too_many_requests`, with the time after which there is room for one.
    pub(in crate::service) fn admit(&self, tenant: &TenantId, settings: &TenantSettings) -> Result<()> {
        let Some(rate) = NonZeroU64::new(self.of(settings).requests_per_second) else { return Ok(()) };
        let taken = self.buckets().entry(tenant.clone()).or_default().take(rate, Instant::now());
        taken.map_err(|wait| {
            self.refused.with_label_values(&["requests_per_second"]).inc();
            Error::new(ErrorKind::Overloaded, format!("the tenant may send {rate} requests a second"))
                .with_code("too_many_requests")
                .with_retry_after(wait)
        })
    }

    /// Counts `photos`, all or none. Errors: `Overloaded` `daily_quota`, with the time until the tenant's next day.
    pub(in crate::service) async fn count_photos(
        &self,
        scope: &TenantScope,
        settings: &TenantSettings,
        photos: u64,
    ) -> Result<()> {
        let now = settings.local_time(self.clock.now())?;
        let max = NonZeroU64::new(self.of(settings).photos_per_day);
        let counted = self.days.count(scope, now.date(), photos, max.map_or(u64::MAX, NonZeroU64::get)).await?;
        let (Err(used), Some(max)) = (counted, max) else { return Ok(()) };
        self.refused.with_label_values(&["photos_per_day"]).inc();
        Err(Error::new(ErrorKind::Overloaded, format!("the tenant may send {max} photos a day and has sent {used}"))
            .with_code("daily_quota")
            .with_details(json!({ "limit": "photos_per_day", "max": max, "used": used }))
            .with_retry_after(until_midnight(&now)?))
    }

    /// Takes back photos that were counted and then turned away at the door.
    pub(in crate::service) fn discount_photos(&self, scope: &TenantScope, photos: u64) {
        self.days.discount(scope, photos);
    }

    /// How many photos the tenant has sent on its present day.
    pub(in crate::service) fn photos_today(&self, record: &TenantRecord) -> Result<u64> {
        let today = record.settings.local_time(self.clock.now())?.date();
        let last = self.days.last(&record.tenant.id).or(record.photos);
        Ok(last.filter(|last| last.date >= today).map_or(0, |last| last.photos))
    }

    /// Forgets a tenant that is gone.
    pub(in crate::service) fn forget(&self, scope: &TenantScope) {
        self.days.forget(scope.tenant());
    }

    /// Writes the counts that are not in the store yet.
    pub(in crate::service) async fn write(&self) {
        self.days.write().await;
    }

    /// Writes the counts now and then and lets go of what says nothing, for ever.
    pub(in crate::service) async fn keep(self) {
        let mut ticks = interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            self.buckets().retain(|_, bucket| !bucket.is_full(now));
            self.write().await;
        }
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<TenantId, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From `now` to the beginning of the next local day.
fn until_midnight(now: &Zoned) -> Result<Duration> {
    let midnight = now.tomorrow().and_then(|tomorrow| tomorrow.start_of_day());
    let midnight = midnight.map_err(|error| Error::internal("the calendar ends before tomorrow").with_source(error))?;
    Ok(now.duration_until(&midnight).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_midnight_is_the_tenants_own() {
        for (now, hours) in [
            ("2026-03-28T22:30:00+01:00[Europe/Vienna]", 1.5),
            // The clocks go forward in the small hours of the 29th, and back on 25 October.
            ("2026-03-29T00:00:00+01:00[Europe/Vienna]", 23.0),
            ("2026-10-25T00:00:00+02:00[Europe/Vienna]", 25.0),
            ("2026-03-28T22:30:00+00:00[UTC]", 1.5),
        ] {
            let wait = until_midnight(&now.parse().unwrap()).unwrap();
            assert_eq!(wait, Duration::from_secs_f64(hours * 3600.0), "{now}");
        }
    }
}
