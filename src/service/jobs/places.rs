//! The places at which jobs are worked on, given in the order of coming. Who has one keeps it while nobody waits, and
//! else for a turn.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

use crate::error::{Error, Result};

/// See the module.
pub(super) struct Places {
    free: Arc<Semaphore>,
    turn: Duration,
    num_waiting: watch::Sender<usize>,
}

/// A place, free again when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many.
    pub(super) fn new(number: usize, turn: Duration) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(number)), turn, num_waiting: watch::Sender::new(0) })
    }

    /// A place, once there is one.
    pub(super) async fn enter(self: &Arc<Self>) -> Result<Place> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        Ok(Place { places: Arc::clone(self), since: Instant::now(), _permit: permit })
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit> {
        let _waits = Waits::begin(self);
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.map_err(|closed| Error::internal("no job is taken up any more").with_source(closed))
    }
}

impl Place {
    /// Whether it is somebody else's turn.
    pub(super) fn is_over(&self) -> bool {
        *self.places.num_waiting.borrow() > 0 && self.since.elapsed() >= self.places.turn
    }

    /// Resolves when somebody waits for a place.
    pub(super) async fn is_wanted(&self) {
        let mut num_waiting = self.places.num_waiting.subscribe();
        // Cannot fail: the sender lives in the places.
        let _ = num_waiting.wait_for(|&number| number > 0).await;
    }
}

/// Counts who waits, also where they give up.
struct Waits<'a>(&'a Places);

impl<'a> Waits<'a> {
    fn begin(places: &'a Places) -> Self {
        places.num_waiting.send_modify(|number| *number += 1);
        Self(places)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.num_waiting.send_modify(|number| *number -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_turn_is_over_only_while_somebody_waits() {
        let places = Places::new(1, Duration::ZERO);
        let first = places.enter().await.unwrap();
        assert!(!first.is_over() && first.is_wanted().now_or_never().is_none());
        let mut second = Box::pin(places.enter());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.is_over() && first.is_wanted().now_or_never().is_some());
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.is_over());
        drop(Box::pin(places.enter()));
        assert!(!second.is_over(), "who gave up does not wait");

        let long = Places::new(1, Duration::from_secs(3600));
        let first = long.enter().await.unwrap();
        let mut second = Box::pin(long.enter());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(!first.is_over() && first.is_wanted().now_or_never().is_some());
    }
}
