//! The event log of each tenant: what happened, numbered in the transaction in which it happened.
//!
//! An operation says what it does by [`Transaction::tell`]. Just before it is applied, [`EventLog::record`] gives what
//! was told its numbers and its time, so the log tells of all that happened and of nothing else. Readers hear of an
//! event from the change feed, once it is durable: a number that a reader has seen never comes to mean another event.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::webhooks;
use crate::{
    domain::{Event, EventKind, GroupId, PersonId, Pseudonym, Right, Tenant, TenantId, TenantScope},
    error::{ErrorKind, Result},
    store::{
        Store,
        engine::{Read, View},
        keys,
        people::pseudonyms::pseudonym,
        transaction::Transaction,
    },
};

/// Events removed with one new one, where the log is longer than it may be (it was allowed to be longer before).
const REMOVED_WITH_ONE: usize = 16;
/// Old events removed in one transaction.
const SWEPT_AT_ONCE: usize = 256;

/// Told of every event that became durable.
pub type EventObserver = Arc<dyn Fn(EventKind) + Send + Sync>;

/// The numbers of a tenant's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Numbers {
    /// No event before this one is kept.
    pub(in crate::store) first: u64,
    /// The next event's.
    pub(in crate::store) next: u64,
}

impl Numbers {
    pub(in crate::store) fn of(read: &impl Read, tenant: &TenantId) -> Result<Self> {
        Ok(read.get(&keys::event_log(tenant))?.unwrap_or(Self { first: 1, next: 1 }))
    }

    /// The last event's number; 0 where there was none yet.
    pub(in crate::store) fn last(self) -> u64 {
        self.next - 1
    }
}

/// That an event is about somebody; its key says all.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Mention;

/// A part of a tenant's log.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// In their order.
    pub events: Vec<Event>,
    /// All wanted events up to this one are in `events`.
    pub read_to: u64,
    /// No event before this one is kept.
    pub first: u64,
}

/// What gives events their numbers.
pub(in crate::store) struct EventLog {
    /// The most events of a tenant.
    max_events: u64,
    observer: Option<EventObserver>,
}

impl EventLog {
    pub(in crate::store) fn new(max_events: u64, observer: Option<EventObserver>) -> Self {
        Self { max_events, observer }
    }

    /// Writes what the transaction has told; the kinds of the events.
    pub(in crate::store) fn record(&self, transaction: &mut Transaction<'_>) -> Result<Vec<EventKind>> {
        let mut kinds = Vec::new();
        for (tenant, what) in transaction.take_told() {
            let mut numbers = Numbers::of(transaction, &tenant)?;
            let event = Event { id: numbers.next, time: transaction.origin().at, what };
            mention(transaction, &tenant, &event)?;
            transaction.put(keys::event(&tenant, event.id), &event)?;
            numbers.next += 1;
            for _ in 0..REMOVED_WITH_ONE {
                if numbers.next - numbers.first <= self.max_events {
                    break;
                }
                remove(transaction, &tenant, numbers.first)?;
                numbers.first += 1;
            }
            transaction.put(keys::event_log(&tenant), &numbers)?;
            kinds.push(event.what.kind());
        }
        Ok(kinds)
    }

    /// Tells the observer of events that are durable now.
    pub(in crate::store) fn observe(&self, kinds: &[EventKind]) {
        if let Some(observer) = &self.observer {
            for kind in kinds {
                observer(*kind);
            }
        }
    }
}

impl Store {
    /// Hears of new events: the value is the number of the last one that is durable. Closed when the tenant is gone.
    pub async fn listen(&self, scope: &TenantScope) -> Result<watch::Receiver<u64>> {
        let tenant = scope.tenant().clone();
        // An operation that writes nothing is acknowledged when all that it has seen is durable.
        let last =
            self.write(&Right::of_machine(), move |transaction| Ok(Numbers::of(transaction, &tenant)?.last())).await?;
        Ok(self.engine().feed().listen(scope.tenant(), last))
    }

