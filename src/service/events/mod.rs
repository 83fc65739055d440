//! What happens in a tenant: read from its log, or listened to.

mod feed;
mod view;
pub mod webhooks;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use self::webhooks::Couriers;
pub use self::{
    feed::{Feed, Told},
    view::{EventView, What},
};
use crate::{
    config,
    domain::{Access, Event, EventFilter, EventKind, GroupId, JobProgress, Permission, TenantScope, unauthenticated},
    error::Result,
    events::{Hub, Place, TICKET_LIFETIME, Tickets, Transport},
    runtime::Clock,
    store::Store,
    telemetry::Metrics,
};

/// How often old events are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventsWanted {
    /// Those after this one.
    pub after: Option<u64>,
    /// Of these kinds; of all if empty.
    pub kinds: Vec<EventKind>,
    /// About this group alone.
    pub group: Option<GroupId>,
}

/// A part of the log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventList {
    /// In their order.
    pub events: Vec<EventView>,
    /// Give it as `after` to go on.
    pub next: u64,
    /// Whether there may be more at this moment.
    pub more: bool,
    /// Whether events after `after` are no longer kept.
    pub gap: bool,
}

/// Lets in, once, who cannot send a key.
#[derive(Serialize, ToSchema)]
pub struct TicketView {
    /// Send it as `?ticket=`.
    pub ticket: String,
    /// How long it is good, in seconds.
    pub expires_in: u64,
}

/// What happens, and who is told; cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    hub: Hub,
    tickets: Tickets,
    couriers: Couriers,
    event_settings: config::Events,
}

impl Service {
    /// Errors: `Internal` if there can be no HTTP client.
    pub(super) fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        (events, webhooks): (config::Events, &config::Webhooks),
    ) -> Result<Self> {
        let hub = Hub::new(events.max_streams, metrics.event_streams.clone());
        let couriers = Couriers::new(webhooks)?;
        Ok(Self { store, clock, metrics, hub, tickets: Tickets::default(), couriers, event_settings: events })
    }

    /// How long the oldest event has waited that a webhook is to be told of.
    pub fn webhooks_behind(&self) -> SignedDuration {
        self.couriers.behind(self.clock.now())
    }

    /// At most `limit` events of the caller's after `wanted.after`, or from the first that is kept.
    ///
    /// # Errors
    /// `Forbidden` or `NotFound` `group_not_found` for a group that is not the caller's or does not exist.
    pub async fn events(&self, access: &Access, wanted: EventsWanted, limit: usize) -> Result<EventList> {
        let scope = access.tenant_scope()?;
        let filter = self.event_filter(access, &scope, &wanted).await?;
        let last = *self.store.listen(&scope).await?.borrow();
        let asked_after = wanted.after.unwrap_or(0);
        let page = self.store.events(&scope, asked_after.min(last), last, limit).await?;
        let gap = is_gap(asked_after, page.first, last);
        let (next, more) = (page.read_to, page.read_to < last);
        let events = page.events.into_iter().filter(|event| admits(&filter, event)).map(Into::into).collect();
        Ok(EventList { events, next, more, gap })
    }

    /// Listens to events of the caller's: those after `wanted.after`, or those that happen from now on.
    ///
    /// # Errors
    /// As for [`Self::events`], and `Overloaded` `too_many_streams`.
    pub async fn listen(&self, access: Access, wanted: EventsWanted, transport: Transport) -> Result<Feed> {
        let scope = access.tenant_scope()?;
        let filter = self.event_filter(&access, &scope, &wanted).await?;
        let place = self.hub.enter(scope.tenant(), access.actor(), transport)?;
        let bell = self.store.listen(&scope).await?;
        Ok(Feed::new(self.clone(), access, scope, filter, place, bell, wanted.after))
    }

    /// A place among the listeners for whoever follows a job. Errors: `Overloaded` `too_many_streams`.
    pub fn follow(&self, access: &Access) -> Result<Place> {
        self.hub.enter(access.tenant_scope()?.tenant(), access.actor(), Transport::Sse)
    }

    /// Tells who listens at this moment how far a job has come.
    pub fn tell_progress(&self, scope: &TenantScope, progress: JobProgress) {
        self.hub.tell_progress(scope.tenant(), progress);
    }

    /// A ticket for what the caller may listen to.
    ///
    /// # Errors
    /// `Overloaded` `too_many_tickets`.
    pub fn event_ticket(&self, access: Access) -> Result<TicketView> {
        let ticket = self.tickets.give(access, self.clock.now())?;
        Ok(TicketView { ticket, expires_in: TICKET_LIFETIME.as_secs() })
    }

    /// What a ticket opens, this once.
    ///
    /// # Errors
    /// `Unauthenticated` for one that is not good, or whose owner is no longer let in.
    pub async fn redeem(&self, ticket: &str) -> Result<Access> {
        let access = self.tickets.take(ticket, self.clock.now()).ok_or_else(unauthenticated)?;
        if self.store.still_grants(&access).await? { Ok(access) } else { Err(unauthenticated()) }
    }

    /// Ends all streams, for good.
    pub fn close_streams(&self) {
        self.hub.close();
    }

    /// Removes events that are older than they may be, for ever.
    pub async fn keep_events(self) {
        loop {
            let keep = SignedDuration::from_hours(24 * i64::from(self.event_settings.keep_days));
            let end = self.clock.now().saturating_sub(keep).unwrap_or(Timestamp::MIN);
            if let Err(error) = self.store.sweep_events(end).await {
                tracing::warn!(%error, "old events cannot be removed");
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    /// What the caller wants, as far as they may have it.
    async fn event_filter(&self, access: &Access, scope: &TenantScope, wanted: &EventsWanted) -> Result<EventFilter> {
        access.require(Permission::ReadEvents, wanted.group.as_ref())?;
        let groups = match &wanted.group {
            Some(group) => Some(vec![self.store.group(scope, group).await?.id]),
            None => access.groups().map(<[GroupId]>::to_vec),
        };
        Ok(EventFilter { kinds: wanted.kinds.clone(), groups })
    }
}

fn admits(filter: &EventFilter, event: &Event) -> bool {
    filter.admits(event.what.kind(), event.what.group())
}

/// Whether someone who has read up to `after` has missed events that are not kept, or has read another log than this
/// one, as after a restored backup.
fn is_gap(after: u64, first: u64, last: u64) -> bool {
    (after > 0 && after + 1 < first) || after > last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_where_events_are_gone() {
        for (after, first, last, gap) in [
            (0, 1, 0, false),
            (0, 50, 90, false),
            (48, 50, 90, true),
            (49, 50, 90, false),
            (90, 50, 90, false),
            (91, 50, 90, true),
            (89, 91, 90, true),
            (90, 91, 90, false),
        ] {
            assert_eq!(is_gap(after, first, last), gap, "after {after} of {first}..={last}");
        }
    }
}
