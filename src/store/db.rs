//! The embedded database under the store. The only module that names sled.
//!
//! sled runs with one tree and one writer ([`super::committer`]), so an operation may read, scan and then write
//! one atomic batch without conflicts. Readers hold a [`View`], which a batch waits for and which waits for a batch:
//! no reader sees half of an operation.

use std::{
    collections::BTreeSet,
    fs::File,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    codec::{self, Record},
    keys::Key,
    marker::Marker,
    transaction::Writes,
};
use crate::error::{Error, ErrorKind, Result};

/// sled's data file inside the store's folder.
pub(super) const DATA_FILE: &str = "db";
/// The tree and the key of the number of the last flush, see [`super::marker`].
const FLUSHES: &[u8] = b"flushes";
/// What a watch remembers before it gives up, some 50 MB.
const MAX_WATCHED_KEYS: usize = 500_000;

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
    /// The keys changed since a [`Watch`] began, where there is one.
    changed: Mutex<Option<BTreeSet<Key>>>,
    batches_applied: AtomicU64,
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
            changed: Mutex::new(None),
            batches_applied: AtomicU64::new(0),
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
        let mut keys = Vec::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value),
                None => batch.remove(key.as_slice()),
            }
            keys.push(key);
        }
        let _exclusive = self.batches.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = self.changed().as_mut().filter(|changed| changed.len() <= MAX_WATCHED_KEYS) {
            changed.extend(keys);
        }
        self.batches_applied.fetch_add(1, Ordering::Relaxed);
        self.or_fail(|| self.tree.apply_batch(batch).map_err(into_error))
    }

    /// How many batches were applied since the database was opened.
    pub(super) fn batches_applied(&self) -> u64 {
        self.batches_applied.load(Ordering::Relaxed)
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

    /// The last key of `range`.
    pub(super) fn last_key_of(&self, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Option<Key>> {
        let last = self.tree.range::<&[u8], _>(range).keys().next_back().transpose().map_err(into_error)?;
        Ok(last.map(|key| key.to_vec()))
    }

    /// Bytes that the database's files take.
    pub(super) fn size_on_disk(&self) -> Result<u64> {
        self.tree.size_on_disk().map_err(into_error)
    }

    /// Notes the keys of every batch from here on; `None` while somebody else does.
    pub(super) fn watch(self: &Arc<Self>) -> Option<Watch> {
        let mut changed = self.changed();
        if changed.is_some() {
            return None;
        }
        *changed = Some(BTreeSet::new());
        Some(Watch(Arc::clone(self)))
    }

    fn changed(&self) -> MutexGuard<'_, Option<BTreeSet<Key>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Keys and bytes whose key starts with `prefix` and lies after `after`, in the order of their keys.
    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>>;

    /// The last key that starts with `prefix` and is not after `upto`, which starts with it too.
    fn last_key(&self, prefix: &[u8], upto: &[u8]) -> Result<Option<Key>>;

    /// The record under `key`.
    fn get<R: Record>(&self, key: &[u8]) -> Result<Option<R>> {
        self.bytes(key)?.map(|bytes| codec::decode(&bytes)).transpose()
    }

    /// Whether there is a record under `key`.
    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.bytes(key)?.is_some())
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

/// The database as it is, between batches or beside them.
impl Read for Db {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.tree.get(key).map(|value| value.map(|value| value.to_vec())).map_err(into_error)
    }

    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>> {
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let prefix = prefix.to_vec();
        self.tree
            .range::<&[u8], _>((start, Bound::Unbounded))
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(into_error))
            .take_while(move |entry| entry.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)))
    }

    fn last_key(&self, prefix: &[u8], upto: &[u8]) -> Result<Option<Key>> {
        self.last_key_of((Bound::Included(prefix), Bound::Included(upto)))
    }
}

impl Read for View<'_> {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.bytes(key)
    }

    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>> {
        self.db.scan_bytes(prefix, after)
    }

    fn last_key(&self, prefix: &[u8], upto: &[u8]) -> Result<Option<Key>> {
        self.db.last_key(prefix, upto)
    }
}

impl View<'_> {
    /// Shows the keys of `range` and their bytes in place, at most `limit`; the last key shown.
    pub(super) fn visit(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
        mut visitor: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<Option<Key>> {
        let mut last = None;
        for entry in self.db.tree.range::<&[u8], _>(range).take(limit) {
            let (key, value) = entry.map_err(into_error)?;
            visitor(&key, &value)?;
            last = Some(key);
        }
        Ok(last.map(|key| key.to_vec()))
    }

    /// The first and the last key of `range`.
    pub(super) fn ends(&self, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Option<(Key, Key)>> {
        let mut keys = self.db.tree.range::<&[u8], _>(range).keys();
        let Some(first) = keys.next().transpose().map_err(into_error)? else { return Ok(None) };
        let last = keys.next_back().transpose().map_err(into_error)?;
        Ok(Some((first.to_vec(), last.unwrap_or(first).to_vec())))
    }
}

/// See [`Db::watch`]; ends when dropped.
pub(super) struct Watch(Arc<Db>);

impl Watch {
    /// The database.
    pub(super) fn db(&self) -> &Db {
        &self.0
    }

    /// The keys changed since the watch began or this was last asked. Under a [`View`] they are all that ever will be
    /// until the view goes.
    ///
    /// Errors: `Overloaded` `copy_outrun` where they were more than the watch remembers.
    pub(super) fn take_changed(&self) -> Result<BTreeSet<Key>> {
        let mut changed = self.0.changed();
        if changed.as_ref().is_some_and(|keys| keys.len() > MAX_WATCHED_KEYS) {
            return Err(outrun());
        }
        Ok(changed.replace(BTreeSet::new()).unwrap_or_default())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.0.changed() = None;
    }
}

/// The error for a copy that writes outran.
pub(super) fn outrun() -> Error {
    Error::new(ErrorKind::Overloaded, "too much was written during the copy: try again when less is going on")
        .with_code("copy_outrun")
}

/// The error for a store that cannot be read, with what to do.
pub(super) fn damaged(why: &'static str) -> Error {
    Error::storage(
        "the store is damaged: restore a backup into a new data folder; `rollcall check` says what can still be read",
    )
    .with_code("store_damaged")
    .with_source(why)
}

/// The error for a store that somebody else has open.
pub(super) fn locked() -> Error {
    Error::storage("the data folder is in use by another process: stop that one first, or give another folder")
        .with_code("store_locked")
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
        sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock") => locked(),
        sled::Error::Io(cause) if cause.kind() != std::io::ErrorKind::UnexpectedEof => io_error(cause),
        _ => damaged("the embedded database reports corruption"),
    }
}
