//! A byte budget: memory that is reserved before it is used and refused where there is none.
//!
//! The total bounds the process, a share each key (a tenant) and a smaller one each holder of a key (a user or an API key
//! of it), so that none can starve the others. Waiters are served as their turn comes (see [`Turn`]), however much they
//! want; only those whom a share of their own holds back are passed by.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::{
    line::{Line, Ticket, Turn},
    lock::lock,
};

/// Why bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Others hold too much of the whole at the moment.
    #[error("no memory is free at the moment")]
    Total,
    /// Those of the key hold too much at the moment.
    #[error("the key's share of memory is used up at the moment")]
    Share,
    /// The holder's own reservations hold too much at the moment.
    #[error("the holder's share of memory is used up at the moment")]
    OwnShare,
    /// More than could ever be had: waiting is no use.
    #[error("more memory than there is to give")]
    TooLarge,
}

/// How many bytes there are.
#[derive(Debug, Clone, Copy)]
pub struct BudgetLimits {
    /// In all.
    pub total: u64,
    /// The most that those of one key hold together.
    pub per_key: u64,
    /// The most that one holder of a key holds.
    pub per_holder: u64,
}

/// See the module. Clones share the budget.
#[derive(Clone)]
pub struct ByteBudget {
    pool: Arc<Pool>,
}

struct Pool {
    limits: BudgetLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    books: Books,
    line: Line<Waiter>,
}

#[derive(Default)]
struct Books {
    used: u64,
    peak: u64,
    by_key: HashMap<Arc<str>, u64>,
    by_account: HashMap<Account, u64>,
}

/// A holder of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Account {
    key: Arc<str>,
    holder: Arc<str>,
}

struct Waiter {
    account: Account,
    bytes: u64,
    granted: oneshot::Sender<Reservation>,
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteBudget").field("total", &self.pool.limits.total).field("used", &self.used()).finish()
    }
}

impl ByteBudget {
    /// A budget of so much. What is over a larger limit counts as that.
    pub fn new(limits: BudgetLimits) -> Self {
        let per_key = limits.per_key.min(limits.total);
        let limits = BudgetLimits { per_key, per_holder: limits.per_holder.min(per_key), ..limits };
        Self { pool: Arc::new(Pool { limits, state: Mutex::default() }) }
    }

    /// Reserves `bytes` now or says why not. Does not overtake those who wait for the total and whose turn is before.
    pub fn try_reserve(&self, turn: &Turn, bytes: u64) -> Result<Reservation, Exhausted> {
        let Entry { mut granted, place, reason } = self.get_in_line(turn, bytes)?;
        drop(place);
        granted.try_recv().map_err(|_| reason)
    }

    /// Reserves `bytes` now or says why not, past those who wait: for what is admitted already, and must be able to end.
    pub fn reserve_past_line(&self, turn: &Turn, bytes: u64) -> Result<Reservation, Exhausted> {
        let account = Account::of(turn);
        let mut state = lock(&self.pool.state);
        self.pool.check(&state.books, &account, bytes)?;
        state.books.take(&account, bytes);
        drop(state);
        Ok(self.reservation(account, bytes))
    }

    /// Reserves `bytes`, waiting in line for at most `patience`. What is [`Exhausted::TooLarge`] is refused at once.
    /// Dropping the future leaves the line.
    pub async fn reserve_within(&self, turn: &Turn, bytes: u64, patience: Duration) -> Result<Reservation, Exhausted> {
        let Entry { mut granted, place, reason } = self.get_in_line(turn, bytes)?;
        let outcome = timeout(patience, &mut granted).await;
        drop(place);
        match outcome {
            Ok(Ok(reservation)) => Ok(reservation),
            // The grant may have come between the alarm and the way out of the line.
            _ => granted.try_recv().map_err(|_| reason),
        }
    }

