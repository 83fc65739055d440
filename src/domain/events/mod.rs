//! What happened, and who is told.

pub mod event;
pub mod webhook;