    /// At most `limit` events after `after`, none after `to`, which a bell has told.
    pub async fn events(&self, scope: &TenantScope, after: u64, to: u64, limit: usize) -> Result<EventPage> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let first = Numbers::of(view, &tenant)?.first;
            let mut events = Vec::new();
            for event in view.scan::<Event>(&keys::events(&tenant), Some(&keys::event(&tenant, after))).take(limit) {
                let event = event?;
                if event.id > to {
                    break;
                }
                events.push(event);
            }
            let read_to = events.last().filter(|_| events.len() == limit).map_or(to.max(after), |event| event.id);
            Ok(EventPage { events, read_to, first })
        })
        .await
    }

    /// Removes the events from before `end`, of all tenants.
    pub async fn sweep_events(&self, end: Timestamp) -> Result<()> {
        let tenants =
            |view: &View<'_>| view.scan::<Tenant>(&keys::tenants(), None).map(|tenant| Ok(tenant?.id)).collect();
        let tenants: Vec<TenantId> = self.read(tenants).await?;
        for tenant in tenants {
            while self.sweep_some(&tenant, end).await? {}
        }
        Ok(())
    }

    /// Whether there may be more of them.
    async fn sweep_some(&self, tenant: &TenantId, end: Timestamp) -> Result<bool> {
        let tenant = tenant.clone();
        let swept = self
            .write(&Right::of_machine(), move |transaction| {
                let prefix = keys::events(&tenant);
                let page: Vec<Event> = transaction.scan(&prefix, None).take(SWEPT_AT_ONCE).collect::<Result<_>>()?;
                let old: Vec<u64> = page.iter().take_while(|event| event.time < end).map(|event| event.id).collect();
                let Some(last) = old.last() else { return Ok(false) };
                let numbers = Numbers { first: last + 1, ..Numbers::of(transaction, &tenant)? };
                transaction.put(keys::event_log(&tenant), &numbers)?;
                for number in &old {
                    remove(transaction, &tenant, *number)?;
                }
                Ok(old.len() == SWEPT_AT_ONCE)
            })
            .await;
        match swept {
            // It is being deleted.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            swept => swept,
        }
    }
}

/// The events about a person.
pub(in crate::store) fn of_person(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<Event>> {
    let numbers = numbers_under(read, &keys::person_events(tenant, who))?;
    let keys: Vec<_> = numbers.into_iter().map(|number| keys::event(tenant, number)).collect();
    Ok(read.get_many(&keys)?.into_iter().flatten().collect())
}

/// Removes the events about a person.
pub(in crate::store) fn remove_of_person(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
) -> Result<()> {
    remove_under(transaction, tenant, &keys::person_events(tenant, who))
}

/// Removes the events about a group: a later group of the same id is another.
pub(in crate::store) fn remove_of_group(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    group: &GroupId,
) -> Result<()> {
    remove_under(transaction, tenant, &keys::group_events(tenant, group))
}

/// Makes the events about `from` events about `person`, whose pseudonym is `to`.
pub(in crate::store) fn give(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    from: Pseudonym,
    to: Pseudonym,
    person: &PersonId,
) -> Result<()> {
    for number in numbers_under(transaction, &keys::person_events(tenant, from))? {
        let key = keys::event(tenant, number);
        if let Some(event) = transaction.get::<Event>(&key)? {
            transaction.put(key, &Event { what: event.what.about(person), ..event })?;
            transaction.put(keys::person_event(tenant, to, number), &Mention)?;
        }
        transaction.remove(keys::person_event(tenant, from, number));
    }
    Ok(())
}

/// Puts the index records of an event.
fn mention(transaction: &mut Transaction<'_>, tenant: &TenantId, event: &Event) -> Result<()> {
    if let Some(who) = about(transaction, tenant, event)? {
        transaction.put(keys::person_event(tenant, who, event.id), &Mention)?;
    }
    if let Some(group) = event.what.group() {
        transaction.put(keys::group_event(tenant, group, event.id), &Mention)?;
    }
    Ok(())
}

/// The pseudonym of the person that an event is about.
fn about(read: &impl Read, tenant: &TenantId, event: &Event) -> Result<Option<Pseudonym>> {
    event.what.person().map_or(Ok(None), |person| pseudonym(read, tenant, person))
}

fn remove_under(transaction: &mut Transaction<'_>, tenant: &TenantId, index: &[u8]) -> Result<()> {
    for number in numbers_under(transaction, index)? {
        remove(transaction, tenant, number)?;
    }
    Ok(())
}

fn numbers_under(read: &impl Read, index: &[u8]) -> Result<Vec<u64>> {
    read.scan_keys(index).filter_map(|key| key.map(|key| keys::event_number(&key)).transpose()).collect()
}

/// Removes an event, if it is still there, with what refers to it.
fn remove(transaction: &mut Transaction<'_>, tenant: &TenantId, number: u64) -> Result<()> {
    let key = keys::event(tenant, number);
    let Some(event) = transaction.get::<Event>(&key)? else { return Ok(()) };
    if let Some(who) = about(transaction, tenant, &event)? {
        transaction.remove(keys::person_event(tenant, who, number));
    }
    if let Some(group) = event.what.group() {
        transaction.remove(keys::group_event(tenant, group, number));
    }
    webhooks::forget_event(transaction, tenant, number)?;
    transaction.remove(key);
    Ok(())
}
