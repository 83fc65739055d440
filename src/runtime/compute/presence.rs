//! Whose interactive work is under way: who may come back at any moment, and who has how many threads.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// See the module.
#[derive(Default)]
pub(super) struct Presence {
    num_guards: usize,
    /// Those who have a guard or a thread.
    keys: HashMap<Arc<str>, OfKey>,
}

struct OfKey {
    /// Living [`InteractiveGuard`](super::InteractiveGuard)s.
    guards: usize,
    /// Tasks on threads.
    running: usize,
    /// When it came, or its last task ended.
    acted_at: Instant,
}

impl Presence {
    pub(super) fn expect(&mut self, key: &Arc<str>, now: Instant) {
        self.num_guards += 1;
        self.of_key(key, now).guards += 1;
    }

    pub(super) fn unexpect(&mut self, key: &Arc<str>) {
        self.num_guards -= 1;
        self.change(key, |of_key| of_key.guards -= 1);
    }

    pub(super) fn begin(&mut self, key: &Arc<str>, now: Instant) {
        self.of_key(key, now).running += 1;
    }

    pub(super) fn end(&mut self, key: &Arc<str>, now: Instant) {
        self.change(key, |of_key| {
            of_key.running -= 1;
            of_key.acted_at = now;
        });
    }

    /// Whether anybody has a guard.
    pub(super) fn is_expected(&self) -> bool {
        self.num_guards > 0
    }

    pub(super) fn has_thread(&self, key: &Arc<str>) -> bool {
        self.keys.get(key).is_some_and(|of_key| of_key.running > 0)
    }

    /// How much longer some key without a thread is thought to come back at once: it has a guard, and came or had a task
    /// less than `linger` ago.
    pub(super) fn awaited_for(&self, now: Instant, linger: Duration) -> Option<Duration> {
        let left = |of_key: &OfKey| linger.saturating_sub(now.saturating_duration_since(of_key.acted_at));
        let awaited = self.keys.values().filter(|of_key| of_key.guards > 0 && of_key.running == 0);
        awaited.map(left).max().filter(|left| !left.is_zero())
    }

    fn of_key(&mut self, key: &Arc<str>, now: Instant) -> &mut OfKey {
        self.keys.entry(Arc::clone(key)).or_insert(OfKey { guards: 0, running: 0, acted_at: now })
    }

    fn change(&mut self, key: &Arc<str>, change: impl FnOnce(&mut OfKey)) {
        if let Some(of_key) = self.keys.get_mut(key) {
            change(of_key);
            if of_key.guards == 0 && of_key.running == 0 {
                self.keys.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_awaited_for_a_moment_after_its_last_task() {
        const LINGER: Duration = Duration::from_millis(5);
        let (mut presence, key, other): (_, Arc<str>, Arc<str>) = (Presence::default(), "key".into(), "other".into());
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        presence.expect(&key, at(0));
        assert_eq!(presence.awaited_for(at(2), LINGER), Some(Duration::from_millis(3)));
        presence.begin(&key, at(3));
        assert!(presence.has_thread(&key) && presence.awaited_for(at(3), LINGER).is_none());
        presence.expect(&other, at(4));
        assert_eq!(presence.awaited_for(at(4), LINGER), Some(LINGER));
        presence.end(&key, at(20));
        assert_eq!(presence.awaited_for(at(21), LINGER), Some(Duration::from_millis(4)));
        assert_eq!(presence.awaited_for(at(25), LINGER), None, "it waits for something else");
        presence.unexpect(&key);
        presence.unexpect(&other);
        assert!(!presence.is_expected() && presence.keys.is_empty());
    }
}
