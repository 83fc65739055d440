//! The orderly end: tell all, admit nothing new, let what is inside finish within a deadline.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// Asks for the end, once. Clones ask for the same end.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { requested: watch::Sender::new(false) }
    }
}

impl Shutdown {
    /// Tells everybody who holds a signal, now or later.
    pub fn trigger(&self) {
        self.requested.send_replace(true);
    }

    /// A signal for somebody who has to know.
    pub fn signal(&self) -> ShutdownSignal {
        ShutdownSignal { requested: self.requested.subscribe() }
    }
}

/// Hears of the end.
#[derive(Debug, Clone)]
pub struct ShutdownSignal {
    requested: watch::Receiver<bool>,
}

impl ShutdownSignal {
    /// Whether the end was asked for.
    pub fn requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Returns when the end was asked for, or when nobody is left who could ask.
    pub async fn wait(&self) {
        // An error means that every `Shutdown` is gone: whoever owned the service is no longer there.
        let _ = self.requested.clone().wait_for(|requested| *requested).await;
    }
}

/// Counts what was admitted and has not ended. Clones count together.
#[derive(Debug, Clone)]
pub struct InFlight {
    door: watch::Sender<Door>,
}

#[derive(Debug, Clone, Copy)]
struct Door {
    open: bool,
    inside: usize,
}

/// This many were still inside at the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} still in flight at the deadline")]
pub struct StillInFlight(pub usize);

impl Default for InFlight {
    fn default() -> Self {
        Self { door: watch::Sender::new(Door { open: true, inside: 0 }) }
    }
}

impl InFlight {
    /// Admits one, until the guard is dropped; nobody once [`drained`](Self::drained) was called.
    pub fn enter(&self) -> Option<InFlightGuard> {
        let admitted = self.door.send_if_modified(|door| {
            door.inside += usize::from(door.open);
            door.open
        });
        admitted.then(|| InFlightGuard { door: self.door.clone() })
    }

    /// How many are inside.
    pub fn count(&self) -> usize {
        self.door.borrow().inside
    }

    /// Closes the door and waits until nobody is inside, for at most `patience`.
    pub async fn drained(&self, patience: Duration) -> Result<(), StillInFlight> {
        self.door.send_modify(|door| door.open = false);
        let mut door = self.door.subscribe();
        match timeout(patience, door.wait_for(|door| door.inside == 0)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(StillInFlight(self.count())),
        }
    }
}

/// One that is inside; see [`InFlight::enter`].
#[derive(Debug)]
#[must_use = "dropping the guard means that the work has ended"]
pub struct InFlightGuard {
    door: watch::Sender<Door>,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.door.send_modify(|door| door.inside -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[actix::test]
    async fn a_signal_hears_of_the_end_before_and_after() {
        let shutdown = Shutdown::default();
        let early = shutdown.signal();
        assert!(!early.requested());
        assert!(early.wait().now_or_never().is_none());
        shutdown.clone().trigger();
        shutdown.trigger();
        early.wait().await;
        let late = shutdown.signal();
        assert!(early.requested() && late.requested());
        late.wait().await;
    }

    #[actix::test]
    async fn draining_waits_for_those_inside_and_admits_nobody() {
        let in_flight = InFlight::default();
        let first = in_flight.enter().unwrap();
        let second = in_flight.clone().enter().unwrap();
        let mut drained = pin!(in_flight.drained(LONG));
        assert!(drained.as_mut().now_or_never().is_none());
        assert!(in_flight.enter().is_none());
        drop(first);
        assert!(drained.as_mut().now_or_never().is_none());
        drop(second);
        assert_eq!(drained.await, Ok(()));
    }

    #[actix::test]
    async fn the_deadline_says_how_many_are_left() {
        let in_flight = InFlight::default();
        let _stuck = (in_flight.enter().unwrap(), in_flight.enter().unwrap());
        assert_eq!(in_flight.drained(Duration::from_millis(5)).await, Err(StillInFlight(2)));
    }
}
