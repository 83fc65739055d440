//! What every handler can reach.

use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;

use super::{docs::Description, idempotency::Register};
use crate::{
    config::Limits,
    runtime::{Health, Supervisor},
    service::Services,
    telemetry::Metrics,
};

/// See the module.
#[derive(Clone)]
pub struct ApiState {
    /// The use cases.
    pub services: Services,
    /// What a client may send.
    pub limits: Limits,
    /// Whether the server can work.
    pub health: Health,
    /// The stages, for their states.
    pub supervisor: Arc<Supervisor>,
    /// Counts and seconds.
    pub metrics: Metrics,
    /// The proxies whose word on a client's address is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Requests under idempotency keys.
    pub idempotency: Register,
    /// The certificate, DER, of an authority of one's own that issued the server's.
    pub authority: Option<Bytes>,
    /// What `/openapi.json` says.
    pub description: Description,
}
