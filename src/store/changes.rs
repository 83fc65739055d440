//! The change feed: what commits have changed that somebody derives something from, numbered for each tenant.
//!
//! A commit's changes are its keys, without what lies under them; people are pseudonyms in it. Those of which indexes are
//! made are kept, in memory alone; others are told to who waits for them. The feed is told when the commit is durable and
//! before it is acknowledged, so who looks at it first and then at what they have derived misses nothing that was
//! acknowledged before. A change says where to look, not what is there: what was changed again since is found as it is
//! now, and a change that is followed twice changes nothing more.
//!
//! Changes are kept for a while, all tenants' together no more than [`MAX_KEPT`]; the tenant that has most gives way.
//! Whoever has fallen behind what is kept begins anew.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    calls::{Callers, Calls, Matter},
    keys::{self, Key, Kind, Parsed, Server},
    transaction::Writes,
};
use crate::domain::{FaceId, Pseudonym, TenantId, WebhookId};

/// Changes that are kept, some 10 MB of them.
const MAX_KEPT: usize = 1 << 18;

/// What was changed, made or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Change {
    /// The tenant, or what was set for it.
    Tenant,
    /// A person.
    Person(Pseudonym),
    /// A face sample of a person.
    Face(Pseudonym, FaceId),
    /// A face that is not the person's.
    Negative(Pseudonym, FaceId),
    /// An event that is new in the tenant's log.
    Event(u64),
    /// A webhook.
    Webhook(WebhookId),
    /// How far a webhook has come.
    Delivery(WebhookId),
}

impl Change {
    /// Whether indexes are made of what it is about.
    pub(super) fn is_followed(&self) -> bool {
        match self {
            Self::Tenant | Self::Person(_) | Self::Face(..) | Self::Negative(..) => true,
            Self::Event(_) | Self::Webhook(_) | Self::Delivery(_) => false,
        }
    }
}

/// What has changed since some number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changes {
    /// In their order.
    pub(super) changes: Vec<Change>,
    /// The number of the last of them.
    pub(super) upto: u64,
}

/// What a commit changes, by tenant.
pub(super) type Changed = Vec<(TenantId, Change)>;

/// The feed; see the module.
#[derive(Default)]
pub(super) struct Feed {
    tenants: Mutex<Tenants>,
}

#[derive(Default)]
struct Tenants {
    /// Of commits that may not be durable yet.
    staged: Changed,
    told: HashMap<TenantId, Told>,
    num_kept: usize,
    /// How many changes of tenants and their settings were told.
    num_tenants_changed: u64,
    callers: Callers,
}

/// What was told of a tenant.
#[derive(Default)]
struct Told {
    /// How many changes there were; they are numbered from 1.
    last: u64,
    /// The last one of the tenant itself or its settings, as [`Feed::last_of_tenants`] counts them.
    last_of_tenant: u64,
    /// The last of them.
    kept: VecDeque<Change>,
    /// The number of the last event, for those who wait for the next.
    last_event: watch::Sender<u64>,
}

impl Feed {
    /// Takes in what a commit has changed that is not durable yet, in the order of commits.
    pub(super) fn stage(&self, changed: Changed) {
        self.tenants().staged.extend(changed);
    }

    /// What was staged so far: to be told by [`Self::tell`] if a flush that begins now succeeds.
    pub(super) fn take_staged(&self) -> Changed {
        std::mem::take(&mut self.tenants().staged)
    }

    /// Tells what is durable.
    pub(super) fn tell(&self, changed: Changed) {
        let mut tenants = self.tenants();
        for (tenant, change) in changed {
            tenants.tell(tenant, change);
        }
    }

    /// How many changes of tenants and their settings were told.
    pub(super) fn last_of_tenants(&self) -> u64 {
        self.tenants().num_tenants_changed
    }

    /// The number of the last one of this tenant among them; 0 where there was none.
    pub(super) fn last_of_tenant(&self, tenant: &TenantId) -> u64 {
        self.tenants().told.get(tenant).map_or(0, |told| told.last_of_tenant)
    }