    /// Gets in line, and serves it: the bytes may be granted by then.
    fn get_in_line(&self, turn: &Turn, bytes: u64) -> Result<Entry<'_>, Exhausted> {
        if bytes > self.pool.limits.per_holder {
            return Err(Exhausted::TooLarge);
        }
        let mut state = lock(&self.pool.state);
        let account = Account::of(turn);
        // Whoever is behind others of its own waits for what they wait for.
        let first = state.line.all_of(turn).find(|other| other.account == account).map_or(bytes, |first| first.bytes);
        let reason = self.pool.refusal(&state.books, &account, first);
        let (grant, granted) = oneshot::channel();
        let ticket = state.line.push(turn, 0, Waiter { account, bytes, granted: grant });
        drop(state);
        let place = InLine { budget: self, ticket };
        self.serve_line();
        Ok(Entry { granted, place, reason })
    }

    /// What stands in the way of so many bytes more at the moment.
    pub fn refusal(&self, turn: &Turn, bytes: u64) -> Exhausted {
        self.pool.refusal(&lock(&self.pool.state).books, &Account::of(turn), bytes)
    }

    /// The most bytes that can be reserved.
    pub fn total(&self) -> u64 {
        self.pool.limits.total
    }

    /// Bytes reserved at the moment.
    pub fn used(&self) -> u64 {
        lock(&self.pool.state).books.used
    }

    /// Bytes that `key` has reserved at the moment.
    pub fn used_by(&self, key: &str) -> u64 {
        lock(&self.pool.state).books.held_by(key)
    }

    /// The most bytes that were ever reserved at once.
    pub fn peak(&self) -> u64 {
        lock(&self.pool.state).books.peak
    }

    fn reservation(&self, account: Account, bytes: u64) -> Reservation {
        Reservation { budget: self.clone(), account, bytes }
    }

    fn give_back(&self, account: &Account, bytes: u64) {
        lock(&self.pool.state).books.give_back(account, bytes);
        self.serve_line();
    }

    /// Grants what fits by now. Grants are handed over outside the lock: one that nobody takes is given back.
    fn serve_line(&self) {
        loop {
            let Some(Waiter { account, bytes, granted }) = self.pool.next_served() else { return };
            let _ = granted.send(self.reservation(account, bytes));
        }
    }
}

impl Account {
    fn of(turn: &Turn) -> Self {
        Self { key: Arc::clone(&turn.key), holder: Arc::clone(&turn.holder) }
    }
}

impl Pool {
    /// Whether `bytes` fit for `account` at the moment, the line left aside.
    fn check(&self, books: &Books, account: &Account, bytes: u64) -> Result<(), Exhausted> {
        let BudgetLimits { total, per_key, per_holder } = self.limits;
        if bytes > per_holder {
            return Err(Exhausted::TooLarge);
        }
        // No overflow: nobody holds more than their limit.
        if bytes > per_holder - books.held_by_account(account) {
            return Err(Exhausted::OwnShare);
        }
        if bytes > per_key - books.held_by(&account.key) {
            return Err(Exhausted::Share);
        }
        if bytes > total - books.used {
            return Err(Exhausted::Total);
        }
        Ok(())
    }

    /// Why `bytes` were not granted to `account`; what fits waits for others.
    fn refusal(&self, books: &Books, account: &Account, bytes: u64) -> Exhausted {
        self.check(books, account, bytes).err().unwrap_or(Exhausted::Total)
    }

    /// Takes the next waiter that can be served out of the line, its bytes already reserved. Whom a share holds back is
    /// passed by, but by none who share it; nobody overtakes one who waits for the total.
    fn next_served(&self) -> Option<Waiter> {
        let mut state = lock(&self.state);
        let State { books, line } = &mut *state;
        let (mut keys_held_back, mut held_back, mut is_waited_for) = (HashSet::new(), HashSet::new(), false);
        let waiter = line.pop_any_if(|Waiter { account, bytes, .. }| {
            if is_waited_for || keys_held_back.contains(&account.key) || held_back.contains(account) {
                return false;
            }
            match self.check(books, account, *bytes) {
                Ok(()) => return true,
                Err(Exhausted::Share) => drop(keys_held_back.insert(Arc::clone(&account.key))),
                Err(Exhausted::OwnShare | Exhausted::TooLarge) => drop(held_back.insert(account.clone())),
                Err(Exhausted::Total) => is_waited_for = true,
            }
            false
        })?;
        books.take(&waiter.account, waiter.bytes);
        Some(waiter)
    }
}

/// One in line, or served by now.
struct Entry<'a> {
    granted: oneshot::Receiver<Reservation>,
    place: InLine<'a>,
    /// Why it is not, if it is not.
    reason: Exhausted,
}

impl Books {
    fn held_by(&self, key: &str) -> u64 {
        self.by_key.get(key).copied().unwrap_or(0)
    }

    fn held_by_account(&self, account: &Account) -> u64 {
        self.by_account.get(account).copied().unwrap_or(0)
    }

    fn take(&mut self, account: &Account, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.used += bytes;
        self.peak = self.peak.max(self.used);
        *self.by_key.entry(Arc::clone(&account.key)).or_default() += bytes;
        *self.by_account.entry(account.clone()).or_default() += bytes;
    }

