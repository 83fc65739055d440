//! Webhooks: where a tenant's events are sent.

mod couriers;
mod view;

pub(in crate::service) use self::couriers::Couriers;
pub use self::view::{
    DeadLetterPage, DeadLetterView, DeliveryView, NewWebhook, ReplayView, ReplayWanted, WebhookList, WebhookPatch,
    WebhookView, WebhookWithSecret,
};
use crate::{
    domain::{EventFilter, EventKind, GroupId, TenantScope, Webhook, WebhookId},
    error::{Error, Result},
    events::webhook::new_secret,
    service::events::Service,
};

/// The most groups of a webhook.
const MAX_GROUPS: usize = 1000;

impl Service {
    /// Makes a webhook, which is told of what happens from here on.
    ///
    /// # Errors
    /// `Invalid` `invalid_url`, `webhook_address_refused`, `invalid_kind` or `too_many_groups`, `NotFound` `group_not_found`, `Conflict`
    /// `limit_reached`.
    pub async fn create_webhook(&self, scope: &TenantScope, new: NewWebhook) -> Result<WebhookWithSecret> {
        check_filter(&new.kinds, new.groups.as_deref())?;
        let secret = new_secret()?;
        let webhook = Webhook {
            id: WebhookId::generate(),
            url: self.checked_webhook_url(&new.url)?,
            filter: EventFilter { kinds: new.kinds, groups: new.groups },
            active: new.active.unwrap_or(true),
            secret: secret.clone(),
            created_at: self.clock.now(),
        };
        let record = self.store.create_webhook(scope, webhook).await?;
        Ok(WebhookWithSecret { view: record.into(), secret })
    }

    /// All webhooks of the tenant.
    pub async fn webhooks(&self, scope: &TenantScope) -> Result<WebhookList> {
        let webhooks = self.store.webhooks(scope).await?;
        Ok(WebhookList { webhooks: webhooks.into_iter().map(Into::into).collect() })
    }

    /// A webhook.
    ///
    /// # Errors
    /// `NotFound` `webhook_not_found`.
    pub async fn webhook(&self, scope: &TenantScope, id: WebhookId) -> Result<WebhookView> {
        self.store.webhook(scope, id).await.map(Into::into)
    }

    /// Changes a webhook, for what happens from here on and what still waits to be delivered.
    ///
    /// # Errors
    /// As for [`Self::create_webhook`], and `NotFound` `webhook_not_found`.
    pub async fn update_webhook(&self, scope: &TenantScope, id: WebhookId, patch: WebhookPatch) -> Result<WebhookView> {
        let url = patch.url.map(|url| self.checked_webhook_url(&url)).transpose()?;
        let WebhookPatch { kinds, groups, active, .. } = patch;
        check_filter(kinds.as_deref().unwrap_or_default(), groups.as_ref().and_then(Option::as_deref))?;
        let change = move |webhook: &mut Webhook| {
            if let Some(url) = &url {
                webhook.url.clone_from(url);
            }
            if let Some(kinds) = &kinds {
                webhook.filter.kinds.clone_from(kinds);
            }
            if let Some(groups) = &groups {
                webhook.filter.groups.clone_from(groups);
            }
            webhook.active = active.unwrap_or(webhook.active);
        };
        let record = self.store.update_webhook(scope, id, change).await?;
        Ok(record.into())
    }

    /// Removes a webhook with its dead letters.
    ///
    /// # Errors
    /// `NotFound` `webhook_not_found`.
    pub async fn delete_webhook(&self, scope: &TenantScope, id: WebhookId) -> Result<()> {
        self.store.delete_webhook(scope, id).await
    }

    /// A page of the events that a webhook could not be told of, after the event `after`.
    ///
    /// # Errors
    /// `NotFound` `webhook_not_found`.
    pub async fn dead_letters(
        &self,
        scope: &TenantScope,
        id: WebhookId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<DeadLetterPage> {
        let mut found = self.store.dead_letters(scope, id, after.unwrap_or(0), limit + 1).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(letter, _)| letter.event);
        let dead_letters = found.into_iter().map(|(letter, event)| DeadLetterView {
            event: event.into(),
            given_up_at: letter.given_up_at,
            failure: letter.failure,
        });
        Ok(DeadLetterPage { dead_letters: dead_letters.collect(), next })
    }

    /// Has dead letters sent again, each once and in order, before anything else.
    ///
    /// # Errors
    /// `NotFound` `webhook_not_found` or `dead_letter_not_found`.
    pub async fn replay(&self, scope: &TenantScope, id: WebhookId, wanted: ReplayWanted) -> Result<ReplayView> {
        Ok(ReplayView { replayed: self.store.replay(scope, id, wanted.event).await? })
    }

    fn checked_webhook_url(&self, url: &str) -> Result<String> {
        self.couriers.reach().checked_url(url).map(Into::into)
    }
}

/// Errors: `Invalid` `invalid_kind` or `too_many_groups`.
fn check_filter(kinds: &[EventKind], groups: Option<&[GroupId]>) -> Result<()> {
    if kinds.contains(&EventKind::JobProgress) {
        return Err(Error::invalid("job_progress is told to streams alone").with_code("invalid_kind"));
    }
    if groups.is_some_and(|groups| groups.len() > MAX_GROUPS) {
        return Err(Error::invalid(format!("a webhook has at most {MAX_GROUPS} groups")).with_code("too_many_groups"));
    }
    Ok(())
}
