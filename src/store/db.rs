//! The embedded database under the store. The only module that names sled.
//!
//! sled runs with one tree and one writer ([`super::committer`]), so an operation may read, scan and then write
//! one atomic batch without conflicts. Readers hold a [`View`], which a batch waits for and which waits for a batch:
//! no reader sees half of an operation.

use std::{
    collections::BTreeMap,
    fs::File,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    codec::{self, Record},
    keys::Key,
    marker::Marker,
};
use crate::error::{Error, Result};

/// sled's data file inside the store's folder.
const DATA_FILE: &str = "db";
/// The tree and the key of the number of the last flush, see [`super::marker`].
const FLUSHES: &[u8] = b"flushes";

/// The open database.
pub(super) struct Db {
    tree: sled::Db,
    /// A second handle on sled's data file, see [`Self::flush`].
    data_file: File,
    flushes: sled::Tree,
    marker: Marker,
    last_flush: AtomicU64,
    /// Held shared by readers of more than one key, and exclusively while a batch is applied.
    batches: RwLock<()>,
    /// Set for good by the first write that fails, see [`Self::refuse_if_failed`].
    failed: AtomicBool,
}

impl Db {
    /// Opens or makes the database in the folder `path`, which exists.
    ///
    /// Errors: `store_locked` where another process has it, `store_damaged` where it cannot be read or has lost writes.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        // No timed flushes: every write is flushed by the committer before it is acknowledged.
        let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
        // sled asserts what it reads while it recovers, so a damaged file can panic.
        let open = || {
            let tree = config.open()?;
            let flushes = tree.open_tree(FLUSHES)?;
            let number = flushes.get(FLUSHES)?;
            Ok((tree, flushes, number))
        };
        let (tree, flushes, number) = catch_unwind(AssertUnwindSafe(open))
            .map_err(|_| damaged("the embedded database gave up while it was recovering"))?
            .map_err(into_error)?;
        let number = number.and_then(|bytes| bytes.as_ref().try_into().ok()).map(u64::from_be_bytes);
        // Only now, when the lock is ours.
        let (marker, promised) = Marker::open(path)?;
        if number < promised {
            return Err(damaged("the embedded database has lost writes that it had acknowledged"));
        }
        let db = Self {
            data_file: File::open(path.join(DATA_FILE)).map_err(io_error)?,
            tree,
            flushes,
            marker,
            last_flush: AtomicU64::new(number.unwrap_or(0)),
            batches: RwLock::new(()),
            failed: AtomicBool::new(false),
        };
        db.flush()?;
        db.marker.sync(path)?;
        Ok(db)
    }

    /// A view in which every operation is there as a whole or not at all. Keep it short: writes wait for it.
    pub(super) fn view(&self) -> View<'_> {
        View { db: self, _guard: self.batches.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Applies all of `writes` or none. They are durable after the next [`Self::flush`].
    pub(super) fn apply(&self, writes: Writes) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes.0 {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        let _exclusive = self.batches.write().unwrap_or_else(PoisonError::into_inner);
        self.or_fail(|| self.tree.apply_batch(batch).map_err(into_error))
    }

    /// Returns when every batch applied so far would survive a loss of power. Called by one thread at a time.
    pub(super) fn flush(&self) -> Result<()> {
        self.or_fail(|| {
            let number = self.last_flush.fetch_add(1, Ordering::Relaxed) + 1;
            self.flushes.insert(FLUSHES, &number.to_be_bytes()).map_err(into_error)?;
            self.tree.flush().map_err(into_error)?;
            // sled 0.34 ends a flush on Linux with sync_file_range(2), which neither writes the file's length nor
            // empties the disk's own cache; fdatasync(2) does both.
            self.data_file.sync_data().map_err(io_error)?;
            self.marker.write(number)
        })
    }

    /// An error once a write has failed. What reached the disk is unknown from then on, and a later fsync may
    /// succeed without the lost pages, so nothing more is acknowledged until the store has been opened afresh.
    pub(super) fn refuse_if_failed(&self) -> Result<()> {
        if self.has_failed() {
            return Err(Error::storage(
                "the store stopped taking writes after one failed: look at the disk's space and health, then restart",
            )
            .with_code("store_failed"));
        }
        Ok(())
    }

    /// Whether a write has failed since the store was opened.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Stops all further writes.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Bytes that the database's files take.
    pub(super) fn size_on_disk(&self) -> Result<u64> {
        self.tree.size_on_disk().map_err(into_error)
    }

    fn or_fail(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let outcome = catch_unwind(AssertUnwindSafe(write))
            .unwrap_or_else(|_| Err(damaged("the embedded database gave up during a write")));
        if outcome.is_err() {
            self.fail();
        }
        outcome
    }
}

