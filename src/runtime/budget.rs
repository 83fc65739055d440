//! A byte budget: memory that is reserved before it is used and refused where there is none.
//!
//! The total bounds the process, the share bounds each key (a tenant), so that one cannot starve the others. Waiters
//! are served first come first served; only one that its own share holds back is passed by.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::lock::lock;

/// Why bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Others hold too much of the whole at the moment.
    #[error("no memory is free at the moment")]
    Total,
    /// The key's own reservations hold too much at the moment.
    #[error("the share of memory is used up at the moment")]
    Share,
    /// More than could ever be had: waiting is no use.
    #[error("more memory than there is to give")]
    TooLarge,
}

/// See the module. Clones share the budget.
#[derive(Clone)]
pub struct ByteBudget {
    pool: Arc<Pool>,
}

struct Pool {
    total: u64,
    share: u64,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    used: u64,
    peak: u64,
    by_key: HashMap<Arc<str>, u64>,
    waiting: VecDeque<Waiter>,
    next_waiter: u64,
}

struct Waiter {
    id: u64,
    key: Arc<str>,
    bytes: u64,
    granted: oneshot::Sender<Reservation>,
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteBudget").field("total", &self.pool.total).field("used", &self.used()).finish()
    }
}

impl ByteBudget {
    /// A budget of `total` bytes of which one key holds at most `share_per_key`.
    pub fn new(total: u64, share_per_key: u64) -> Self {
        Self { pool: Arc::new(Pool { total, share: share_per_key.min(total), books: Mutex::default() }) }
    }

    /// Reserves `bytes` for `key` now or says why not. Does not overtake those who wait for the total.
    pub fn try_reserve(&self, key: &str, bytes: u64) -> Result<Reservation, Exhausted> {
        let mut books = lock(&self.pool.books);
        self.pool.check_newcomer(&books, key, bytes)?;
        let key: Arc<str> = key.into();
        books.take(&key, bytes);
        drop(books);
        Ok(self.reservation(key, bytes))
    }

    /// Reserves `bytes` for `key`, waiting in line for at most `patience`. What is [`Exhausted::TooLarge`] is
    /// refused at once. Dropping the future leaves the line.
    pub async fn reserve_within(&self, key: &str, bytes: u64, patience: Duration) -> Result<Reservation, Exhausted> {
        let (mut granted, place, reason) = {
            let mut books = lock(&self.pool.books);
            let reason = match self.pool.check_newcomer(&books, key, bytes) {
                Ok(()) => {
                    let key: Arc<str> = key.into();
                    books.take(&key, bytes);
                    drop(books);
                    return Ok(self.reservation(key, bytes));
                }
                Err(Exhausted::TooLarge) => return Err(Exhausted::TooLarge),
                Err(reason) => reason,
            };
            let (grant, granted) = oneshot::channel();
            let id = books.next_waiter;
            books.next_waiter += 1;
            books.waiting.push_back(Waiter { id, key: key.into(), bytes, granted: grant });
            (granted, InLine { budget: self, id }, reason)
        };
        let outcome = timeout(patience, &mut granted).await;
        drop(place);
        match outcome {
            Ok(Ok(reservation)) => Ok(reservation),
            // The grant may have come between the alarm and the way out of the line.
            _ => granted.try_recv().map_err(|_| reason),
        }
    }

    /// The most bytes that can be reserved.
    pub fn total(&self) -> u64 {
        self.pool.total
    }

    /// The most bytes that one key can reserve.
    pub fn share_per_key(&self) -> u64 {
        self.pool.share
    }

    /// Bytes reserved at the moment.
    pub fn used(&self) -> u64 {
        lock(&self.pool.books).used
    }

    /// Bytes that `key` has reserved at the moment.
    pub fn used_by(&self, key: &str) -> u64 {
        lock(&self.pool.books).held_by(key)
    }

    /// The most bytes that were ever reserved at once.
    pub fn peak(&self) -> u64 {
        lock(&self.pool.books).peak
    }

    /// Requests that wait in line.
    pub fn num_waiting(&self) -> usize {
        lock(&self.pool.books).waiting.len()
    }

    fn reservation(&self, key: Arc<str>, bytes: u64) -> Reservation {
        Reservation { budget: self.clone(), key, bytes }
    }

    fn give_back(&self, key: &Arc<str>, bytes: u64) {
        lock(&self.pool.books).give_back(key, bytes);
        self.serve_line();
    }

    /// Grants what fits by now. Grants are handed over outside the lock: one that nobody takes is given back.
    fn serve_line(&self) {
        loop {
            let Some(Waiter { key, bytes, granted, .. }) = self.pool.next_served() else { return };
            let _ = granted.send(self.reservation(key, bytes));
        }
    }
}

