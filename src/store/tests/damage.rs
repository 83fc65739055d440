//! Stores that cannot be opened or read: an error that says what to do, never a panic, never an empty store.
