//! What is wrong with a store as a whole, in words that say what to do.

use std::error::Error as StdError;

use crate::error::{Error, ErrorKind};

/// The error for a copy that writes outran.
pub(super) fn outrun() -> Error {
    Error::new(ErrorKind::Overloaded, "too much was written during the copy: try again when less is going on")
        .with_code("copy_outrun")
}

/// The code of [`damaged`].
pub(super) const DAMAGED: &str = "store_damaged";

/// The error for a store that cannot be read, with what to do.
pub(super) fn damaged(why: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::storage(
        "the store is damaged: restore a backup into a new data folder; `rollcall check` says what can still be read",
    )
    .with_code(DAMAGED)
    .with_source(why)
}

/// The code of [`locked`].
pub(super) const LOCKED: &str = "store_locked";

/// The error for a store that somebody else has open.
pub(super) fn locked() -> Error {
    Error::storage("the data folder is in use by another process: stop that one first, or give another folder")
        .with_code(LOCKED)
}

/// The error for a file that cannot be read or written.
pub(super) fn io_error(error: std::io::Error) -> Error {
    let message = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "the disk of the data folder is full: free some space, then restart"
        }
        std::io::ErrorKind::ReadOnlyFilesystem => {
            "the data folder cannot be written: `check`, `backup` and `audit verify` work on a copy of it with --scratch DIR"
        }
        std::io::ErrorKind::PermissionDenied => "the data folder may not be read or written by this user",
        _ => "the data folder cannot be read or written",
    };
    Error::storage(message).with_code("store_io").with_source(error)
}