impl Pool {
    /// Whether `bytes` fit for `key` at the moment, the line left aside.
    fn check(&self, books: &Books, key: &str, bytes: u64) -> Result<(), Exhausted> {
        if bytes > self.share {
            return Err(Exhausted::TooLarge);
        }
        // No overflow: what is held is at most the share, and the share at most the total.
        if bytes > self.share - books.held_by(key) {
            return Err(Exhausted::Share);
        }
        if bytes > self.total - books.used {
            return Err(Exhausted::Total);
        }
        Ok(())
    }

    /// As [`check`](Self::check), for one that stands behind the whole line.
    fn check_newcomer<'a>(&'a self, books: &'a Books, key: &'a str, bytes: u64) -> Result<(), Exhausted> {
        if bytes > self.share {
            return Err(Exhausted::TooLarge);
        }
        let mut line = LineWalk { pool: self, books, held_back: Vec::new() };
        for waiter in &books.waiting {
            if line.check(&waiter.key, waiter.bytes) != Err(Exhausted::Share) {
                return Err(Exhausted::Total);
            }
        }
        line.check(key, bytes)
    }

    /// Takes the first waiter that can be served out of the line, its bytes already reserved.
    fn next_served(&self) -> Option<Waiter> {
        let mut books = lock(&self.books);
        let index = {
            let mut line = LineWalk { pool: self, books: &books, held_back: Vec::new() };
            let mut verdicts = books.waiting.iter().map(|waiter| line.check(&waiter.key, waiter.bytes));
            verdicts.position(|verdict| verdict != Err(Exhausted::Share))?
        };
        let waiter = books.waiting.get(index)?;
        self.check(&books, &waiter.key, waiter.bytes).ok()?;
        let waiter = books.waiting.remove(index)?;
        books.take(&waiter.key, waiter.bytes);
        Some(waiter)
    }
}

/// A walk along the line from its head: a key whose turn its share holds back is passed by, with all that the key
/// has further behind, so that each key is served in order.
struct LineWalk<'a> {
    pool: &'a Pool,
    books: &'a Books,
    held_back: Vec<&'a str>,
}

impl<'a> LineWalk<'a> {
    fn check(&mut self, key: &'a str, bytes: u64) -> Result<(), Exhausted> {
        if self.held_back.contains(&key) {
            return Err(Exhausted::Share);
        }
        let verdict = self.pool.check(self.books, key, bytes);
        if verdict == Err(Exhausted::Share) {
            self.held_back.push(key);
        }
        verdict
    }
}

impl Books {
    fn held_by(&self, key: &str) -> u64 {
        self.by_key.get(key).copied().unwrap_or(0)
    }

    fn take(&mut self, key: &Arc<str>, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.used += bytes;
        self.peak = self.peak.max(self.used);
        *self.by_key.entry(Arc::clone(key)).or_default() += bytes;
    }

    fn give_back(&mut self, key: &Arc<str>, bytes: u64) {
        self.used -= bytes;
        if let Some(held) = self.by_key.get_mut(key) {
            *held -= bytes;
            if *held == 0 {
                self.by_key.remove(key);
            }
        }
    }
}

