//! Locks for what must not be done twice at once.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// A lock that is held until it is dropped.
pub(super) type Held = OwnedMutexGuard<()>;

/// A lock for everything that can be told apart; two things share one now and then, which costs one of them a short
/// wait. Clones share them.
#[derive(Clone)]
pub(super) struct Locks {
    locks: Arc<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

impl Locks {
    pub(super) fn new(num_locks: usize) -> Self {
        Self { locks: (0..num_locks).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }

    /// Waits until nobody else holds this.
    pub(super) async fn of(&self, what: impl Hash) -> Held {
        Arc::clone(&self.locks[self.place(what)]).lock_owned().await
    }

    /// The same with several. Whoever wants more than one takes all by this, in one call.
    pub(super) async fn of_all(&self, all: impl IntoIterator<Item = impl Hash>) -> Vec<Held> {
        // In one order for everybody, and none twice, or two who wait for each other would wait for ever.
        let places: BTreeSet<usize> = all.into_iter().map(|what| self.place(what)).collect();
        let mut held = Vec::with_capacity(places.len());
        for place in places {
            held.push(Arc::clone(&self.locks[place]).lock_owned().await);
        }
        held
    }

    fn place(&self, what: impl Hash) -> usize {
        (self.hasher.hash_one(what) % self.locks.len() as u64) as usize
    }
}