    /// The number of the last change that was told of a tenant; 0 where there was none.
    pub(super) fn last(&self, tenant: &TenantId) -> u64 {
        self.tenants().told.get(tenant).map_or(0, |told| told.last)
    }

    /// The next changes that were told of a tenant after the change `number`, at most `limit`; `None` where those are no
    /// longer kept.
    pub(super) fn since(&self, tenant: &TenantId, number: u64, limit: usize) -> Option<Changes> {
        let tenants = self.tenants();
        let Some(told) = tenants.told.get(tenant) else { return Some(Changes { changes: Vec::new(), upto: number }) };
        let behind = usize::try_from(told.last.saturating_sub(number)).ok()?;
        let known = told.kept.len().checked_sub(behind)?;
        let changes: Vec<Change> = told.kept.range(known..).take(limit).copied().collect();
        Some(Changes { upto: number + changes.len() as u64, changes })
    }

    /// Hears of new events of a tenant, of which `last` is known to be durable: the value is the number of the last one
    /// that is. Closed when the tenant is forgotten.
    pub(super) fn listen(&self, tenant: &TenantId, last: u64) -> watch::Receiver<u64> {
        let mut tenants = self.tenants();
        let told = tenants.told.entry(tenant.clone()).or_default();
        told.ring(last);
        told.last_event.subscribe()
    }

    /// Is called whenever a matter of some tenant has changed that is wanted.
    pub(super) fn calls(&self, wants: fn(Matter) -> bool) -> Calls {
        self.tenants().callers.answer(wants)
    }

    /// Nobody waits for changes of a tenant that is gone. Numbers go on where they were, should there be one of its id
    /// again.
    pub(super) fn forget(&self, tenant: &TenantId) {
        let mut tenants = self.tenants();
        let Some(told) = tenants.told.get_mut(tenant) else { return };
        let (last, last_of_tenant, kept) = (told.last, told.last_of_tenant, told.kept.len());
        *told = Told { last, last_of_tenant, ..Told::default() };
        tenants.num_kept -= kept;
    }

    /// All that is kept, as text: what a test looks for traces of somebody in.
    #[cfg(test)]
    pub(super) fn dump(&self) -> String {
        let tenants = self.tenants();
        let kept: Vec<_> = tenants.told.iter().map(|(tenant, told)| (tenant, &told.kept)).collect();
        format!("{:?} {kept:?}", tenants.staged)
    }

    fn tenants(&self) -> MutexGuard<'_, Tenants> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenants {
    fn tell(&mut self, tenant: TenantId, change: Change) {
        match change {
            Change::Tenant => {
                self.num_tenants_changed += 1;
                self.callers.call(&tenant, Matter::Tenant);
            }
            Change::Webhook(id) => self.callers.call(&tenant, Matter::Webhook(id)),
            Change::Delivery(id) => self.callers.call(&tenant, Matter::Delivery(id)),
            Change::Person(_) | Change::Face(..) | Change::Negative(..) | Change::Event(_) => {}
        }
        let told = self.told.entry(tenant).or_default();
        match change {
            Change::Event(number) => told.ring(number),
            Change::Tenant => told.last_of_tenant = self.num_tenants_changed,
            _ => {}
        }
        if change.is_followed() {
            told.last += 1;
            told.kept.push_back(change);
            self.num_kept += 1;
            if self.num_kept > MAX_KEPT {
                self.make_room();
            }
        }
    }

    /// Forgets the older half of the changes of the tenant that has most.
    fn make_room(&mut self) {
        let Some(longest) = self.told.values_mut().max_by_key(|told| told.kept.len()) else { return };
        let half = longest.kept.len().div_ceil(2);
        longest.kept.drain(..half);
        longest.kept.shrink_to_fit();
        self.num_kept -= half;
    }
}

impl Told {
    fn ring(&self, event: u64) {
        self.last_event.send_if_modified(|last| {
            let is_news = event > *last;
            *last = event.max(*last);
            is_news
        });
    }
}

/// What `writes` change that the feed tells of.
pub(super) fn of(writes: &Writes) -> Changed {
    let changes = writes.iter().filter_map(|(key, value)| change(key, value.is_some()));
    let mut changed: Changed = changes.collect();
    // A tenant and its settings are one.
    changed.dedup();
    changed
}

