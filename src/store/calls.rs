//! Calls: tenants of whom something was changed that somebody waits for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::Notify;

use crate::domain::TenantId;

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// The tenant or what was set for it: it was made, suspended, opened, changed or removed.
    Tenant,
    /// A webhook.
    Webhook,
    /// How far a webhook has come, or what it is to do again.
    Delivery,
}

/// Calls to look at a tenant: whoever takes one finds there what was acknowledged before. However often a tenant is
/// called before somebody comes, it is called once.
pub struct Calls(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    matters: &'static [Matter],
    called: Mutex<BTreeSet<(TenantId, Matter)>>,
    news: Notify,
}

impl Calls {
    /// Waits for calls.
    pub async fn next(&mut self) -> BTreeSet<(TenantId, Matter)> {
        loop {
            let called = std::mem::take(&mut *self.0.called());
            if !called.is_empty() {
                return called;
            }
            self.0.news.notified().await;
        }
    }

    /// Calls a tenant again, of which something could not be done now.
    pub fn again(&self, tenant: &TenantId, matter: Matter) {
        self.0.call(tenant, matter);
    }
}

impl Waiting {
    fn call(&self, tenant: &TenantId, matter: Matter) {
        self.called().insert((tenant.clone(), matter));
        self.news.notify_one();
    }

    fn called(&self) -> MutexGuard<'_, BTreeSet<(TenantId, Matter)>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everybody who waits for calls.
#[derive(Default)]
pub(super) struct Callers(Vec<Weak<Waiting>>);

impl Callers {
    /// Calls for `matters` from here on, until they are dropped.
    pub(super) fn answer(&mut self, matters: &'static [Matter]) -> Calls {
        self.0.retain(|waiting| waiting.strong_count() > 0);
        let waiting = Arc::new(Waiting { matters, ..Waiting::default() });
        self.0.push(Arc::downgrade(&waiting));
        Calls(waiting)
    }

    /// Calls everybody who waits for this.
    pub(super) fn call(&self, tenant: &TenantId, matter: Matter) {
        for waiting in self.0.iter().filter_map(Weak::upgrade).filter(|waiting| waiting.matters.contains(&matter)) {
            waiting.call(tenant, matter);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_called_once_for_what_they_wait_for() {
        let (a, b): (TenantId, TenantId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut callers = Callers::default();
        callers.call(&a, Matter::Tenant);
        let mut both = callers.answer(&[Matter::Tenant, Matter::Webhook]);
        let mut one = callers.answer(&[Matter::Tenant]);
        assert!(both.next().now_or_never().is_none(), "called before anybody waited");
        for _ in 0..3 {
            callers.call(&b, Matter::Webhook);
            callers.call(&b, Matter::Delivery);
        }
        assert_eq!(both.next().await, [(b.clone(), Matter::Webhook)].into());
        assert!(both.next().now_or_never().is_none() && one.next().now_or_never().is_none());
        callers.call(&a, Matter::Tenant);
        both.again(&b, Matter::Webhook);
        assert_eq!(both.next().await, [(a.clone(), Matter::Tenant), (b, Matter::Webhook)].into());
        assert_eq!(one.next().await, [(a, Matter::Tenant)].into());
        drop(both);
        drop(callers.answer(&[]));
        assert_eq!(callers.0.len(), 2, "who waits no more is forgotten");
    }
}
