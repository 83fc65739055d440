//! Where a tenant wants its events sent, and how far that has come.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::EventFilter;
use crate::ids::WebhookId;

/// Who is told of a tenant's events. Its secret signs what is sent, so unlike keys and passwords it is stored as it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its identity.
    pub id: WebhookId,
    /// Where it is sent: http or https.
    pub url: String,
    /// Which events.
    pub filter: EventFilter,
    /// Whether anything is sent.
    pub active: bool,
    /// What signs; shown once.
    pub secret: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How far a webhook has come, kept apart from it as it changes with every event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The last event that was delivered, given up or not wanted.
    pub done: u64,
    /// Since when nothing arrives, if nothing does.
    pub failing_since: Option<Timestamp>,
    /// Attempts in vain since then.
    pub attempts: u32,
    /// What became of the last attempt in vain: a status such as `500`, or a word such as `timeout`.
    pub last_failure: Option<String>,
    /// The dead letters that are to be sent again, if any.
    pub replay: Option<Replay>,
}

/// Dead letters that are to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Those after this event,
    pub after: u64,
    /// up to this one.
    pub to: u64,
}

/// An event that could not be delivered. It stands for its event, and goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Which event.
    pub event: u64,
    /// When it was given up last.
    pub given_up_at: Timestamp,
    /// What became of the last attempt.
    pub failure: String,
}

impl Delivery {
    /// Of a webhook that is to be told of what comes after the event `done`.
    pub fn after(done: u64) -> Self {
        Self { done, failing_since: None, attempts: 0, last_failure: None, replay: None }
    }
}
