//! The places of an inbox, and the line before it: when a place becomes free, it is the turn of whoever [`Line`] says.
//!
//! Some places are no job's, so that no number of jobs makes a person wait until one of them has gone on. The last free
//! place is for a key that has none, so that nobody waits until one of a single key's flood has gone on.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use tokio::{sync::oneshot, task::JoinError};

use super::{
    blocking::spawn_blocking,
    line::{Line, ServiceClass, Ticket, Turn},
    lock::lock,
};

/// One place in so many, rounded up, is for people alone; the only place of an inbox is for all.
const PLACES_FOR_ONE_RESERVED: usize = 4;

/// See the module.
pub struct Turnstile {
    gate: Mutex<Gate>,
}

struct Gate {
    places: Places,
    line: Line<Waiting>,
    is_closed: bool,
}

struct Places {
    free: usize,
    /// The most that others than people have at once.
    max_jobs: usize,
    /// Those that others than people have.
    jobs: usize,
    by_key: HashMap<Arc<str>, usize>,
}

struct Waiting {
    turn: Turn,
    grant: oneshot::Sender<Permit>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Those that such a one may have are taken, or too many of its key wait for one.
    Taken,
    /// Nobody is let in any more.
    Closed,
}

/// The right to one place, given back when dropped.
pub struct Permit {
    turnstile: Arc<Turnstile>,
    turn: Turn,
}

impl Turnstile {
    /// So many places.
    pub fn new(places: usize) -> Arc<Self> {
        let reserved = if places > 1 { places.div_ceil(PLACES_FOR_ONE_RESERVED) } else { 0 };
        let places = Places { free: places, max_jobs: places - reserved, jobs: 0, by_key: HashMap::new() };
        Arc::new(Self { gate: Mutex::new(Gate { places, line: Line::default(), is_closed: false }) })
    }

    /// A place at once. Whoever waits could not have had it.
    pub(super) fn try_enter(self: &Arc<Self>, turn: &Turn) -> Result<Permit, NoPlace> {
        self.try_take(&mut lock(&self.gate), turn)
    }

    /// A place when its turn comes, unless `max_waiting` of its key wait already; none once this is closed. Dropping
    /// the future leaves the line.
    pub async fn enter(self: &Arc<Self>, turn: &Turn, max_waiting: usize) -> Result<Permit, NoPlace> {
        let (granted, _place) = {
            let mut gate = lock(&self.gate);
            match self.try_take(&mut gate, turn) {
                Err(NoPlace::Taken) if gate.line.num_of(turn) < max_waiting => {}
                entered => return entered,
            }
            let (grant, granted) = oneshot::channel();
            let ticket = gate.line.push(turn, 0, Waiting { turn: turn.clone(), grant });
            (granted, InLine { turnstile: self, ticket })
        };
        granted.await.map_err(|_| NoPlace::Closed)
    }

    /// What comes of blocking work that has a place, which it keeps where its caller goes away. Errors as [`Self::enter`]
    /// does, which says what `max_waiting` is.
    pub async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        turn: &Turn,
        max_waiting: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Result<T, JoinError>, NoPlace> {
        let place = self.enter(turn, max_waiting).await?;
        let worked = spawn_blocking(move || {
            let _place = place;
            work()
        });
        Ok(worked.await)
    }

    /// Lets nobody in any more, those who wait neither.
    pub(super) fn close(&self) {
        let mut gate = lock(&self.gate);
        gate.is_closed = true;
        let abandoned = std::mem::take(&mut gate.line);
        drop(gate);
        drop(abandoned);
    }

    fn try_take(self: &Arc<Self>, gate: &mut Gate, turn: &Turn) -> Result<Permit, NoPlace> {
        if gate.is_closed {
            return Err(NoPlace::Closed);
        }
        if !gate.places.has_one_for(turn) {
            return Err(NoPlace::Taken);
        }
        gate.places.take(turn);
        Ok(Permit { turnstile: Arc::clone(self), turn: turn.clone() })
    }

    /// The next one in the line for whom there is a place, which is theirs by then.
    fn next_served(&self) -> Option<Waiting> {
        let mut gate = lock(&self.gate);
        let Gate { places, line, .. } = &mut *gate;
        let served = line.pop_if(|waiting| places.has_one_for(&waiting.turn))?;
        places.take(&served.turn);
        Some(served)
    }
}

impl Places {
    fn has_one_for(&self, turn: &Turn) -> bool {
        let free = if is_job(turn.class) { self.free.min(self.max_jobs - self.jobs) } else { self.free };
        free > usize::from(self.by_key.contains_key(&turn.key))
    }

    fn take(&mut self, turn: &Turn) {
        self.free -= 1;
        self.jobs += usize::from(is_job(turn.class));
        *self.by_key.entry(Arc::clone(&turn.key)).or_default() += 1;
    }

    fn give_back(&mut self, turn: &Turn) {
        self.free += 1;
        self.jobs -= usize::from(is_job(turn.class));
        if let Some(of_key) = self.by_key.get_mut(&turn.key) {
            *of_key -= 1;
            if *of_key == 0 {
                self.by_key.remove(&turn.key);
            }
        }
    }
}

/// Whether one of this class has to leave places to people. A live source has to: what it sends late is stale anyway.
fn is_job(class: ServiceClass) -> bool {
    class != ServiceClass::Interactive
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.turnstile.gate).places.give_back(&self.turn);
        // Handed over outside the lock. One that nobody takes any more comes back as it is dropped.
        while let Some(Waiting { turn, grant }) = self.turnstile.next_served() {
            let _ = grant.send(Self { turnstile: Arc::clone(&self.turnstile), turn });
        }
    }
}

