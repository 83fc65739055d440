//! Calls: tenants of whom something was changed that somebody waits for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::Notify;

use crate::domain::{TenantId, WebhookId};

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// The tenant or what was set for it: it was made, suspended, opened, changed or removed.
    Tenant,
    /// A webhook.
    Webhook(WebhookId),
    /// How far a webhook has come, or what it is to do again.
    Delivery(WebhookId),
}

/// Calls to look at a tenant: whoever takes one finds there what was acknowledged before. However often a tenant is
/// called before somebody comes, it is called once.
pub struct Calls(Arc<Waiting>);

struct Waiting {
    wants: fn(Matter) -> bool,
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

    /// Calls a tenant by hand: at first, or again where something could not be done.
    pub fn call(&self, tenant: &TenantId, matter: Matter) {
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
    /// Calls for what is wanted from here on, until they are dropped.
    pub(super) fn answer(&mut self, wants: fn(Matter) -> bool) -> Calls {
        self.0.retain(|waiting| waiting.strong_count() > 0);
        let waiting = Arc::new(Waiting { wants, called: Mutex::default(), news: Notify::new() });
        self.0.push(Arc::downgrade(&waiting));
        Calls(waiting)
    }

    /// Calls everybody who waits for this.
    pub(super) fn call(&self, tenant: &TenantId, matter: Matter) {
        for waiting in self.0.iter().filter_map(Weak::upgrade).filter(|waiting| (waiting.wants)(matter)) {
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
        let (one_hook, other_hook) = (WebhookId::from_bytes([1; 16]), WebhookId::from_bytes([2; 16]));
        let mut callers = Callers::default();
        callers.call(&a, Matter::Tenant);
        let mut both = callers.answer(|matter| !matches!(matter, Matter::Delivery(_)));
        let mut one = callers.answer(|matter| matter == Matter::Tenant);
        assert!(both.next().now_or_never().is_none(), "called before anybody waited");
        for _ in 0..3 {
            callers.call(&b, Matter::Webhook(one_hook));
            callers.call(&b, Matter::Delivery(other_hook));
        }
        assert_eq!(both.next().await, [(b.clone(), Matter::Webhook(one_hook))].into());
        assert!(both.next().now_or_never().is_none() && one.next().now_or_never().is_none());
        callers.call(&a, Matter::Tenant);
        both.call(&b, Matter::Webhook(other_hook));
        assert_eq!(both.next().await, [(a.clone(), Matter::Tenant), (b, Matter::Webhook(other_hook))].into());
        assert_eq!(one.next().await, [(a.clone(), Matter::Tenant)].into());
        // Who sleeps is woken.
        let asleep = tokio::spawn(async move { one.next().await });
        tokio::task::yield_now().await;
        callers.call(&a, Matter::Tenant);
        assert_eq!(asleep.await.unwrap(), [(a, Matter::Tenant)].into());
        drop(both);
        drop(callers.answer(|_| false));
        assert_eq!(callers.0.len(), 1, "who waits no more is forgotten");
    }
}