    fn give_back(&mut self, account: &Account, bytes: u64) {
        self.used -= bytes;
        subtract(&mut self.by_key, &account.key, bytes);
        subtract(&mut self.by_account, account, bytes);
    }
}

/// Those with nothing are forgotten.
fn subtract<K: Eq + Hash>(held: &mut HashMap<K, u64>, who: &K, bytes: u64) {
    if let Some(of_them) = held.get_mut(who) {
        *of_them -= bytes;
        if *of_them == 0 {
            held.remove(who);
        }
    }
}

/// A waiter's place in the line, left when dropped.
struct InLine<'a> {
    budget: &'a ByteBudget,
    ticket: Ticket,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let left = lock(&self.budget.pool.state).line.remove(&self.ticket);
        if left.is_some() {
            // Those behind may have waited for this one alone.
            self.budget.serve_line();
        }
    }
}

/// Reserved bytes, given back when dropped.
#[must_use = "dropping the reservation gives the bytes back"]
pub struct Reservation {
    budget: ByteBudget,
    account: Account,
    bytes: u64,
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Reservation {
    /// How many bytes are held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `more` bytes on top, or none. Overtakes the line: what is admitted must be able to end.
    pub fn grow(&mut self, more: u64) -> Result<(), Exhausted> {
        let pool = &self.budget.pool;
        if more > pool.limits.per_holder.saturating_sub(self.bytes) {
            return Err(Exhausted::TooLarge);
        }
        let mut state = lock(&pool.state);
        pool.check(&state.books, &self.account, more)?;
        state.books.take(&self.account, more);
        drop(state);
        self.bytes += more;
        Ok(())
    }

    /// Gives back all but `bytes`; nothing where no more than that is held.
    pub fn shrink_to(&mut self, bytes: u64) {
        if let Some(surplus) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            self.budget.give_back(&self.account, surplus);
        }
    }

    /// Moves `bytes` of it, or all if it holds fewer, into a reservation of their own.
    pub fn split(&mut self, bytes: u64) -> Self {
        let moved = bytes.min(self.bytes);
        self.bytes -= moved;
        self.budget.reservation(self.account.clone(), moved)
    }

