//! The places of an inbox, and the line before it: when a place becomes free, it is the turn of whoever [`Line`] says.
//!
//! Some places are no job's, so that no number of jobs makes a person wait until one of them has gone on.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::{
    line::{Line, ServiceClass, Ticket, Turn},
    lock::lock,
};

/// One place in so many, rounded up, is for people alone; the only place of an inbox is for all.
const PLACES_FOR_ONE_RESERVED: usize = 4;

/// See the module.
pub(super) struct Turnstile {
    /// The most places that others than people have at once.
    max_jobs: usize,
    gate: Mutex<Gate>,
}

struct Gate {
    free: usize,
    /// Places that others than people have.
    jobs: usize,
    is_closed: bool,
    waiting: Line<oneshot::Sender<Permit>>,
}

/// Why there is no place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Those that such a one may have are taken.
    Taken,
    /// Nobody is let in any more.
    Closed,
}

/// The right to one place, given back when dropped.
pub(super) struct Permit {
    turnstile: Arc<Turnstile>,
    class: ServiceClass,
}

impl Turnstile {
    pub(super) fn new(places: usize) -> Arc<Self> {
        let reserved = if places > 1 { places.div_ceil(PLACES_FOR_ONE_RESERVED) } else { 0 };
        let gate = Gate { free: places, jobs: 0, is_closed: false, waiting: Line::default() };
        Arc::new(Self { max_jobs: places - reserved, gate: Mutex::new(gate) })
    }

    /// A place at once. Whoever waits could not have had it.
    pub(super) fn try_enter(self: &Arc<Self>, class: ServiceClass) -> Result<Permit, NoPlace> {
        self.try_take(&mut lock(&self.gate), class)
    }

    /// A place when its turn comes; none once this is closed. Dropping the future leaves the line.
    pub(super) async fn enter(self: &Arc<Self>, turn: &Turn) -> Option<Permit> {
        let (granted, _place) = {
            let mut gate = lock(&self.gate);
            match self.try_take(&mut gate, turn.class) {
                Ok(permit) => return Some(permit),
                Err(NoPlace::Closed) => return None,
                Err(NoPlace::Taken) => {}
            }
            let (grant, granted) = oneshot::channel();
            let ticket = gate.waiting.push(turn, 0, grant);
            (granted, InLine { turnstile: self, ticket })
        };
        granted.await.ok()
    }

    /// Lets nobody in any more, those who wait neither.
    pub(super) fn close(&self) {
        let mut gate = lock(&self.gate);
        gate.is_closed = true;
        let abandoned = std::mem::take(&mut gate.waiting);
        drop(gate);
        drop(abandoned);
    }

    fn try_take(self: &Arc<Self>, gate: &mut Gate, class: ServiceClass) -> Result<Permit, NoPlace> {
        if gate.is_closed {
            return Err(NoPlace::Closed);
        }
        if !self.take(gate, class) {
            return Err(NoPlace::Taken);
        }
        Ok(Permit { turnstile: Arc::clone(self), class })
    }

    /// Takes a place if there is one.
    fn take(&self, gate: &mut Gate, class: ServiceClass) -> bool {
        let is_job = is_job(class);
        let has_place = gate.free > 0 && !(is_job && gate.jobs >= self.max_jobs);
        gate.free -= usize::from(has_place);
        gate.jobs += usize::from(has_place && is_job);
        has_place
    }

    /// The next one in the line, where there is a place for them; the place is theirs by then.
    fn next_served(&self) -> Option<(oneshot::Sender<Permit>, ServiceClass)> {
        let mut gate = lock(&self.gate);
        let class = gate.waiting.next_class()?;
        if !self.take(&mut gate, class) {
            return None;
        }
        gate.waiting.pop().map(|granted| (granted, class))
    }
}