fn change(key: &Key, is_put: bool) -> Option<(TenantId, Change)> {
    match keys::parse(key)? {
        Parsed::Server(Server::Tenant(tenant)) => Some((tenant, Change::Tenant)),
        Parsed::Data(tenant, kind) => {
            let change = match kind {
                Kind::Settings => Change::Tenant,
                Kind::Person(who) => Change::Person(who),
                Kind::Face(who, face) => Change::Face(who, face),
                Kind::Negative(who, face) => Change::Negative(who, face),
                Kind::Event(number) if is_put => Change::Event(number),
                Kind::Webhook(id) => Change::Webhook(id),
                Kind::Delivery(id) => Change::Delivery(id),
                _ => return None,
            };
            Some((tenant, change))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        id.parse().unwrap()
    }

    fn person(number: u8) -> Change {
        Change::Person(Pseudonym::from_bytes([number; 16]))
    }

    #[test]
    fn changes_are_told_in_order_and_kept_for_a_while() {
        let feed = Feed::default();
        let [first, second] = [person(1), person(2)];
        assert_eq!(feed.since(&tenant("a"), 0, usize::MAX).unwrap().changes, []);
        feed.stage(vec![(tenant("a"), first), (tenant("b"), Change::Tenant), (tenant("a"), Change::Event(1))]);
        assert_eq!(feed.last(&tenant("a")), 0, "not durable");
        let staged = feed.take_staged();
        feed.stage(vec![(tenant("a"), second)]);
        feed.tell(staged);
        assert_eq!(feed.since(&tenant("a"), 0, usize::MAX), Some(Changes { changes: vec![first], upto: 1 }));
        feed.tell(feed.take_staged());
        assert_eq!(feed.since(&tenant("a"), 1, usize::MAX), Some(Changes { changes: vec![second], upto: 2 }));
        assert_eq!(feed.since(&tenant("b"), 0, usize::MAX), Some(Changes { changes: vec![Change::Tenant], upto: 1 }));
        assert_eq!(feed.since(&tenant("a"), 0, 1), Some(Changes { changes: vec![first], upto: 1 }));
        assert_eq!((feed.last_of_tenant(&tenant("a")), feed.last_of_tenant(&tenant("b"))), (0, 1));
        assert_eq!(feed.last_of_tenants(), 1);
        feed.forget(&tenant("a"));
        assert_eq!(
            (feed.since(&tenant("a"), 2, usize::MAX).unwrap().upto, feed.since(&tenant("a"), 1, usize::MAX)),
            (2, None)
        );
    }

    #[test]
    fn a_flood_of_one_tenant_costs_no_other_its_changes() {
        let feed = Feed::default();
        feed.tell(vec![(tenant("quiet"), Change::Tenant); 3]);
        for _ in 0..3 {
            feed.tell(vec![(tenant("loud"), person(1)); MAX_KEPT]);
        }
        assert_eq!(feed.since(&tenant("quiet"), 0, usize::MAX).unwrap().changes.len(), 3);
        assert_eq!(feed.since(&tenant("loud"), 0, usize::MAX), None, "it begins anew");
        let last = feed.last(&tenant("loud"));
        assert_eq!(feed.since(&tenant("loud"), last - 100, usize::MAX).unwrap().changes.len(), 100);
        let kept: usize = feed.tenants().told.values().map(|told| told.kept.len()).sum();
        assert!(kept <= MAX_KEPT && kept == feed.tenants().num_kept);
    }

    #[test]
    fn who_waits_for_events_hears_of_the_last_and_of_the_end() {
        let feed = Feed::default();
        let mut bell = feed.listen(&tenant("a"), 7);
        assert_eq!(*bell.borrow_and_update(), 7);
        feed.tell(vec![(tenant("a"), Change::Event(8)), (tenant("a"), Change::Event(9))]);
        assert!(bell.has_changed().unwrap());
        assert_eq!(*bell.borrow_and_update(), 9);
        feed.forget(&tenant("a"));
        assert!(bell.has_changed().is_err(), "closed");
    }
}
