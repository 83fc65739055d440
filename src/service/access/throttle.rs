//! Slows guessing down: whoever failed often waits, twice as long after each further failure. In memory, and bounded:
//! what failed longest ago is forgotten first.
//!
//! An account is slowed down for the address that its password is guessed from, so nobody keeps its owner out from
//! elsewhere. Where an account is guessed at from many addresses, each has one guess before it waits: an address that has
//! not guessed is never refused. One from which many fail waits for accounts that have not logged in from there: not for
//! those of a school whose pupils guess behind the same address.

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

/// Somebody's own typing errors.
const OF_GUESSER: Patience = Patience { free: 5, longest: Duration::from_secs(300) };
/// The same for an account that is guessed at from everywhere.
const OF_GUESSER_OF_MANY: Patience = Patience { free: 1, ..OF_GUESSER };
/// So many failures of an account, wherever they come from, are no typing errors.
const GUESSED_AT: u32 = 50;
/// Counted, and never refused.
const UNLIMITED: Patience = Patience { free: u32::MAX, longest: Duration::ZERO };
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
    /// Logins to an account from an address; without one, changes of its password by who is logged in.
    Guesser(Realm, UserId, Option<IpAddr>),
    LoginsFrom(IpAddr),
    KeysFrom(IpAddr),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

type Memory = LruCache<Subject, Failures>;

/// An account, and an address from which it logged in.
type Home = (Realm, UserId, IpAddr);

/// See the module.
pub(super) struct Throttle {
    /// Apart, so that one who comes from many addresses does not make the accounts forgotten.
    accounts: Mutex<Memory>,
    guessers: Mutex<Memory>,
    addresses: Mutex<Memory>,
    homes: Mutex<LruCache<Home, ()>>,
}

impl Default for Throttle {
    fn default() -> Self {
        let memory = || Mutex::new(LruCache::new(REMEMBERED));
        let homes = Mutex::new(LruCache::new(REMEMBERED));
        Self { accounts: memory(), guessers: memory(), addresses: memory(), homes }
    }
}

/// A login that is being tried: counted as failed until it is known what came of it, so that many at once do not slip
/// through.
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Subject,
    guesser: Subject,
    address: Option<Subject>,
    home: Option<Home>,
    is_at_home: bool,
}

impl Throttle {
    /// Begins a login from an address, or a change of the password. Errors: `Overloaded` `too_many_attempts`, with the time
    /// to wait.
    pub(super) fn attempt(
        &self,
        realm: &Realm,
        user: &UserId,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Attempt<'_>> {
        let from = from.map(neighbourhood);
        let account = Subject::Account(realm.clone(), user.clone());
        let guesser = Subject::Guesser(realm.clone(), user.clone(), from);
        let home = from.map(|from| (realm.clone(), user.clone(), from));
        let is_at_home = home.as_ref().is_some_and(|home| homes(&self.homes).get(home).is_some());
        let address = from.filter(|_| !is_at_home).map(Subject::LoginsFrom);
        let is_guessed_at = lock(&self.accounts).peek(&account).is_some_and(|known| known.count(now) >= GUESSED_AT);
        note(&self.guessers, &guesser, if is_guessed_at { OF_GUESSER_OF_MANY } else { OF_GUESSER }, now)?;
        if let Some(address) = &address {
            note(&self.addresses, address, OF_ADDRESS, now).inspect_err(|_| take_back(&self.guessers, &guesser))?;
        }
        note(&self.accounts, &account, UNLIMITED, now)?;
        Ok(Attempt { throttle: self, account, guesser, address, home, is_at_home })
    }

    /// Notes that a key was shown which nobody knows. Errors: `Overloaded` `too_many_attempts`.
    pub(super) fn unknown_key(&self, from: Option<IpAddr>, now: Timestamp) -> Result<()> {
        from.map_or(Ok(()), |from| note(&self.addresses, &Subject::KeysFrom(neighbourhood(from)), OF_ADDRESS, now))
    }
}

