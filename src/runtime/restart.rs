//! When a dead stage comes back, and when it does not.

use std::{collections::VecDeque, fmt, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

/// Why an incarnation of a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartCause {
    /// Its code panicked in the actor (a panic inside a compute task never ends a stage).
    Panic,
    /// It stopped itself with an error.
    Error,
    /// It was told to end.
    Killed,
}

impl RestartCause {
    /// Every cause, for metrics that want their series from the start.
    pub const ALL: [Self; 3] = [Self::Panic, Self::Error, Self::Killed];

    /// The cause as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Killed => "killed",
        }
    }
}

impl fmt::Display for RestartCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a stage is restarted.
#[derive(Debug, Clone, Copy)]
pub struct RestartPolicy {
    /// The pause before the first restart; it doubles with every death that follows soon.
    pub first_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// More restarts than this within `window` and the stage is given up.
    pub max_restarts: usize,
    /// How far back restarts are counted, and how long an incarnation must live for its predecessor's troubles
    /// to be forgotten.
    pub window: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first_backoff: Duration::from_millis(10),
            max_backoff: Duration::from_millis(500),
            max_restarts: 5,
            window: Duration::from_secs(10),
        }
    }
}

/// Applies a [`RestartPolicy`] to one stage.
#[derive(Debug)]
pub(super) struct RestartLimiter {
    policy: RestartPolicy,
    recent: VecDeque<Instant>,
    next_backoff: Duration,
}

impl RestartLimiter {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self { policy, recent: VecDeque::new(), next_backoff: policy.first_backoff }
    }

    /// The pause before the next incarnation, or `None` when the stage is to be given up.
    pub(super) fn after_death(&mut self, born: Instant, died: Instant) -> Option<Duration> {
        if died.duration_since(born) >= self.policy.window {
            self.next_backoff = self.policy.first_backoff;
        }
        while self.recent.front().is_some_and(|&at| died.duration_since(at) > self.policy.window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.policy.max_restarts {
            return None;
        }
        self.recent.push_back(died);
        let backoff = self.next_backoff.min(self.policy.max_backoff);
        self.next_backoff = backoff.saturating_mul(2);
        Some(backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn backoff_doubles_to_its_limit_and_the_sixth_death_in_the_window_is_the_last() {
        let policy = RestartPolicy { max_backoff: 60 * MS, ..RestartPolicy::default() };
        let mut limiter = RestartLimiter::new(policy);
        let born = Instant::now();
        let pauses: Vec<_> = (1..=6).map(|n| limiter.after_death(born, born + n * MS)).collect();
        assert_eq!(pauses, [Some(10 * MS), Some(20 * MS), Some(40 * MS), Some(60 * MS), Some(60 * MS), None]);
    }

    #[test]
    fn deaths_far_apart_are_forgotten() {
        let policy = RestartPolicy::default();
        let mut limiter = RestartLimiter::new(policy);
        let mut now = Instant::now();
        for _ in 0..100 {
            let born = now;
            now += policy.window + MS;
            assert_eq!(limiter.after_death(born, now), Some(policy.first_backoff));
        }
    }

    #[test]
    fn a_slow_trickle_backs_off_but_is_not_given_up() {
        let policy = RestartPolicy::default();
        let mut limiter = RestartLimiter::new(policy);
        let mut now = Instant::now();
        for _ in 0..100 {
            let born = now;
            now += policy.window / 5 + MS;
            assert!(limiter.after_death(born, now).is_some());
        }
        assert_eq!(limiter.next_backoff.min(policy.max_backoff), policy.max_backoff);
    }
}
