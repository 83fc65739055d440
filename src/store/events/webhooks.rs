//! Webhooks, how far each has come, and the events that they could not be told of.

use super::log::Numbers;
use crate::{
    domain::{
        Author, DeadLetter, Delivery, Event, GroupId, Realm, Replay, Standing, Tenant, TenantId, TenantScope, Webhook,
        WebhookId,
    },
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        access::{audit, tenants},
        attendance::groups::require_group,
        engine::Read,
        keys,
        transaction::Transaction,
    },
};

/// The most webhooks of a tenant.
const MAX_WEBHOOKS: usize = 50;
/// The most dead letters of a webhook; the oldest make room.
const MAX_DEAD_LETTERS: usize = 10_000;

/// A webhook with how far it has come.
pub struct WebhookRecord {
    /// The webhook.
    pub webhook: Webhook,
    /// How far it has come.
    pub delivery: Delivery,
    /// How many events it could not be told of.
    pub dead_letters: usize,
}

/// What a webhook's courier has to know.
pub struct Errand {
    /// The webhook.
    pub webhook: Webhook,
    /// How far it has come.
    pub delivery: Delivery,
    /// Whether anything may be sent: not while it is switched off or its tenant is suspended.
    pub is_open: bool,
}

impl Errand {
    /// Whether something else is to be done by now than what `before` said.
    pub fn is_another_than(&self, before: &Self) -> bool {
        let what = |errand: &Self| (errand.is_open, errand.delivery.replay);
        self.webhook != before.webhook || what(self) != what(before)
    }
}