impl Attempt<'_> {
    /// Whether the account has logged in from there before.
    pub(super) fn is_at_home(&self) -> bool {
        self.is_at_home
    }

    /// What came of it: whether the password was right, or that nobody looked at it. Where it was right, what failed from
    /// there is forgotten; that of others who guess at the account is not.
    pub(super) fn end<E>(self, is_right: &Result<bool, E>) {
        let Self { throttle, account, guesser, address, home, .. } = self;
        match is_right {
            Ok(false) => return,
            Ok(true) => {
                if let Some(home) = home {
                    homes(&throttle.homes).put(home, ());
                }
                lock(&throttle.guessers).pop(&guesser);
            }
            Err(_) => take_back(&throttle.guessers, &guesser),
        }
        take_back(&throttle.accounts, &account);
        if let Some(address) = &address {
            take_back(&throttle.addresses, address);
        }
    }
}

/// Nothing panics between two states of a memory.
fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn homes(homes: &Mutex<LruCache<Home, ()>>) -> MutexGuard<'_, LruCache<Home, ()>> {
    homes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts an attempt as failed. Errors where it comes too early.
fn note(memory: &Mutex<Memory>, subject: &Subject, patience: Patience, now: Timestamp) -> Result<()> {
    let mut memory = lock(memory);
    let known = memory.get(subject).copied();
    let count = known.map_or(0, |known| known.count(now));
    let waited = known.map_or(Duration::MAX, |known| now.duration_since(known.last).unsigned_abs());
    let left = patience.wait(count).saturating_sub(waited);
    if !left.is_zero() {
        return Err(Error::new(ErrorKind::Overloaded, "too many attempts: wait before the next")
            .with_code("too_many_attempts")
            .with_retry_after(left));
    }
    memory.put(subject.clone(), Failures { count: count.saturating_add(1), last: now });
    Ok(())
}

/// Takes an attempt off that was none of a guesser.
fn take_back(memory: &Mutex<Memory>, subject: &Subject) {
    if let Some(failures) = lock(memory).get_mut(subject) {
        failures.count = failures.count.saturating_sub(1);
    }
}

impl Failures {
    /// So many are not forgotten.
    fn count(self, now: Timestamp) -> u32 {
        if now.duration_since(self.last) < FORGOTTEN_AFTER { self.count } else { 0 }
    }
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

    const RIGHT: Result<bool> = Ok(true);
    const WRONG: Result<bool> = Ok(false);

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn try_once(throttle: &Throttle, user: &str, from: &str, at: Timestamp) -> Result<(), u32> {
        let tried = throttle.attempt(&Realm::Server, &user.parse().unwrap(), Some(from.parse().unwrap()), at);
        tried.map(drop).map_err(|error| error.retry_after_s().unwrap().get())
    }

