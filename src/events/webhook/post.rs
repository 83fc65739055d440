//! Sending one event to one webhook.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, header::CONTENT_TYPE, redirect::Policy};

use super::{
    addresses::{AddressRefused, Reach},
    signature::signature,
};
use crate::{
    domain::{Webhook, WebhookId},
    error::{Error, Result},
};

/// Sends letters.
#[derive(Clone)]
pub struct Post {
    client: Client,
    reach: Reach,
}

/// What is sent.
pub struct Letter<'a> {
    /// Where to.
    pub webhook: &'a Webhook,
    /// The event's number: the same at every attempt.
    pub event: u64,
    /// Seconds since 1970, now.
    pub timestamp: i64,
    /// JSON.
    pub body: Vec<u8>,
}

/// Why a letter did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The receiver says that it is gone for good (410).
    Gone,
    /// The receiver answered with a status that is no success.
    Status(StatusCode),
    /// The receiver did not answer in time.
    Timeout,
    /// The address is out of reach.
    AddressRefused,
    /// No connection, or one that broke.
    Unreachable,
}

impl Failure {
    /// For people who look for the reason: a status or a word.
    pub fn word(self) -> String {
        match self {
            Self::Gone => "410".to_owned(),
            Self::Status(status) => status.as_str().to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::AddressRefused => "address_refused".to_owned(),
            Self::Unreachable => "unreachable".to_owned(),
        }
    }
}

impl Post {
    /// Waits for an answer for as long as `timeout`.
    ///
    /// # Errors
    /// `Internal` if there can be no client.
    pub fn new(timeout: Duration, reach: Reach) -> Result<Self> {
        // The networks' own choice of cryptography; fails where it was made already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = || {
            Client::builder()
                .dns_resolver(Arc::new(reach.clone()))
                // A proxy would resolve names by itself, and a redirect may lead anywhere.
                .no_proxy()
                .redirect(Policy::none())
                .timeout(timeout)
                .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
        };
        let client = builder().build().or_else(|error| {
            tracing::warn!(%error, "no certificate authorities are installed: webhooks over https will fail");
            builder().tls_certs_only([]).build()
        });
        let client = client.map_err(|error| Error::internal("webhooks have no client").with_source(error))?;
        Ok(Self { client, reach })
    }

    /// Sends a letter once. Of the answer only the status is read.
    pub async fn send(&self, letter: Letter<'_>) -> Result<(), Failure> {
        let Letter { webhook: Webhook { id, url, secret, .. }, event, timestamp, body } = letter;
        // What was allowed when it was made may not be any more; and numeric addresses are resolved by nobody.
        let url = self.reach.checked_url(url).map_err(|_| Failure::AddressRefused)?;
        let id: &WebhookId = id;
        let signed = signature(secret, timestamp, &body).map_err(|_| Failure::Unreachable)?;
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("x-rollcall-webhook", id.to_string())
            .header("x-rollcall-event", event)
            .header("x-rollcall-timestamp", timestamp)
            .header("x-rollcall-signature", signed)
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) if answer.status() == StatusCode::GONE => Err(Failure::Gone),
            Ok(answer) => Err(Failure::Status(answer.status())),
            Err(error) if error.is_timeout() => Err(Failure::Timeout),
            Err(error) if was_refused(&error) => Err(Failure::AddressRefused),
            Err(_) => Err(Failure::Unreachable),
        }
    }
}

fn was_refused(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(error) = cause {
        if error.is::<AddressRefused>() {
            return true;
        }
        cause = error.source();
    }
    false
}
