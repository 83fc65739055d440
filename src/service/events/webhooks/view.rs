//! Webhooks as clients see and make them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{EventKind, GroupId, WebhookId},
    service::{events::EventView, fields::given},
    store::WebhookRecord,
};

/// What a new webhook takes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where events are sent: http or https.
    #[schema(example = "https://school.example/rollcall")]
    pub url: String,
    /// The kinds that are sent; all if missing. `job_progress` never is.
    #[serde(default)]
    pub kinds: Vec<EventKind>,
    /// Events of these groups alone are sent; all if missing.
    pub groups: Option<Vec<GroupId>>,
    /// Whether anything is sent; true if missing.
    pub active: Option<bool>,
}

/// What can be changed of a webhook; what is missing stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookPatch {
    /// Where events are sent.
    #[schema(example = "https://school.example/rollcall")]
    pub url: Option<String>,
    /// The kinds that are sent; all if empty.
    pub kinds: Option<Vec<EventKind>>,
    /// Events of these groups alone are sent; null for all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<GroupId>>)]
    pub groups: Option<Option<Vec<GroupId>>>,
    /// Whether anything is sent. What happens meanwhile is sent later, as far as the log keeps it.
    pub active: Option<bool>,
}

/// A webhook, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WebhookView {
    /// Names it; sent as `x-rollcall-webhook`.
    pub id: WebhookId,
    /// Where events are sent.
    pub url: String,
    /// The kinds that are sent; all if empty.
    pub kinds: Vec<EventKind>,
    /// The groups whose events are sent; null for all.
    pub groups: Option<Vec<GroupId>>,
    /// Whether anything is sent; false from the moment when a receiver answered 410.
    pub active: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// How far it has come.
    pub delivery: DeliveryView,
}

/// How far a webhook has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeliveryView {
    /// The last event that was delivered, given up or not wanted; those between two wanted ones may be counted late.
    pub done: u64,
    /// Since when nothing arrives; null if all does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<Timestamp>,
    /// Attempts in vain since then.
    pub attempts: u32,
    /// What became of the last of them: a status, `timeout`, `unreachable` or `address_refused`.
    pub last_failure: Option<String>,
    /// Events that were given up.
    pub dead_letters: usize,
    /// Whether dead letters are being sent again.
    pub replaying: bool,
}

/// A new webhook, whose secret is shown this once.
#[derive(Serialize, ToSchema)]
pub struct WebhookWithSecret {
    /// What is shown of it from now on.
    #[serde(flatten)]
    pub view: WebhookView,
    /// Signs what is sent.
    pub secret: String,
}

/// The webhooks of a tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WebhookList {
    /// In the order of their making.
    pub webhooks: Vec<WebhookView>,
}

/// An event that could not be delivered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeadLetterView {
    /// The event, as it was sent.
    pub event: EventView,
    /// When it was given up last.
    #[schema(value_type = String, format = DateTime)]
    pub given_up_at: Timestamp,
    /// What became of the last attempt.
    pub failure: String,
}

/// A page of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeadLetterPage {
    /// In the order of their events.
    pub dead_letters: Vec<DeadLetterView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<u64>,
}

/// Which dead letters are sent again.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayWanted {
    /// The one of this event; all if missing.
    pub event: Option<u64>,
}

/// What is sent again.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ReplayView {
    /// So many dead letters.
    pub replayed: usize,
}

impl From<WebhookRecord> for WebhookView {
    fn from(record: WebhookRecord) -> Self {
        let WebhookRecord { webhook, delivery, dead_letters } = record;
        Self {
            id: webhook.id,
            url: webhook.url,
            kinds: webhook.filter.kinds,
            groups: webhook.filter.groups,
            active: webhook.active,
            created_at: webhook.created_at,
            delivery: DeliveryView {
                done: delivery.done,
                failing_since: delivery.failing_since,
                attempts: delivery.attempts,
                last_failure: delivery.last_failure,
                dead_letters,
                replaying: delivery.replay.is_some(),
            },
        }
    }
}
