//! How long somebody stays let in.

use std::time::Duration;

/// How long tokens and logins last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// An access token.
    pub token: Duration,
    /// A login that nobody refreshes.
    pub session: Duration,
}