impl Store {
    /// Adds a webhook, which is told of what happens from here on.
    /// Errors: `NotFound` `group_not_found` or `tenant_not_found`, `Conflict` `limit_reached`.
    pub async fn create_webhook(&self, scope: &TenantScope, webhook: Webhook) -> Result<WebhookRecord> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            require_groups(transaction, &tenant, &webhook)?;
            if transaction.scan_keys(&keys::webhooks(&tenant)).take(MAX_WEBHOOKS).count() == MAX_WEBHOOKS {
                let message = format!("there are {MAX_WEBHOOKS} webhooks already: delete some first");
                return Err(Error::new(ErrorKind::Conflict, message).with_code("limit_reached"));
            }
            let delivery = Delivery::after(Numbers::of(transaction, &tenant)?.last());
            transaction.put(keys::webhook(&tenant, webhook.id), &webhook)?;
            transaction.put(keys::delivery(&tenant, webhook.id), &delivery)?;
            audit::note(transaction, &author, "webhook.create", |it| it.webhook(webhook.id).after(&webhook))?;
            Ok(WebhookRecord { webhook: webhook.clone(), delivery, dead_letters: 0 })
        })
        .await
    }

    /// A webhook. Errors: `NotFound` `webhook_not_found`.
    pub async fn webhook(&self, scope: &TenantScope, id: WebhookId) -> Result<WebhookRecord> {
        let tenant = scope.tenant().clone();
        self.read(move |view| with_delivery(view, &tenant, require(view, &tenant, id)?)).await
    }

    /// All webhooks of the tenant, in the order of their making.
    pub async fn webhooks(&self, scope: &TenantScope) -> Result<Vec<WebhookRecord>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let prefix = keys::webhooks(&tenant);
            view.scan(&prefix, None).map(|webhook| with_delivery(view, &tenant, webhook?)).collect()
        })
        .await
    }

    /// The tenants that have webhooks.
    pub async fn tenants_with_webhooks(&self) -> Result<Vec<TenantId>> {
        self.read(|view| {
            let mut found = Vec::new();
            for tenant in view.scan::<Tenant>(&keys::tenants(), None) {
                let tenant = tenant?;
                let has_some = view.scan_keys(&keys::webhooks(&tenant.id)).next().transpose()?.is_some();
                if has_some && tenant.standing != Standing::Deleting {
                    found.push(tenant.id);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Changes a webhook; returns it as it is then. Errors: `NotFound` `webhook_not_found` or `group_not_found`.
    pub async fn update_webhook(
        &self,
        scope: &TenantScope,
        id: WebhookId,
        change: impl Fn(&mut Webhook) + Send + 'static,
    ) -> Result<WebhookRecord> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let old = require(transaction, &tenant, id)?;
            let mut webhook = old.clone();
            change(&mut webhook);
            require_groups(transaction, &tenant, &webhook)?;
            transaction.put(keys::webhook(&tenant, id), &webhook)?;
            audit::note(transaction, &author, "webhook.update", |it| it.webhook(id).changed(&old, &webhook))?;
            with_delivery(transaction, &tenant, webhook)
        })
        .await
    }

    /// Removes a webhook with its dead letters. Errors: `NotFound` `webhook_not_found`.
    pub async fn delete_webhook(&self, scope: &TenantScope, id: WebhookId) -> Result<()> {
        let (author, tenant) = (scope.author(), scope.tenant().clone());
        self.write(scope.right(), move |transaction| {
            let old = require(transaction, &tenant, id)?;
            let letters: Vec<_> = transaction.scan_keys(&keys::dead_letters(&tenant, id)).collect::<Result<_>>()?;
            for key in letters.into_iter().chain([keys::webhook(&tenant, id), keys::delivery(&tenant, id)]) {
                transaction.remove(key);
            }
            audit::note(transaction, &author, "webhook.delete", |it| it.webhook(id).before(&old))
        })
        .await
    }

    /// What a courier goes by; `None` where there is no such webhook any more.
    pub async fn errand(&self, scope: &TenantScope, id: WebhookId) -> Result<Option<Errand>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            let Some(webhook) = view.get::<Webhook>(&keys::webhook(&tenant, id))? else { return Ok(None) };
            let standing = tenants::standing(view, &keys::tenant(&tenant))?;
            let is_open = webhook.active && standing == Some(Standing::Active);
            Ok(Some(Errand { delivery: delivery(view, &tenant, id)?, webhook, is_open }))
        })
        .await
    }

    /// Notes how far a webhook has come. Errors: `NotFound` `webhook_not_found`.
    pub async fn update_delivery(
        &self,
        scope: &TenantScope,
        id: WebhookId,
        change: impl Fn(&mut Delivery) + Send + 'static,
    ) -> Result<()> {
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| {
            require(transaction, &tenant, id)?;
            let mut delivery = delivery(transaction, &tenant, id)?;
            change(&mut delivery);
            transaction.put(keys::delivery(&tenant, id), &delivery)
        })
        .await
    }

    /// Puts an event among the dead letters and goes on after it, unless the event is gone: then it only goes on.
    /// Errors: `NotFound` `webhook_not_found`.
    pub async fn give_up(&self, scope: &TenantScope, id: WebhookId, letter: DeadLetter) -> Result<()> {
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| {
            require(transaction, &tenant, id)?;
            let mut delivery = delivery(transaction, &tenant, id)?;
            delivery.done = delivery.done.max(letter.event);
            transaction.put(keys::delivery(&tenant, id), &delivery)?;
            if !transaction.has(&keys::event(&tenant, letter.event))? {
                return Ok(());
            }
            let letters: Vec<_> = transaction
                .scan_keys(&keys::dead_letters(&tenant, id))
                .take(MAX_DEAD_LETTERS)
                .collect::<Result<_>>()?;
            let key = keys::dead_letter(&tenant, id, letter.event);
            if letters.len() == MAX_DEAD_LETTERS && !letters.contains(&key) {
                letters.into_iter().take(1).for_each(|oldest| transaction.remove(oldest));
            }
            transaction.put(key, &letter)
        })
        .await
    }

    /// At most `limit` dead letters after the event `after`, with their events. Errors: `NotFound` `webhook_not_found`.
    pub async fn dead_letters(
        &self,
        scope: &TenantScope,
        id: WebhookId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(DeadLetter, Event)>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            require(view, &tenant, id)?;
            let (prefix, after) = (keys::dead_letters(&tenant, id), keys::dead_letter(&tenant, id, after));
            let letters = view.scan::<DeadLetter>(&prefix, Some(&after)).take(limit);
            let mut found = Vec::new();
            for letter in letters {
                let letter = letter?;
                if let Some(event) = view.get(&keys::event(&tenant, letter.event))? {
                    found.push((letter, event));
                }
            }
            Ok(found)
        })
        .await
    }

    /// Has all dead letters sent again, or the one of an event; how many. Errors: `NotFound` `webhook_not_found`, or
    /// `dead_letter_not_found` for an event that is none.
    pub async fn replay(&self, scope: &TenantScope, id: WebhookId, event: Option<u64>) -> Result<usize> {
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| {
            require(transaction, &tenant, id)?;
            let (replay, count) = match event {
                Some(event) if transaction.has(&keys::dead_letter(&tenant, id, event))? => {
                    (Replay { after: event.saturating_sub(1), to: event }, 1)
                }
                Some(_) => {
                    return Err(
                        Error::not_found("the webhook has no such dead letter").with_code("dead_letter_not_found")
                    );
                }
                None => {
                    let prefix = keys::dead_letters(&tenant, id);
                    let letters: Vec<_> = transaction.scan_keys(&prefix).collect::<Result<_>>()?;
                    let last = letters.last().and_then(|key| keys::event_number(key));
                    (Replay { after: 0, to: last.unwrap_or(0) }, letters.len())
                }
            };
            let delivery = Delivery { replay: Some(replay), ..delivery(transaction, &tenant, id)? };
            transaction.put(keys::delivery(&tenant, id), &delivery)?;
            Ok(count)
        })
        .await
    }

    /// Forgets a dead letter, which has arrived after all.
    pub async fn forget_dead_letter(&self, scope: &TenantScope, id: WebhookId, event: u64) -> Result<()> {
        let key = keys::dead_letter(scope.tenant(), id, event);
        self.write(scope.right(), move |transaction| {
            transaction.remove(key.clone());
            Ok(())
        })
        .await
    }
}