/// A place in the line, left when dropped.
struct InLine<'a> {
    turnstile: &'a Turnstile,
    ticket: Ticket,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let left = lock(&self.turnstile.gate).line.remove(&self.ticket);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::{ServiceClass::*, *};

    type Entering<'a> = Pin<Box<dyn Future<Output = Result<Permit, NoPlace>> + 'a>>;

    fn waiting<'a>(turnstile: &'a Arc<Turnstile>, turn: &'a Turn) -> Entering<'a> {
        let mut entering: Entering<'a> = Box::pin(turnstile.enter(turn, usize::MAX));
        assert!(entering.as_mut().now_or_never().is_none());
        entering
    }

    /// As many as get in, each of another key.
    fn all_who_may(turnstile: &Arc<Turnstile>, class: ServiceClass) -> Vec<Permit> {
        let one = |n: usize| turnstile.try_enter(&Turn::new(class, &n.to_string())).ok();
        (0..).map_while(one).collect()
    }

    #[test]
    fn jobs_leave_places_to_people() {
        for (places, for_jobs) in [(1, 1), (2, 1), (4, 3), (8, 6), (64, 48)] {
            let turnstile = Turnstile::new(places);
            let jobs = all_who_may(&turnstile, Bulk);
            assert_eq!(jobs.len(), for_jobs, "of {places}");
            let people: Vec<_> = (100..)
                .map_while(|n: usize| turnstile.try_enter(&Turn::new(Interactive, &n.to_string())).ok())
                .collect();
            assert_eq!(people.len(), places - for_jobs);
            drop(jobs);
            let jobs = all_who_may(&turnstile, Stream);
            assert_eq!(jobs.len(), for_jobs, "people take the places that no job may have first");
        }
    }

    #[test]
    fn the_last_place_is_for_who_has_none() {
        for (class, places, for_one) in
            [(Interactive, 1, 1), (Interactive, 2, 1), (Interactive, 4, 3), (Bulk, 2, 1), (Bulk, 4, 2), (Bulk, 64, 47)]
        {
            let turnstile = Turnstile::new(places);
            let (flood, other) = (Turn::new(class, "flood"), Turn::new(class, "other"));
            let mut floods: Vec<_> = std::iter::from_fn(|| turnstile.try_enter(&flood).ok()).collect();
            assert_eq!(floods.len(), for_one, "{class:?} of {places}");
            let (mut waits, last) = (waiting(&turnstile, &flood), turnstile.try_enter(&other));
            assert_eq!(last.is_ok(), for_one > 1 || (class == Interactive && places > 1), "{class:?} of {places}");
            drop(last);
            assert!(waits.as_mut().now_or_never().is_none(), "not its own even where nobody wants it");
            floods.pop();
            assert!(waits.now_or_never().is_some_and(|entered| entered.is_ok()));
        }
    }

    #[test]
    fn another_key_waits_for_one_of_a_flood_and_a_person_for_none() {
        let turnstile = Turnstile::new(2);
        let (flood, other) = (Turn::new(Bulk, "flood"), Turn::new(Bulk, "other"));
        let (person, next) = (Turn::new(Interactive, "x"), Turn::new(Interactive, "y"));
        let job = turnstile.try_enter(&flood).ok().unwrap();
        let mut floods: Vec<_> = (0..30).map(|_| waiting(&turnstile, &flood)).collect();
        let mut other = waiting(&turnstile, &other);
        let first = turnstile.enter(&person, 0).now_or_never().unwrap().ok().unwrap();
        let mut next = waiting(&turnstile, &next);
        drop(job);
        let second = next.as_mut().now_or_never().unwrap().ok().unwrap();
        drop(first);
        // The place that is free now may be a job's, as the other has a person in it.
        let job = floods.remove(0).now_or_never().unwrap().ok().unwrap();
        drop(second);
        assert!(other.as_mut().now_or_never().is_none(), "the last place is for people");
        drop(job);
        let job = other.now_or_never().unwrap().ok().unwrap();
        assert!(floods.iter_mut().all(|entering| entering.now_or_never().is_none()), "one for one");
        drop(job);
        drop(floods.remove(0).now_or_never().unwrap().ok().unwrap());
    }

    #[test]
    fn only_so_many_of_a_key_wait() {
        let turnstile = Turnstile::new(1);
        let (flood, other) = (Turn::new(Interactive, "flood"), Turn::new(Interactive, "other"));
        let inside = turnstile.try_enter(&flood).ok().unwrap();
        let _waits = [waiting(&turnstile, &flood), waiting(&turnstile, &flood)];
        let turned_away = turnstile.enter(&flood, 2).now_or_never().unwrap();
        assert_eq!(turned_away.err(), Some(NoPlace::Taken));
        let other = waiting(&turnstile, &other);
        drop(inside);
        assert!(other.now_or_never().is_none(), "the flood came first");
    }

    #[test]
    fn whoever_leaves_the_line_keeps_no_place() {
        let turnstile = Turnstile::new(1);
        let turn = Turn::new(Bulk, "k");
        let inside = turnstile.try_enter(&turn).ok().unwrap();
        let abandoned = waiting(&turnstile, &turn);
        let granted = waiting(&turnstile, &turn);
        drop(abandoned);
        drop(inside);
        assert!(turnstile.try_enter(&turn).is_err(), "it was granted");
        // Granted, and never looked at.
        drop(granted);
        let again = turnstile.try_enter(&turn).ok().unwrap();
        let shut_out = waiting(&turnstile, &turn);
        turnstile.close();
        assert_eq!(shut_out.now_or_never().unwrap().err(), Some(NoPlace::Closed));
        drop(again);
        assert_eq!(turnstile.try_enter(&turn).err(), Some(NoPlace::Closed));
    }
}
