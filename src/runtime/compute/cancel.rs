//! Tells work that is still to come that nobody waits for it any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Travels with a message and its tasks; asked just before work starts. Clones share it; the default is never
/// cancelled until told to.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    cancelled: Arc<AtomicBool>,
}

impl CancelToken {
    /// Nobody waits any more; there is no way back.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether nobody waits any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// A guard that cancels when it is dropped: the caller holds it while it waits for its answer.
    pub fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop { token: self.clone() }
    }
}

/// See [`CancelToken::cancel_on_drop`].
#[derive(Debug)]
#[must_use = "dropping the guard cancels the work"]
pub struct CancelOnDrop {
    token: CancelToken,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.token.cancel();
    }
}