fn webhook_not_found() -> Error {
    Error::not_found("there is no such webhook").with_code("webhook_not_found")
}

fn require(read: &impl Read, tenant: &TenantId, id: WebhookId) -> Result<Webhook> {
    read.get(&keys::webhook(tenant, id))?.ok_or_else(webhook_not_found)
}

fn require_groups(read: &impl Read, tenant: &TenantId, webhook: &Webhook) -> Result<()> {
    webhook.filter.groups.iter().flatten().try_for_each(|group| require_group(read, tenant, group))
}

fn delivery(read: &impl Read, tenant: &TenantId, id: WebhookId) -> Result<Delivery> {
    read.get(&keys::delivery(tenant, id))?.ok_or_else(webhook_not_found)
}

fn with_delivery(read: &impl Read, tenant: &TenantId, webhook: Webhook) -> Result<WebhookRecord> {
    let dead_letters = read.scan_keys(&keys::dead_letters(tenant, webhook.id)).count();
    Ok(WebhookRecord { delivery: delivery(read, tenant, webhook.id)?, webhook, dead_letters })
}

/// Removes the dead letters of an event that goes.
pub(in crate::store) fn forget_event(transaction: &mut Transaction<'_>, tenant: &TenantId, number: u64) -> Result<()> {
    let webhooks: Vec<Webhook> = transaction.scan(&keys::webhooks(tenant), None).collect::<Result<_>>()?;
    for webhook in webhooks {
        transaction.remove(keys::dead_letter(tenant, webhook.id, number));
    }
    Ok(())
}

/// Takes a group that goes from the webhooks that are for it: a later group of the same id is another.
pub(in crate::store) fn forget_group(
    transaction: &mut Transaction<'_>,
    author: &Author,
    group: &GroupId,
) -> Result<()> {
    let Realm::Tenant(tenant) = &author.realm else { return Ok(()) };
    let webhooks: Vec<Webhook> = transaction.scan(&keys::webhooks(tenant), None).collect::<Result<_>>()?;
    for old in webhooks {
        let mut webhook = old.clone();
        let Some(groups) = webhook.filter.groups.as_mut().filter(|groups| groups.contains(group)) else { continue };
        groups.retain(|of| of != group);
        transaction.put(keys::webhook(tenant, webhook.id), &webhook)?;
        audit::note(transaction, author, "webhook.update", |it| it.webhook(webhook.id).changed(&old, &webhook))?;
    }
    Ok(())
}
