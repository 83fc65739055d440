//! Which refused logins are written down: some in an hour and realm, and of the others how many they were. So whoever
//! guesses fills neither the audit log nor the disk. In memory, and bounded.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use lru::LruCache;

use crate::domain::Realm;

/// Entries of a realm in an hour.
const WRITTEN_AN_HOUR: u32 = 20;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Realms that are remembered; of one that was forgotten the hour begins anew. The unwrap is the compiler's.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A realm's hour, from its first refusal on.
#[derive(Clone, Copy)]
struct Hour {
    begun: Timestamp,
    written: u32,
    /// Refusals since the last that was written.
    unwritten: u64,
}

/// See the module.
pub(super) struct Refusals(Mutex<LruCache<Realm, Hour>>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Refusals {
    /// Whether refusals of the realm were counted before.
    pub(super) fn know(&self, realm: &Realm) -> bool {
        self.hours().contains(realm)
    }

    /// Counts a refused login. Where it is to be written down: how many before it were not.
    pub(super) fn count(&self, realm: &Realm, now: Timestamp) -> Option<u64> {
        let mut hours = self.hours();
        let hour = hours.get_or_insert_mut(realm.clone(), || Hour { begun: now, written: 0, unwritten: 0 });
        if now.duration_since(hour.begun) >= HOUR {
            (hour.begun, hour.written) = (now, 0);
        }
        if hour.written == WRITTEN_AN_HOUR {
            hour.unwritten += 1;
            return None;
        }
        hour.written += 1;
        Some(std::mem::take(&mut hour.unwritten))
    }

    /// Nothing panics between two states of them.
    fn hours(&self) -> MutexGuard<'_, LruCache<Realm, Hour>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_refusals_an_hour_are_written_down_and_all_are_counted() {
        let refusals = Refusals::default();
        let (realm, other) = (Realm::Server, Realm::Tenant("t".parse().unwrap()));
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        for _ in 0..WRITTEN_AN_HOUR {
            assert_eq!(refusals.count(&realm, at(0)), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(refusals.count(&realm, at(59)), None);
        }
        assert_eq!(refusals.count(&other, at(59)), Some(0), "each realm has its own");
        assert_eq!(refusals.count(&realm, at(60)), Some(1000));
        assert_eq!(refusals.count(&realm, at(60)), Some(0));
    }
}