    /// Adds what another of the same holder has.
    pub fn absorb(&mut self, mut other: Self) {
        debug_assert_eq!(self.account, other.account);
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(&self.account, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::{FutureExt, future::join_all};
    use proptest::prelude::*;

    use super::{super::line::ServiceClass::*, *};

    const LONG: Duration = Duration::from_secs(60);

    fn person(key: &str) -> Turn {
        Turn::new(Interactive, key)
    }

    fn budget(total: u64, per_key: u64) -> ByteBudget {
        ByteBudget::new(BudgetLimits { total, per_key, per_holder: per_key })
    }

    fn is_waited_for(budget: &ByteBudget) -> bool {
        !lock(&budget.pool.state).line.is_empty()
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let budget = budget(100, 60);
        let mut first = budget.try_reserve(&person("a"), 50).unwrap();
        assert_eq!(budget.try_reserve(&person("a"), 20).unwrap_err(), Exhausted::OwnShare);
        assert_eq!(budget.try_reserve(&person("a").of("another"), 20).unwrap_err(), Exhausted::Share);
        let second = budget.try_reserve(&person("b"), 45).unwrap();
        assert_eq!(budget.try_reserve(&person("c"), 10).unwrap_err(), Exhausted::Total);
        assert_eq!(budget.try_reserve(&person("c"), 61).unwrap_err(), Exhausted::TooLarge);
        assert_eq!(first.grow(11), Err(Exhausted::TooLarge));
        assert_eq!(first.grow(6), Err(Exhausted::Total));
        assert_eq!(first.grow(5), Ok(()));
        drop((first, second));
        assert_eq!((budget.used(), budget.used_by("a"), budget.peak()), (0, 0, 100));
    }

    #[actix::test]
    async fn a_holders_flood_leaves_the_rest_of_its_keys_share_to_others() {
        let budget = ByteBudget::new(BudgetLimits { total: 100, per_key: 50, per_holder: 30 });
        let [kiosk, teacher, registrar] = ["kiosk", "teacher", "registrar"].map(|holder| person("t").of(holder));
        let mut held = budget.try_reserve(&kiosk, 20).unwrap();
        assert_eq!(budget.try_reserve(&kiosk, 31).unwrap_err(), Exhausted::TooLarge);
        assert_eq!(held.grow(11), Err(Exhausted::TooLarge));
        assert_eq!(budget.refusal(&kiosk, 11), Exhausted::OwnShare);
        let mut waits = pin!(budget.reserve_within(&kiosk, 15, LONG));
        let mut behind = pin!(budget.reserve_within(&kiosk, 1, LONG));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(behind.as_mut().now_or_never().is_none(), "a holder is served in order");
        assert_eq!(budget.try_reserve(&kiosk, 1).unwrap_err(), Exhausted::OwnShare);
        let _other = budget.reserve_within(&teacher, 25, LONG).now_or_never().unwrap().unwrap();
        assert_eq!(budget.try_reserve(&registrar, 6).unwrap_err(), Exhausted::Share);
        drop(held);
        assert_eq!((waits.await.unwrap().bytes(), behind.await.unwrap().bytes()), (15, 1));
        assert_eq!((budget.used(), budget.used_by("t")), (25, 25));
    }

    #[test]
    fn splitting_and_shrinking_keep_the_sum() {
        let budget = budget(100, 100);
        let mut whole = budget.try_reserve(&person("a"), 80).unwrap();
        let part = whole.split(30);
        assert_eq!((whole.bytes(), part.bytes(), budget.used()), (50, 30, 80));
        whole.shrink_to(10);
        whole.shrink_to(40);
        assert_eq!((whole.bytes(), budget.used()), (10, 40));
        assert_eq!(whole.split(u64::MAX).bytes(), 10);
        assert_eq!((whole.bytes(), budget.used()), (0, 30));
    }

    #[actix::test]
    async fn those_of_one_class_who_come_first_are_not_overtaken() {
        let budget = budget(10, 10);
        let [a, b, c] = ["a", "b", "c"].map(person);
        let held = budget.try_reserve(&a, 8).unwrap();
        let mut big = pin!(budget.reserve_within(&b, 9, LONG));
        let mut small = pin!(budget.reserve_within(&c, 1, LONG));
        assert!(big.as_mut().now_or_never().is_none());
        assert!(small.as_mut().now_or_never().is_none(), "would fit, but must not overtake");
        assert_eq!(budget.reserve_past_line(&c, 3).unwrap_err(), Exhausted::Total);
        assert_eq!(budget.reserve_past_line(&c, 2).unwrap().bytes(), 2);
        assert_eq!(budget.try_reserve(&person("d"), 1).unwrap_err(), Exhausted::Total);
        drop(held);
        let (big, small) = (big.await.unwrap(), small.await.unwrap());
        assert_eq!((budget.used(), is_waited_for(&budget)), (10, false));
        drop((big, small));
        assert_eq!(budget.used(), 0);
    }

    #[actix::test]
    async fn a_waiter_that_its_share_holds_back_is_passed_by_with_its_key() {
        let budget = budget(100, 10);
        let a = person("a");
        let held = budget.try_reserve(&a.clone().of("another"), 8).unwrap();
        let mut large = pin!(budget.reserve_within(&a, 5, LONG));
        let mut later = pin!(budget.reserve_within(&a, 1, LONG));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(later.as_mut().now_or_never().is_none(), "a key is served in order");
        assert_eq!(budget.try_reserve(&a, 1).unwrap_err(), Exhausted::Share);
        let other = budget.reserve_within(&person("b"), 10, LONG).now_or_never().unwrap().unwrap();
        drop(held);
        assert_eq!((large.await.unwrap().bytes(), later.await.unwrap().bytes()), (5, 1));
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    /// Two floods hold all there is, and wait for more.
    #[actix::test]
    async fn another_key_waits_for_one_of_each_flood_and_a_person_for_no_job() {
        let budget = budget(4, 3);
        let (first, second, other, job) = (person("a"), person("b"), person("c"), Turn::new(Bulk, "d"));
        let all = [&first, &first, &first, &second];
        let mut held: Vec<_> = all.into_iter().map(|turn| budget.try_reserve(turn, 1).unwrap()).collect();
        let mut job = pin!(budget.reserve_within(&job, 1, LONG));
        assert!(job.as_mut().now_or_never().is_none());
        let floods = [&first, &second].into_iter().cycle().take(20);
        let mut floods: Vec<_> = floods.map(|flood| Box::pin(budget.reserve_within(flood, 1, LONG))).collect();
        assert!(floods.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        let mut other = pin!(budget.reserve_within(&other, 1, LONG));
        assert!(other.as_mut().now_or_never().is_none());
        let mut given_back = 0;
        let other = loop {
            drop(held.remove(0));
            given_back += 1;
            if let Some(granted) = other.as_mut().now_or_never() {
                break granted.unwrap();
            }
        };
        assert_eq!(given_back, 3, "one for each flood before");
        assert!(job.as_mut().now_or_never().is_none());
        drop((held, other));
        drop(floods);
        assert_eq!(job.await.unwrap().bytes(), 1);
    }

    #[actix::test]
    async fn who_runs_out_of_patience_leaves_the_line_and_lets_others_pass() {
        let budget = budget(10, 10);
        let _held = budget.try_reserve(&person("a"), 8).unwrap();
        let hasty = budget.reserve_within(&person("b"), 9, Duration::from_millis(5)).await;
        assert_eq!(hasty.unwrap_err(), Exhausted::Total);
        {
            let b = person("b");
            let mut abandoned = pin!(budget.reserve_within(&b, 9, LONG));
            assert!(abandoned.as_mut().now_or_never().is_none());
            assert!(is_waited_for(&budget));
        }
        assert!(!is_waited_for(&budget));
        assert_eq!(budget.reserve_within(&person("b"), 11, LONG).await.unwrap_err(), Exhausted::TooLarge);
        assert_eq!(budget.try_reserve(&person("c"), 2).unwrap().bytes(), 2);
    }

    #[actix::test]
    async fn a_crowd_of_waiters_is_served_to_the_last() {
        let budget = budget(10, 4);
        let keys = ["a", "b", "c"];
        let crowd = (0..300_u64).map(|n| {
            let budget = budget.clone();
            async move {
                let held = budget.reserve_within(&person(keys[n as usize % 3]), 1 + n % 4, LONG).await.unwrap();
                tokio::task::yield_now().await;
                drop(held);
            }
        });
        join_all(crowd).await;
        assert_eq!((budget.used(), is_waited_for(&budget)), (0, false));
        assert!(budget.peak() <= 10);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Reserve { key: usize, bytes: u64 },
        Grow { which: usize, bytes: u64 },
        Shrink { which: usize, bytes: u64 },
        Split { which: usize, bytes: u64 },
        Drop { which: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (which, bytes) = (0..64_usize, 0..60_u64);
        prop_oneof![
            (0..8_usize, bytes.clone()).prop_map(|(key, bytes)| Step::Reserve { key, bytes }),
            (which.clone(), bytes.clone()).prop_map(|(which, bytes)| Step::Grow { which, bytes }),
            (which.clone(), bytes.clone()).prop_map(|(which, bytes)| Step::Shrink { which, bytes }),
            (which.clone(), bytes).prop_map(|(which, bytes)| Step::Split { which, bytes }),
            which.prop_map(|which| Step::Drop { which }),
        ]
    }

    proptest! {
        #[test]
        fn the_books_always_balance(steps in prop::collection::vec(step(), 0..200)) {
            let budget = ByteBudget::new(BudgetLimits { total: 100, per_key: 40, per_holder: 30 });
            let keys = ["a", "b", "c", "d"];
            let turns: Vec<Turn> = ["x", "y"].iter().flat_map(|of| keys.map(|key| person(key).of(of))).collect();
            let mut held: Vec<Reservation> = Vec::new();
            for step in steps {
                let count = held.len();
                match step {
                    Step::Reserve { key, bytes } => held.extend(budget.try_reserve(&turns[key], bytes)),
                    Step::Grow { which, bytes } if count > 0 => {
                        let _ = held[which % count].grow(bytes);
                    }
                    Step::Shrink { which, bytes } if count > 0 => held[which % count].shrink_to(bytes),
                    Step::Split { which, bytes } if count > 0 => {
                        let part = held[which % count].split(bytes);
                        held.push(part);
                    }
                    Step::Drop { which } if count > 0 => drop(held.swap_remove(which % count)),
                    _ => {}
                }
                prop_assert_eq!(budget.used(), held.iter().map(Reservation::bytes).sum::<u64>());
                prop_assert!(budget.used() <= 100 && budget.peak() <= 100);
                for turn in &turns {
                    let own = held.iter().filter(|held| held.account == Account::of(turn)).map(Reservation::bytes);
                    prop_assert!(budget.used_by(&turn.key) <= 40 && own.sum::<u64>() <= 30);
                }
            }
            drop(held);
            prop_assert_eq!(budget.used(), 0);
            prop_assert!(keys.iter().all(|key| budget.used_by(key) == 0));
        }
    }
}