/// A waiter's place in the line, left when dropped.
struct InLine<'a> {
    budget: &'a ByteBudget,
    id: u64,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut books = lock(&self.budget.pool.books);
        let place = books.waiting.iter().position(|waiter| waiter.id == self.id);
        let left = place.and_then(|place| books.waiting.remove(place));
        drop(books);
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
    key: Arc<str>,
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
        if more > pool.share.saturating_sub(self.bytes) {
            return Err(Exhausted::TooLarge);
        }
        let mut books = lock(&pool.books);
        pool.check(&books, &self.key, more)?;
        books.take(&self.key, more);
        drop(books);
        self.bytes += more;
        Ok(())
    }

    /// Gives back all but `bytes`; nothing where no more than that is held.
    pub fn shrink_to(&mut self, bytes: u64) {
        if let Some(surplus) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            self.budget.give_back(&self.key, surplus);
        }
    }

    /// Moves `bytes` of it, or all if it holds fewer, into a reservation of their own.
    pub fn split(&mut self, bytes: u64) -> Self {
        let moved = bytes.min(self.bytes);
        self.bytes -= moved;
        self.budget.reservation(Arc::clone(&self.key), moved)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(&self.key, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::{FutureExt, future::join_all};
    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn each_refusal_has_its_reason() {
        let budget = ByteBudget::new(100, 60);
        let mut first = budget.try_reserve("a", 50).unwrap();
        assert_eq!(budget.try_reserve("a", 20).unwrap_err(), Exhausted::Share);
        let second = budget.try_reserve("b", 45).unwrap();
        assert_eq!(budget.try_reserve("c", 10).unwrap_err(), Exhausted::Total);
        assert_eq!(budget.try_reserve("c", 61).unwrap_err(), Exhausted::TooLarge);
        assert_eq!(first.grow(11), Err(Exhausted::TooLarge));
        assert_eq!(first.grow(6), Err(Exhausted::Total));
        assert_eq!(first.grow(5), Ok(()));
        drop((first, second));
        assert_eq!((budget.used(), budget.used_by("a"), budget.peak()), (0, 0, 100));
    }

    #[test]
    fn splitting_and_shrinking_keep_the_sum() {
        let budget = ByteBudget::new(100, 100);
        let mut whole = budget.try_reserve("a", 80).unwrap();
        let part = whole.split(30);
        assert_eq!((whole.bytes(), part.bytes(), budget.used()), (50, 30, 80));
        whole.shrink_to(10);
        whole.shrink_to(40);
        assert_eq!((whole.bytes(), budget.used()), (10, 40));
        assert_eq!(whole.split(u64::MAX).bytes(), 10);
        assert_eq!((whole.bytes(), budget.used()), (0, 30));
    }

    #[actix::test]
    async fn the_line_is_first_come_first_served_and_not_overtaken() {
        let budget = ByteBudget::new(10, 10);
        let held = budget.try_reserve("a", 8).unwrap();
        let mut big = pin!(budget.reserve_within("b", 9, LONG));
        let mut small = pin!(budget.reserve_within("c", 1, LONG));
        assert!(big.as_mut().now_or_never().is_none());
        assert!(small.as_mut().now_or_never().is_none(), "would fit, but must not overtake");
        assert_eq!(budget.try_reserve("d", 1).unwrap_err(), Exhausted::Total);
        drop(held);
        let (big, small) = (big.await.unwrap(), small.await.unwrap());
        assert_eq!((budget.used(), budget.num_waiting()), (10, 0));
        drop((big, small));
        assert_eq!(budget.used(), 0);
    }

    #[actix::test]
    async fn a_waiter_that_its_share_holds_back_is_passed_by_with_its_key() {
        let budget = ByteBudget::new(100, 10);
        let held = budget.try_reserve("a", 8).unwrap();
        let mut large = pin!(budget.reserve_within("a", 5, LONG));
        let mut later = pin!(budget.reserve_within("a", 1, LONG));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(later.as_mut().now_or_never().is_none(), "a key is served in order");
        assert_eq!(budget.try_reserve("a", 1).unwrap_err(), Exhausted::Share);
        let other = budget.reserve_within("b", 10, LONG).now_or_never().unwrap().unwrap();
        drop(held);
        assert_eq!((large.await.unwrap().bytes(), later.await.unwrap().bytes()), (5, 1));
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    #[actix::test]
    async fn who_runs_out_of_patience_leaves_the_line_and_lets_others_pass() {
        let budget = ByteBudget::new(10, 10);
        let _held = budget.try_reserve("a", 8).unwrap();
        let hasty = budget.reserve_within("b", 9, Duration::from_millis(5)).await;
        assert_eq!(hasty.unwrap_err(), Exhausted::Total);
        {
            let mut abandoned = pin!(budget.reserve_within("b", 9, LONG));
            assert!(abandoned.as_mut().now_or_never().is_none());
            assert_eq!(budget.num_waiting(), 1);
        }
        assert_eq!(budget.num_waiting(), 0);
        assert_eq!(budget.reserve_within("b", 11, LONG).await.unwrap_err(), Exhausted::TooLarge);
        assert_eq!(budget.try_reserve("c", 2).unwrap().bytes(), 2);
    }

    #[actix::test]
    async fn a_crowd_of_waiters_is_served_to_the_last() {
        let budget = ByteBudget::new(10, 4);
        let keys = ["a", "b", "c"];
        let crowd = (0..300_u64).map(|n| {
            let budget = budget.clone();
            async move {
                let held = budget.reserve_within(keys[n as usize % 3], 1 + n % 4, LONG).await.unwrap();
                tokio::task::yield_now().await;
                drop(held);
            }
        });
        join_all(crowd).await;
        assert_eq!((budget.used(), budget.num_waiting()), (0, 0));
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
            (0..4_usize, bytes.clone()).prop_map(|(key, bytes)| Step::Reserve { key, bytes }),
            (which.clone(), bytes.clone()).prop_map(|(which, bytes)| Step::Grow { which, bytes }),
            (which.clone(), bytes.clone()).prop_map(|(which, bytes)| Step::Shrink { which, bytes }),
            (which.clone(), bytes).prop_map(|(which, bytes)| Step::Split { which, bytes }),
            which.prop_map(|which| Step::Drop { which }),
        ]
    }

    proptest! {
        #[test]
        fn the_books_always_balance(steps in prop::collection::vec(step(), 0..200)) {
            let budget = ByteBudget::new(100, 40);
            let keys = ["a", "b", "c", "d"];
            let mut held: Vec<Reservation> = Vec::new();
            for step in steps {
                let count = held.len();
                match step {
                    Step::Reserve { key, bytes } => held.extend(budget.try_reserve(keys[key], bytes)),
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
                for key in keys {
                    prop_assert!(budget.used_by(key) <= 40);
                }
            }
            drop(held);
            prop_assert_eq!(budget.used(), 0);
            prop_assert!(keys.iter().all(|key| budget.used_by(key) == 0));
        }
    }
}
