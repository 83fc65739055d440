//! The wall clock behind a trait, so that tests decide what time it is.
//!
//! Durations inside `runtime` come from tokio's clock, which tests can pause; this one is for times that people read.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use jiff::{SignedDuration, Timestamp};

use super::lock::lock;

/// Tells the time of day.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that moves only when told to. Clones share the hands.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Timestamp>>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(start)) }
    }

    /// Puts the hands to `now`, forwards or back.
    pub fn set(&self, now: Timestamp) {
        *lock(&self.now) = now;
    }

    /// Moves the hands by `by`; stays at the end of jiff's range where the sum would leave it.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = lock(&self.now);
        let limit = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        *now = now.checked_add(by).unwrap_or(limit);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *lock(&self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let shared = clock.clone();
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        shared.advance(SignedDuration::from_secs(90));
        assert_eq!(clock.now().as_second(), 90);
        shared.advance(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
