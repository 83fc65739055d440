//! Which requests are under way, and how many answers are kept of whom.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::conflict;
use crate::{
    config,
    domain::{Actor, TenantId},
    error::{Error, ErrorKind, Result},
    service::Services,
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
    /// When those since the start were kept, by whose they are.
    since_start: HashMap<Owner, VecDeque<Timestamp>>,
}

/// Whose an answer is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    /// `None` for operators.
    pub(super) tenant: Option<TenantId>,
    /// The user or key.
    pub(super) actor: Actor,
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
    /// `Overloaded` `too_many_idempotency_keys` where as many are kept of the tenant as may be, or half as many of one
    /// user or key.
    pub(super) fn require_room(&self, owner: &Owner, now: Timestamp) -> Result<()> {
        let mut shared = self.shared();
        let own = shared.since_start.get_mut(owner).map_or(0, |kept_at| num_left(kept_at, self.kept_since(now)));
        let kept = shared.kept.get(&owner.tenant).copied().unwrap_or_default();
        if kept >= self.max_keys || own >= self.max_keys.div_ceil(2) {
            let message = "too many requests under idempotency keys: wait until older ones are forgotten, or send none";
            return Err(Error::new(ErrorKind::Overloaded, message).with_code("too_many_idempotency_keys"));
        }
        Ok(())
    }

    /// Counts an answer that was kept.
    pub(super) fn count(&self, owner: &Owner, now: Timestamp) {
        let mut shared = self.shared();
        *shared.kept.entry(owner.tenant.clone()).or_default() += 1;
        shared.since_start.entry(owner.clone()).or_default().push_back(now);
    }

    /// Removes old answers now and again, until the future is dropped.
    pub async fn sweep(self, services: Services) {
        loop {
            let end = self.kept_since(services.now());
            match services.store().sweep_answers(end).await {
                Ok(left) => {
                    let mut shared = self.shared();
                    shared.kept = left.into_iter().collect();
                    shared.since_start.retain(|_, kept_at| num_left(kept_at, end) > 0);
                }
                Err(error) => tracing::warn!(%error, "old answers cannot be removed"),
            }
            tokio::time::sleep(self.keep.min(SWEEP_EVERY)).await;
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets those from before `end`; how many are left.
fn num_left(kept_at: &mut VecDeque<Timestamp>, end: Timestamp) -> usize {
    while kept_at.front().is_some_and(|&at| at < end) {
        kept_at.pop_front();
    }
    kept_at.len()
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
