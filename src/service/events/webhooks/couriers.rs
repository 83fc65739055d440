//! Couriers: one task a webhook, which brings it the tenant's events in their order.
//!
//! How far a courier has come is in the store, and noted after each delivery: after a crash the last event may be
//! delivered again, under the same number, and none is left out. An event that does not arrive is tried again, and
//! those behind it wait, until it becomes a dead letter.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::sleep,
};

use crate::{
    config,
    domain::{DeadLetter, Event, Replay, TenantId, TenantScope, WebhookId},
    error::{Error, ErrorKind, Result},
    events::webhook::{Backoff, Failure, Letter, Post, Reach},
    service::{events::EventView, events::Service},
    store::{Calls, Errand, Matter},
};

/// Events looked at for one that is wanted.
const PAGE: usize = 64;
/// So many events that are not wanted are passed over before that is noted.
const SKIPPED_UNNOTED: u64 = 1000;
/// One tenant's deliveries may be so large a part of those under way: receivers that take their time hold up its own.
const TENANTS_PART: usize = 4;
/// The wait after a fault of ours, such as a store that cannot be read.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);

/// The couriers of one server. Clones share them.
#[derive(Clone)]
pub(in crate::service) struct Couriers {
    shared: Arc<Shared>,
}

struct Shared {
    post: Post,
    reach: Reach,
    backoff: Backoff,
    retry_for: SignedDuration,
    /// Deliveries that may begin.
    turns: Semaphore,
    /// Of them, those that may begin for one tenant.
    tenants_turns: usize,
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    employed: HashMap<(TenantId, WebhookId), Arc<Contact>>,
}

/// How a courier is reached.
struct Contact {
    /// The webhook, what is noted of it, or its tenant has changed.
    poke: Notify,
    /// The time of the event that waits to be delivered.
    waiting_since: Mutex<Option<Timestamp>>,
    /// Deliveries of the tenant that may begin; all its couriers have the same.
    tenants_turns: Arc<Semaphore>,
}

impl Couriers {
    /// Errors: `Internal` if there can be no HTTP client.
    pub(in crate::service) fn new(settings: &config::Webhooks) -> Result<Self> {
        let reach = Reach::new(settings.allow_private, settings.ports.as_slice());
        let post = Post::new(Duration::from_secs(settings.timeout_seconds), reach.clone())?;
        Ok(Self {
            shared: Arc::new(Shared {
                post,
                reach,
                backoff: Backoff { first: Duration::from_millis(settings.retry_first_ms) },
                retry_for: SignedDuration::from_secs(i64::from(settings.retry_seconds)),
                turns: Semaphore::new(settings.max_deliveries),
                tenants_turns: (settings.max_deliveries / TENANTS_PART).max(1),
                desk: Mutex::default(),
            }),
        })
    }

    /// Where webhooks may point.
    pub(in crate::service) fn reach(&self) -> &Reach {
        &self.shared.reach
    }

    /// The age of the oldest event that waits to be delivered.
    pub(in crate::service) fn behind(&self, now: Timestamp) -> SignedDuration {
        let desk = self.shared.desk();
        let waiting = desk.employed.values().filter_map(|contact| *contact.waiting_since());
        waiting.min().map_or(SignedDuration::ZERO, |since| now.duration_since(since).max(SignedDuration::ZERO))
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Has couriers look at their webhooks again: the one of a webhook, or all of a tenant.
    fn poke(&self, tenant: &TenantId, matter: Matter) {
        match matter {
            Matter::Tenant => {
                let own = self.employed.iter().filter(|((of, _), _)| of == tenant);
                own.for_each(|(_, contact)| contact.poke.notify_one());
            }
            Matter::Webhook(id) | Matter::Delivery(id) => {
                if let Some(contact) = self.employed.get(&(tenant.clone(), id)) {
                    contact.poke.notify_one();
                }
            }
        }
    }

    /// A tenant's turns: those that its couriers have, or new ones.
    fn turns_of(&self, tenant: &TenantId, turns: usize) -> Arc<Semaphore> {
        let colleague = self.employed.iter().find(|((of, _), _)| of == tenant);
        colleague.map_or_else(|| Arc::new(Semaphore::new(turns)), |(_, contact)| Arc::clone(&contact.tenants_turns))
    }
}

impl Contact {
    fn new(tenants_turns: Arc<Semaphore>) -> Self {
        Self { poke: Notify::default(), waiting_since: Mutex::default(), tenants_turns }
    }

