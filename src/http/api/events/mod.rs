//! What happened, as it happens, and where it is sent.

mod frames;
#[cfg(any(test, fuzzing))]
pub(in crate::http) mod fuzzing;
pub(super) mod log;
mod socket;
mod sse;
pub(super) mod webhooks;