    #[test]
    fn an_account_waits_twice_as_long_after_each_failure_for_the_address_that_fails() {
        let throttle = Throttle::default();
        for n in 0..5 {
            assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(0)), Ok(()), "{n}");
        }
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(0)), Err(1));
        assert_eq!(try_once(&throttle, "v", "10.0.1.1", after(0)), Ok(()), "another account");
        assert_eq!(try_once(&throttle, "u", "10.0.1.2", after(0)), Ok(()), "another address");
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(1)), Ok(()));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(1)), Err(2));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(3)), Ok(()));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(3)), Err(4));
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(4000)), Ok(()), "forgotten");
        assert_eq!(try_once(&throttle, "u", "10.0.1.1", after(4000)), Ok(()));
    }

    #[test]
    fn where_many_addresses_guess_each_has_one_guess_and_the_owner_is_never_refused() {
        let throttle = Throttle::default();
        for n in 0..200 {
            let from = format!("10.0.{n}.1");
            let mut guesses = 0;
            while try_once(&throttle, "u", &from, after(0)).is_ok() {
                guesses += 1;
            }
            assert_eq!(guesses, if n < 10 { 5 } else { 1 }, "{n}");
            let owner =
                throttle.attempt(&Realm::Server, &"u".parse().unwrap(), Some("192.0.2.7".parse().unwrap()), after(0));
            owner.unwrap().end(&RIGHT);
        }
        assert_eq!(try_once(&throttle, "v", "10.0.1.1", after(0)), Ok(()), "another account");
    }

    #[test]
    fn an_account_is_at_home_where_it_has_logged_in() {
        let throttle = Throttle::default();
        let attempt = |user: &str, from: &str| {
            throttle.attempt(&Realm::Server, &user.parse().unwrap(), Some(from.parse().unwrap()), after(0)).unwrap()
        };
        let first = attempt("u", "10.0.0.1");
        assert!(!first.is_at_home());
        first.end(&RIGHT);
        assert!(attempt("u", "10.0.0.1").is_at_home());
        assert!(!attempt("u", "10.0.0.2").is_at_home() && !attempt("v", "10.0.0.1").is_at_home());
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
            attempt.unwrap().end(&RIGHT);
        }
    }

    #[test]
    fn who_has_logged_in_from_an_address_does_not_wait_for_others_behind_it() {
        let throttle = Throttle::default();
        let school: IpAddr = "10.0.0.1".parse().unwrap();
        let attempt = |user: &str| throttle.attempt(&Realm::Server, &user.parse().unwrap(), Some(school), after(0));
        attempt("teacher").unwrap().end(&RIGHT);
        for n in 0..50 {
            attempt(&format!("pupil{n}")).unwrap().end(&WRONG);
        }
        assert!(attempt("another").is_err() && attempt("teacher").is_ok());
    }

    #[test]
    fn what_nobody_looked_at_and_what_was_refused_are_no_failures() {
        let throttle = Throttle::default();
        let school: IpAddr = "10.0.0.1".parse().unwrap();
        let attempt = |user: &str| throttle.attempt(&Realm::Server, &user.parse().unwrap(), Some(school), after(0));
        for n in 0..200 {
            attempt(&format!("u{}", n % 20)).unwrap().end(&Err(()));
        }
        for _ in 0..5 {
            attempt("tablet").unwrap().end(&WRONG);
        }
        for _ in 0..200 {
            assert!(attempt("tablet").is_err());
        }
        for n in 0..45 {
            attempt(&format!("v{n}")).unwrap().end(&WRONG);
        }
        assert!(attempt("w").is_err(), "50 have failed");
        assert_eq!(
            lock(&throttle.guessers)
                .peek(&Subject::Guesser(Realm::Server, "w".parse().unwrap(), Some(school)))
                .unwrap()
                .count,
            0
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..20_000_u32 {
            throttle.unknown_key(Some(IpAddr::from(n.to_be_bytes())), after(0)).unwrap();
        }
        assert_eq!(lock(&throttle.addresses).len(), REMEMBERED.get());
        for n in 0..20_000_u32 {
            let user = format!("u{n}").parse().unwrap();
            drop(throttle.attempt(&Realm::Server, &user, Some(IpAddr::from(n.to_be_bytes())), after(0)).unwrap());
        }
        for memory in [&throttle.accounts, &throttle.guessers, &throttle.addresses] {
            assert_eq!(lock(memory).len(), REMEMBERED.get());
        }
    }

    #[test]
    fn the_wait_has_an_end() {
        assert_eq!(OF_GUESSER.wait(4), Duration::ZERO);
        assert_eq!(OF_GUESSER.wait(5), Duration::from_secs(1));
        assert_eq!(OF_GUESSER.wait(u32::MAX), Duration::from_secs(300));
        assert_eq!(UNLIMITED.wait(u32::MAX), Duration::ZERO);
    }
}