/// A live source counts as one: what is late there is left out.
fn is_job(class: ServiceClass) -> bool {
    class != ServiceClass::Interactive
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut gate = lock(&self.turnstile.gate);
        gate.free += 1;
        gate.jobs -= usize::from(is_job(self.class));
        drop(gate);
        // Handed over outside the lock. One that nobody takes any more comes back as it is dropped.
        while let Some((granted, class)) = self.turnstile.next_served() {
            let _ = granted.send(Self { turnstile: Arc::clone(&self.turnstile), class });
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
        let left = lock(&self.turnstile.gate).waiting.remove(&self.ticket);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::{ServiceClass::*, *};

    type Entering<'a> = Pin<Box<dyn Future<Output = Option<Permit>> + 'a>>;

    fn waiting<'a>(turnstile: &'a Arc<Turnstile>, turn: &'a Turn) -> Entering<'a> {
        let mut entering: Entering<'a> = Box::pin(turnstile.enter(turn));
        assert!(entering.as_mut().now_or_never().is_none());
        entering
    }

    #[test]
    fn jobs_leave_places_to_people() {
        for (places, for_jobs) in [(1, 1), (2, 1), (4, 3), (8, 6), (64, 48)] {
            let turnstile = Turnstile::new(places);
            let jobs: Vec<_> = std::iter::from_fn(|| turnstile.try_enter(Bulk).ok()).collect();
            assert_eq!(jobs.len(), for_jobs, "of {places}");
            let people: Vec<_> = std::iter::from_fn(|| turnstile.try_enter(Interactive).ok()).collect();
            assert_eq!(people.len(), places - for_jobs);
            drop(jobs);
            let jobs: Vec<_> = std::iter::from_fn(|| turnstile.try_enter(Stream).ok()).collect();
            assert_eq!(jobs.len(), for_jobs, "people take the places that no job may have first");
        }
    }

    #[test]
    fn another_key_waits_for_one_of_a_flood_and_a_person_for_none() {
        let turnstile = Turnstile::new(2);
        let (flood, other, person) = (Turn::new(Bulk, "flood"), Turn::new(Bulk, "other"), Turn::new(Interactive, "x"));
        let job = turnstile.try_enter(Bulk).ok().unwrap();
        let mut floods: Vec<_> = (0..30).map(|_| waiting(&turnstile, &flood)).collect();
        let mut other = waiting(&turnstile, &other);
        let first = turnstile.enter(&person).now_or_never().unwrap().unwrap();
        let mut next = waiting(&turnstile, &person);
        drop(job);
        let second = next.as_mut().now_or_never().unwrap().unwrap();
        drop(first);
        // The place that is free now may be a job's, as the other has a person in it.
        let job = floods.remove(0).now_or_never().unwrap().unwrap();
        drop(second);
        assert!(other.as_mut().now_or_never().is_none(), "the last place is for people");
        drop(job);
        let job = other.now_or_never().unwrap().unwrap();
        assert!(floods.iter_mut().all(|entering| entering.now_or_never().is_none()), "one for one");
        drop(job);
        drop(floods.remove(0).now_or_never().unwrap().unwrap());
    }

    #[test]
    fn whoever_leaves_the_line_keeps_no_place() {
        let turnstile = Turnstile::new(1);
        let turn = Turn::new(Bulk, "k");
        let inside = turnstile.try_enter(Bulk).ok().unwrap();
        let abandoned = waiting(&turnstile, &turn);
        let granted = waiting(&turnstile, &turn);
        drop(abandoned);
        drop(inside);
        assert!(turnstile.try_enter(Bulk).is_err(), "it was granted");
        // Granted, and never looked at.
        drop(granted);
        let again = turnstile.try_enter(Bulk).ok().unwrap();
        let shut_out = waiting(&turnstile, &turn);
        turnstile.close();
        assert!(shut_out.now_or_never().unwrap().is_none());
        drop(again);
        assert_eq!(turnstile.try_enter(Interactive).err(), Some(NoPlace::Closed));
    }
}
