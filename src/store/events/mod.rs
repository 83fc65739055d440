//! What happened, and where it is sent.

pub(super) mod log;
pub(super) mod webhooks;
