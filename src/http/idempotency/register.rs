//! Which requests are under way, and how many answers are kept of whom.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::conflict;
use crate::{
    config,
    domain::TenantId,
    error::{Error, ErrorKind, Result},
    service::Service,
};

/// How often old answers are looked for, at the least.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Register {
    keep: Duration,
    max_keys: usize,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    under_way: HashSet<Vec<u8>>,
    /// Answers kept, as of the last sweep and those since.
    kept: HashMap<Option<TenantId>, usize>,
}

impl Register {
    /// An empty one.
    pub fn new(settings: &config::Idempotency) -> Self {
        let keep = Duration::from_secs(settings.keep_seconds);
        Self { keep, max_keys: settings.max_keys, shared: Arc::default() }
    }

    /// Enters a request, until its turn is dropped.
    ///
    /// # Errors
    /// `Conflict` `idempotency_in_progress` while another of the same claim is under way.
    pub(super) fn begin(&self, claim: &[u8]) -> Result<Turn> {
        if !self.shared().under_way.insert(claim.to_vec()) {
            return Err(conflict("idempotency_in_progress", "the first request under this key is still under way"));
        }
        Ok(Turn { register: self.clone(), claim: claim.to_vec() })
    }

    /// Before when an answer is forgotten.
    pub(super) fn kept_since(&self, now: Timestamp) -> Timestamp {
        SignedDuration::try_from(self.keep)
            .map_or(Timestamp::MIN, |keep| now.saturating_sub(keep).unwrap_or(Timestamp::MIN))
    }

    /// # Errors
    /// `Overloaded` `too_many_idempotency_keys` where as many are kept as may be.
    pub(super) fn require_room(&self, tenant: Option<&TenantId>) -> Result<()> {
        let kept = self.shared().kept.get(&tenant.cloned()).copied().unwrap_or_default();
        if kept >= self.max_keys {
            let message = "too many requests under idempotency keys: wait until older ones are forgotten, or send none";
            return Err(Error::new(ErrorKind::Overloaded, message).with_code("too_many_idempotency_keys"));
        }
        Ok(())
    }

    /// Counts an answer that was kept.
    pub(super) fn count(&self, tenant: Option<&TenantId>) {
        *self.shared().kept.entry(tenant.cloned()).or_default() += 1;
    }

    /// Removes old answers now and again, until the future is dropped.
    pub async fn sweep(self, service: Service) {
        loop {
            match service.store().sweep_answers(self.kept_since(service.now())).await {
                Ok(left) => self.shared().kept = left.into_iter().collect(),
                Err(error) => tracing::warn!(%error, "old answers cannot be removed"),
            }
            tokio::time::sleep(self.keep.min(SWEEP_EVERY)).await;
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's place among those under way.
pub(super) struct Turn {
    register: Register,
    claim: Vec<u8>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.register.shared().under_way.remove(&self.claim);
    }
}
