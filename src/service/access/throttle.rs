//! Slows guessing down: whoever failed often waits, twice as long after each further failure. In memory, and bounded:
//! the accounts and addresses that failed longest ago are forgotten first.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lru::LruCache;

use crate::{
    domain::{Realm, UserId},
    error::{Error, ErrorKind, Result},
};

/// What is remembered of each kind; the unwrap is the compiler's.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// After so long without a failure all is forgotten.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// One account's own typing errors.
const OF_ACCOUNT: Patience = Patience { free: 5, longest: Duration::from_secs(300) };
/// A whole school may come from one address.
const OF_ADDRESS: Patience = Patience { free: 50, longest: Duration::from_secs(900) };

/// How many failures cost nothing, and the longest wait.
#[derive(Clone, Copy)]
struct Patience {
    free: u32,
    longest: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Account(Realm, UserId),
    LoginsFrom(IpAddr),
    KeysFrom(IpAddr),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

type Memory = LruCache<Subject, Failures>;

/// See the module.
pub(super) struct Throttle {
    /// Apart, so that one who comes from many addresses does not make the accounts forgotten.
    accounts: Mutex<Memory>,
    addresses: Mutex<Memory>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { accounts: Mutex::new(LruCache::new(REMEMBERED)), addresses: Mutex::new(LruCache::new(REMEMBERED)) }
    }
}

/// A login that is being tried: counted as failed until it has succeeded, so that many at once do not slip through.
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Subject,
    address: Option<Subject>,
}

impl Throttle {
    /// Begins a login. Errors: `Overloaded` `too_many_attempts`, with the time to wait.
    pub(super) fn attempt(
        &self,
        realm: &Realm,
        user: &UserId,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Attempt<'_>> {
        let account = Subject::Account(realm.clone(), user.clone());
        let address = from.map(|from| Subject::LoginsFrom(neighbourhood(from)));
        if let Some(address) = &address {
            note(&self.addresses, address, OF_ADDRESS, now)?;
        }
        note(&self.accounts, &account, OF_ACCOUNT, now)?;
        Ok(Attempt { throttle: self, account, address })
    }

    /// Notes that a key was shown which nobody knows. Errors: `Overloaded` `too_many_attempts`.
    pub(super) fn unknown_key(&self, from: Option<IpAddr>, now: Timestamp) -> Result<()> {
        from.map_or(Ok(()), |from| note(&self.addresses, &Subject::KeysFrom(neighbourhood(from)), OF_ADDRESS, now))
    }
}

impl Attempt<'_> {
    /// The password was right: the account's failures are forgotten, and the address's loses this one.
    pub(super) fn succeeded(self) {
        lock(&self.throttle.accounts).pop(&self.account);
        if let Some(address) = self.address
            && let Some(failures) = lock(&self.throttle.addresses).get_mut(&address)
        {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

/// Nothing panics between two states of a memory.
fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(memory: &Mutex<Memory>, subject: &Subject, patience: Patience, now: Timestamp) -> Result<()> {
    let mut memory = lock(memory);
    let known = memory.get(subject).copied().filter(|known| now.duration_since(known.last) < FORGOTTEN_AFTER);
    let count = known.map_or(0, |known| known.count);
    if let Some(known) = known {
        let waited = now.duration_since(known.last).unsigned_abs();
        let left = patience.wait(count).saturating_sub(waited);
        if !left.is_zero() {
            return Err(Error::new(ErrorKind::Overloaded, "too many attempts: wait before the next")
                .with_code("too_many_attempts")
                .with_retry_after(left));
        }
    }
    memory.put(subject.clone(), Failures { count: count.saturating_add(1), last: now });
    Ok(())
}

impl Patience {
    /// How long after the last of `count` failures the next attempt is let in.
    fn wait(self, count: u32) -> Duration {
        match count.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1_u64.checked_shl(over).unwrap_or(u64::MAX)).min(self.longest),
        }
    }
}

/// The addresses that one household has: a single IPv4, a /64 of IPv6.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn try_once(throttle: &Throttle, user: &str, from: &str, at: Timestamp) -> Result<(), u32> {
        let tried = throttle.attempt(&Realm::Server, &user.parse().unwrap(), Some(from.parse().unwrap()), at);
        tried.map(drop).map_err(|error| error.retry_after_s().unwrap().get())
    }

    #[test]
    fn an_account_waits_twice_as_long_after_each_failure_wherever_it_is_tried_from() {
        let throttle = Throttle::default();
        for n in 0..5 {
            assert_eq!(try_once(&throttle, "u", &format!("10.0.0.{n}"), after(0)), Ok(()), "{n}");
        }
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(0)), Err(1));
        assert_eq!(try_once(&throttle, "v", "10.0.1.1", after(0)), Ok(()), "another account");
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(1)), Ok(()));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(1)), Err(2));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(3)), Ok(()));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(3)), Err(4));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(4000)), Ok(()), "forgotten");
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(4000)), Ok(()));
    }

    #[test]
    fn an_address_that_tries_many_accounts_waits_and_a_success_is_no_failure() {
        let throttle = Throttle::default();
        for n in 0..50 {
            assert_eq!(try_once(&throttle, &format!("u{n}"), "2001:db8::1", after(0)), Ok(()));
        }
        assert_eq!(try_once(&throttle, "x", "2001:db8::2", after(0)), Err(1), "the same /64");
        assert_eq!(try_once(&throttle, "x", "2001:db8:0:1::1", after(0)), Ok(()));
        for _ in 0..200 {
            let user = "good".parse().unwrap();
            let attempt = throttle.attempt(&Realm::Server, &user, Some("10.9.9.9".parse().unwrap()), after(0));
            attempt.unwrap().succeeded();
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..20_000_u32 {
            throttle.unknown_key(Some(IpAddr::from(n.to_be_bytes())), after(0)).unwrap();
        }
        assert_eq!(lock(&throttle.addresses).len(), REMEMBERED.get());
    }

    #[test]
    fn the_wait_has_an_end() {
        assert_eq!(OF_ACCOUNT.wait(4), Duration::ZERO);
        assert_eq!(OF_ACCOUNT.wait(5), Duration::from_secs(1));
        assert_eq!(OF_ACCOUNT.wait(u32::MAX), Duration::from_secs(300));
    }
}
