//! Taking a standard mutex whose holders never leave it half changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, ignoring poison: nothing in `runtime` runs foreign code while it holds a lock, so a panic
/// elsewhere on the holder's stack cannot have left the data between two states.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
