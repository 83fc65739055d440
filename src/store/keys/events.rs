//! Keys of events and of those who are told of them.

use super::{
    Key,
    letters::{DEAD_LETTER, DELIVERY, EVENT, EVENT_LOG, GROUP_EVENT, PERSON_EVENT, WEBHOOK},
    parts::Part,
    tenants::data,
};
use crate::domain::{GroupId, Pseudonym, TenantId, WebhookId};

pub(in crate::store) fn event_log(tenant: &TenantId) -> Key {
    data(tenant, EVENT_LOG)
}

pub(in crate::store) fn event(tenant: &TenantId, number: u64) -> Key {
    events(tenant).fixed(&number.to_be_bytes())
}

pub(in crate::store) fn events(tenant: &TenantId) -> Key {
    data(tenant, EVENT)
}

pub(in crate::store) fn person_event(tenant: &TenantId, person: Pseudonym, number: u64) -> Key {
    person_events(tenant, person).fixed(&number.to_be_bytes())
}

/// The events about a person.
pub(in crate::store) fn person_events(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, PERSON_EVENT).fixed(person.as_bytes())
}

pub(in crate::store) fn group_event(tenant: &TenantId, group: &GroupId, number: u64) -> Key {
    group_events(tenant, group).fixed(&number.to_be_bytes())
}

/// The events about a group.
pub(in crate::store) fn group_events(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, GROUP_EVENT).text(group.as_str())
}

/// The number at the end of an event's key, or of one that names an event.
pub(in crate::store) fn event_number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

pub(in crate::store) fn webhook(tenant: &TenantId, webhook: WebhookId) -> Key {
    webhooks(tenant).fixed(webhook.as_bytes())
}

pub(in crate::store) fn webhooks(tenant: &TenantId) -> Key {
    data(tenant, WEBHOOK)
}

pub(in crate::store) fn delivery(tenant: &TenantId, webhook: WebhookId) -> Key {
    data(tenant, DELIVERY).fixed(webhook.as_bytes())
}

pub(in crate::store) fn dead_letter(tenant: &TenantId, webhook: WebhookId, number: u64) -> Key {
    dead_letters(tenant, webhook).fixed(&number.to_be_bytes())
}

pub(in crate::store) fn dead_letters(tenant: &TenantId, webhook: WebhookId) -> Key {
    data(tenant, DEAD_LETTER).fixed(webhook.as_bytes())
}