/// Reading, whether inside an operation or beside it.
pub(super) trait Read {
    /// The bytes under `key`.
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The database, for scans.
    fn db(&self) -> &Db;

    /// The record under `key`.
    fn get<R: Record>(&self, key: &[u8]) -> Result<Option<R>> {
        self.bytes(key)?.map(|bytes| codec::decode(&bytes)).transpose()
    }

    /// Whether there is a record under `key`.
    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.bytes(key)?.is_some())
    }

    /// Keys and bytes whose key starts with `prefix` and lies after `after`, in the order of their keys. Inside an
    /// operation a scan does not see what the operation itself has written.
    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>> {
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let prefix = prefix.to_vec();
        self.db()
            .tree
            .range::<&[u8], _>((start, Bound::Unbounded))
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(into_error))
            .take_while(move |entry| entry.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)))
    }

    /// The records of [`Self::scan_bytes`].
    fn scan<R: Record>(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<R>> {
        self.scan_bytes(prefix, after).map(|entry| codec::decode(&entry?.1))
    }

    /// The keys of [`Self::scan_bytes`].
    fn scan_keys(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Key>> {
        self.scan_bytes(prefix, None).map(|entry| Ok(entry?.0))
    }
}

/// See [`Db::view`].
pub(super) struct View<'a> {
    db: &'a Db,
    _guard: RwLockReadGuard<'a, ()>,
}

impl Read for View<'_> {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.tree.get(key).map(|value| value.map(|value| value.to_vec())).map_err(into_error)
    }

    fn db(&self) -> &Db {
        self.db
    }
}

/// What an operation wants written: by key, the new bytes or nothing.
#[derive(Default)]
pub(super) struct Writes(BTreeMap<Key, Option<Vec<u8>>>);

/// One operation's reads and writes. Only the committer makes one, so nothing else writes meanwhile.
pub(super) struct Transaction<'a> {
    db: &'a Db,
    writes: Writes,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(db: &'a Db) -> Self {
        Self { db, writes: Writes::default() }
    }

    /// Sets the record under `key`.
    pub(super) fn put<R: Record>(&mut self, key: Key, record: &R) -> Result<()> {
        self.writes.0.insert(key, Some(codec::encode(record)?));
        Ok(())
    }

    /// Sets bytes that may be no record, to see what becomes of them.
    #[cfg(test)]
    pub(super) fn put_bytes(&mut self, key: Key, bytes: Vec<u8>) {
        self.writes.0.insert(key, Some(bytes));
    }

    /// Removes the record under `key`, if there is one.
    pub(super) fn remove(&mut self, key: Key) {
        self.writes.0.insert(key, None);
    }

    /// What is to be applied; nothing where the operation only read.
    pub(super) fn into_writes(self) -> Option<Writes> {
        (!self.writes.0.is_empty()).then_some(self.writes)
    }
}

impl Read for Transaction<'_> {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.writes.0.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.db.tree.get(key).map(|value| value.map(|value| value.to_vec())).map_err(into_error),
        }
    }

    fn db(&self) -> &Db {
        self.db
    }
}

/// The error for a store that cannot be read, with what to do.
pub(super) fn damaged(why: &'static str) -> Error {
    Error::storage("the store is damaged: stop the server and restore its data folder from a backup")
        .with_code("store_damaged")
        .with_source(why)
}

/// The error for a file that cannot be read or written.
pub(super) fn io_error(error: std::io::Error) -> Error {
    let message = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "the disk of the data folder is full: free some space, then restart"
        }
        std::io::ErrorKind::PermissionDenied => "the data folder may not be read or written by this user",
        _ => "the data folder cannot be read or written",
    };
    Error::storage(message).with_code("store_io").with_source(error)
}

fn into_error(error: sled::Error) -> Error {
    match error {
        // sled 0.34 has no kind for a lock that is taken, only this sentence.
        sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock") => {
            Error::storage("the data folder is in use by another process: stop that one first, or give another folder")
                .with_code("store_locked")
        }
        sled::Error::Io(cause) if cause.kind() != std::io::ErrorKind::UnexpectedEof => io_error(cause),
        _ => damaged("the embedded database reports corruption"),
    }
}