    fn waiting_since(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Delivers events to webhooks until the future is dropped.
    pub async fn run_couriers(self) {
        let mut calls = self.store.calls(|_| true);
        while let Err(error) = self.look_up_webhooks(&calls).await {
            tracing::error!(%error, "webhooks cannot be looked up");
            sleep(AFTER_A_FAULT).await;
        }
        let mut at_work = JoinSet::new();
        loop {
            let called = tokio::select! {
                called = calls.next() => called,
                // Those that ended are let go of.
                Some(_) = at_work.join_next() => continue,
            };
            let mut in_vain = Vec::new();
            for (tenant, matter) in called {
                self.couriers.shared.desk().poke(&tenant, matter);
                if matches!(matter, Matter::Delivery(_)) {
                    continue;
                }
                let scope = TenantScope::granted(tenant);
                match self.employ(&scope, &mut at_work).await {
                    // It is being deleted.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => {
                        tracing::error!(%error, "webhooks cannot be looked up");
                        in_vain.push((scope, matter));
                    }
                    Ok(()) => {}
                }
            }
            if !in_vain.is_empty() {
                sleep(AFTER_A_FAULT).await;
                for (scope, matter) in &in_vain {
                    calls.call(scope.tenant(), *matter);
                }
            }
        }
    }

    async fn look_up_webhooks(&self, calls: &Calls) -> Result<()> {
        for tenant in self.store.tenants_with_webhooks().await? {
            calls.call(&tenant, Matter::Tenant);
        }
        Ok(())
    }

    /// A courier for each of the tenant's webhooks that has none.
    async fn employ(&self, scope: &TenantScope, at_work: &mut JoinSet<()>) -> Result<()> {
        for record in self.store.webhooks(scope).await? {
            let id = record.webhook.id;
            let contact = {
                let shared = &self.couriers.shared;
                let mut desk = shared.desk();
                let place = (scope.tenant().clone(), id);
                if desk.employed.contains_key(&place) {
                    continue;
                }
                let contact = Arc::new(Contact::new(desk.turns_of(scope.tenant(), shared.tenants_turns)));
                desk.employed.insert(place, Arc::clone(&contact));
                contact
            };
            let courier = Courier { service: self.clone(), scope: scope.clone(), id, contact };
            at_work.spawn(courier.work());
        }
        Ok(())
    }
}

/// Serves one webhook.
struct Courier {
    service: Service,
    scope: TenantScope,
    id: WebhookId,
    contact: Arc<Contact>,
}

impl Drop for Courier {
    fn drop(&mut self) {
        let place = (self.scope.tenant().clone(), self.id);
        self.service.couriers.shared.desk().employed.remove(&place);
    }
}

impl Courier {
    /// Until the webhook is gone.
    async fn work(self) {
        loop {
            match self.deliver_all().await {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!(webhook = %self.id, %error, "a webhook's events cannot be read or noted");
                    sleep(AFTER_A_FAULT).await;
                }
            }
        }
    }

    async fn deliver_all(&self) -> Result<()> {
        let mut bell = self.service.store.listen(&self.scope).await?;
        // Events before this one were looked at and are not wanted.
        let mut looked_to = 0;
        while let Some(errand) = self.service.store.errand(&self.scope, self.id).await? {
            if !errand.is_open {
                *self.contact.waiting_since() = None;
                self.contact.poke.notified().await;
                continue;
            }
            if let Some(replay) = errand.delivery.replay {
                self.replay(&errand, replay).await?;
                continue;
            }
            let last = *bell.borrow_and_update();
            if let Some(event) = self.next_wanted(&errand, &mut looked_to, last).await? {
                *self.contact.waiting_since() = Some(event.time);
                self.deliver(&errand, event).await?;
                continue;
            }
            *self.contact.waiting_since() = None;
            tokio::select! {
                changed = bell.changed() => if changed.is_err() { return Ok(()) },
                () = self.contact.poke.notified() => {}
            }
        }
        Ok(())
    }

    /// The next event that the webhook wants.
    async fn next_wanted(&self, errand: &Errand, looked_to: &mut u64, last: u64) -> Result<Option<Event>> {
        *looked_to = errand.delivery.done.max(*looked_to);
        while *looked_to < last {
            let page = self.service.store.events(&self.scope, *looked_to, last, PAGE).await?;
            if *looked_to + 1 < page.first {
                tracing::warn!(webhook = %self.id, "events were dropped from the log before a webhook was told of them");
                self.count("lost");
                // Noted, or it is found anew at every look.
                let done = page.first - 1;
                self.note(move |delivery| delivery.done = delivery.done.max(done)).await?;
            }
            let filter = &errand.webhook.filter;
            let mut events = page.events.into_iter();
            if let Some(event) = events.find(|event| filter.admits(event.what.kind(), event.what.group())) {
                *looked_to = event.id - 1;
                return Ok(Some(event));
            }
            *looked_to = page.read_to;
        }
        if last.saturating_sub(errand.delivery.done) >= SKIPPED_UNNOTED {
            self.note(move |delivery| delivery.done = last).await?;
        }
        Ok(None)
    }

    /// One attempt to deliver an event, and the wait after one in vain.
    async fn deliver(&self, errand: &Errand, event: Event) -> Result<()> {
        let (number, time) = (event.id, event.time);
        let Err(failure) = self.send(errand, event).await? else {
            self.count("delivered");
            return self
                .note(move |delivery| {
                    delivery.done = number;
                    (delivery.failing_since, delivery.attempts, delivery.last_failure) = (None, 0, None);
                })
                .await;
        };
        let (now, shared) = (self.service.clock.now(), &self.service.couriers.shared);
        let since = errand.delivery.failing_since.unwrap_or(now);
        let attempts = errand.delivery.attempts.saturating_add(1);
        let word = failure.word();
        self.note({
            let last_failure = Some(word.clone());
            move |delivery| {
                (delivery.failing_since, delivery.attempts) = (Some(since), attempts);
                delivery.last_failure.clone_from(&last_failure);
            }
        })
        .await?;
        if failure == Failure::Gone {
            return self.deactivate().await;
        }
        if is_given_up(now, since, time, shared.retry_for) {
            self.count("dead");
            let letter = DeadLetter { event: number, given_up_at: now, failure: word };
            return self.service.store.give_up(&self.scope, self.id, letter).await;
        }
        self.count("failed");
        let mut pause = pin!(sleep(shared.backoff.after(attempts)));
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                () = self.contact.poke.notified() => {}
            }
            // What it has noted itself is no reason to try at once.
            let now = self.service.store.errand(&self.scope, self.id).await?;
            if now.is_none_or(|now| now.is_another_than(errand)) {
                return Ok(());
            }
        }
    }

    /// The next dead letter of a replay, tried once.
    async fn replay(&self, errand: &Errand, replay: Replay) -> Result<()> {
        let store = &self.service.store;
        let next = store.dead_letters(&self.scope, self.id, replay.after, 1).await?.pop();
        let Some((letter, event)) = next.filter(|(letter, _)| letter.event <= replay.to) else {
            return self.note(|delivery| delivery.replay = None).await;
        };
        let number = event.id;
        match self.send(errand, event).await? {
            Ok(()) => {
                self.count("delivered");
                store.forget_dead_letter(&self.scope, self.id, number).await?;
            }
            Err(Failure::Gone) => return self.deactivate().await,
            Err(failure) => {
                self.count("replay_failed");
                let again = DeadLetter { given_up_at: self.service.clock.now(), failure: failure.word(), ..letter };
                store.give_up(&self.scope, self.id, again).await?;
            }
        }
        self.note(move |delivery| {
            // Another replay may have been asked for meanwhile.
            if delivery.replay == Some(replay) {
                delivery.replay = Some(Replay { after: number, ..replay });
            }
        })
        .await
    }

    async fn send(&self, errand: &Errand, event: Event) -> Result<Result<(), Failure>> {
        let number = event.id;
        let body = serde_json::to_vec(&EventView::from(event))
            .map_err(|error| Error::internal("an event cannot be written").with_source(error))?;
        let shared = &self.service.couriers.shared;
        // Never closed. The tenant's first: who waits for it holds nothing of the others'.
        let _tenants_turn = self.contact.tenants_turns.acquire().await;
        let _turn = shared.turns.acquire().await;
        let timestamp = self.service.clock.now().as_second();
        Ok(shared.post.send(Letter { webhook: &errand.webhook, event: number, timestamp, body }).await)
    }

    async fn deactivate(&self) -> Result<()> {
        self.count("gone");
        self.service.store.update_webhook(&self.scope, self.id, |webhook| webhook.active = false).await.map(drop)
    }

    async fn note(&self, change: impl Fn(&mut crate::domain::Delivery) + Send + 'static) -> Result<()> {
        self.service.store.update_delivery(&self.scope, self.id, change).await
    }

    fn count(&self, outcome: &str) {
        self.service.metrics.webhook_deliveries.with_label_values(&[outcome]).inc();
    }
}

/// Whether an event of `time` is given up where nothing has arrived since `since`. What came while nothing arrived has
/// its time as well: a long absence of the receiver does not end it for all at once.
fn is_given_up(now: Timestamp, since: Timestamp, time: Timestamp, retry_for: SignedDuration) -> bool {
    now.duration_since(since) >= retry_for && now.duration_since(time) >= retry_for
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_tried_for_a_day_of_its_own_and_of_the_receivers_absence() {
        let day = SignedDuration::from_hours(24);
        let hour = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        for (now, since, time, given_up) in [
            (23, 0, 0, false),
            (24, 0, 0, true),
            // It came ten hours after the first that did not arrive.
            (24, 0, 10, false),
            (34, 0, 10, true),
            // It is old, as the server was stopped for long, and was tried just now.
            (90, 90, 0, false),
            (114, 90, 0, true),
        ] {
            assert_eq!(is_given_up(hour(now), hour(since), hour(time), day), given_up, "{now} {since} {time}");
        }
    }
}
