//! One database of sled's, in a folder of its own.
//!
//! sled runs with one tree and one writer at a time (see [`super::Sled`]), so an operation may read, scan and then write
//! one atomic batch without conflicts. Readers hold a view, which a batch waits for and which waits for a batch: no
//! reader sees half of an operation.
//!
//! What is stored under a key is its record, or the record in [`pieces`]; only here is that seen.

mod opening;
mod stored;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::File,
    ops::{Bound, Deref},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{ArcRwLockReadGuard, RawRwLock, RwLock};

use super::{
    files,
    marker::Marker,
    pieces::{self, HIDDEN, Head, PIECE_BYTES, SUM_KEY},
};
use crate::{
    error::{Error, Result},
    runtime::{contain, disk},
    store::{
        codec,
        engine::{
            Entries, Range, Readable, Snapshot, View, Visitor,
            sum::{Sum, weight},
        },
        failures::{damaged, io_error, locked, outrun},
        keys::Key,
        transaction::Writes,
    },
};

/// The tree and the key of the number of the last flush, see [`super::marker`].
pub(in crate::store) const FLUSHES: &[u8] = b"flushes";
/// How long the last threads of a closed database may go on.
pub(in crate::store) const LAST_THREADS: Duration = Duration::from_secs(10);
/// Between two looks at whether they have ended.
pub(in crate::store) const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What a watch remembers before it gives up, some 50 MB.
const MAX_WATCHED_KEYS: usize = 500_000;

/// The open database.
pub(in crate::store) struct Db {
    tree: sled::Db,
    /// A second handle on sled's data file, see [`Self::flush`].
    data_file: File,
    flushes: sled::Tree,
    marker: Marker,
    folder: PathBuf,
    /// Whether something lay outside its log already when it was opened, see [`super::migrations`].
    is_old: bool,
    last_flush: AtomicU64,
    /// Of all records, as of the last batch.
    sum: Mutex<Sum>,
    /// Held shared by readers of more than one key, and exclusively while a batch is applied.
    batches: Arc<RwLock<()>>,
    /// The keys changed since a [`Watch`] began, where there is one.
    changed: Mutex<Option<BTreeSet<Key>>>,
    batches_applied: AtomicU64,
    /// Set for good by the first write that fails, see [`Self::refuse_if_failed`].
    failed: AtomicBool,
}

impl Db {
    /// Applies all of `writes` or none. They are durable after the next [`Self::flush`]. Called by one thread at a time.
    pub(in crate::store) fn apply(&self, writes: Writes) -> Result<()> {
        self.or_fail(|| {
            let mut sum = *self.sum.lock().unwrap_or_else(PoisonError::into_inner);
            let mut batch = sled::Batch::default();
            let mut keys = Vec::new();
            for (key, value) in writes {
                self.take_out(&key, &mut batch, &mut sum)?;
                if let Some(value) = value {
                    put_in(&key, value, &mut batch, &mut sum);
                }
                keys.push(key);
            }
            batch.insert(SUM_KEY, &sum.to_bytes());
            let _exclusive = self.batches.write();
            if let Some(changed) = self.changed().as_mut().filter(|changed| changed.len() <= MAX_WATCHED_KEYS) {
                changed.extend(keys);
            }
            self.batches_applied.fetch_add(1, Ordering::Relaxed);
            self.tree.apply_batch(batch).map_err(into_error)?;
            *self.sum.lock().unwrap_or_else(PoisonError::into_inner) = sum;
            Ok(())
        })
    }

    /// Counts batches from `number` on: those of the database whose place it takes are counted already.
    pub(super) fn count_from(&self, number: u64) {
        self.batches_applied.store(number, Ordering::Relaxed);
    }

    /// Removes the record under `key`, with its pieces.
    fn take_out(&self, key: &[u8], batch: &mut sled::Batch, sum: &mut Sum) -> Result<()> {
        let Some(stored) = self.tree.get(key).map_err(into_error)? else { return Ok(()) };
        let head = Head::of(&stored);
        sum.take(head.map_or_else(|| weight(key, &stored), |head| head.weight));
        batch.remove(key);
        for number in 0..head.map_or(0, Head::pieces) {
            batch.remove(pieces::piece_key(key, number));
        }
        Ok(())
    }

    /// Returns when every batch applied so far would survive a loss of power. Called by one thread at a time.
    pub(in crate::store) fn flush(&self) -> Result<()> {
        self.or_fail(|| {
            let number = self.last_flush.fetch_add(1, Ordering::Relaxed) + 1;
            self.flushes.insert(FLUSHES, &number.to_be_bytes()).map_err(into_error)?;
            self.tree.flush().map_err(into_error)?;
            // sled 0.34 ends a flush on Linux with sync_file_range(2), which neither writes the file's length nor
            // empties the disk's own cache; fdatasync(2) does both.
            self.data_file.sync_data().map_err(io_error)?;
            debug_assert!(self.is_old || !files::has_blobs(&self.folder)?, "nothing outside the log");
            self.marker.write(number)
        })
    }

    /// An error once a write has failed. What reached the disk is unknown from then on, and a later fsync may
    /// succeed without the lost pages, so nothing more is acknowledged until the store has been opened afresh.
    pub(in crate::store) fn refuse_if_failed(&self) -> Result<()> {
        if self.has_failed() {
            return Err(Error::storage(
                "the store stopped taking writes after one failed: look at the disk's space and health, then restart",
            )
            .with_code("store_failed"));
        }
        Ok(())
    }

    /// An error while the disk has no room for what the database needs besides: `Full` `disk_full`.
    pub(in crate::store) fn refuse_if_full(&self) -> Result<()> {
        disk::require_room(&self.folder, disk::STORE_LEAVES)
    }

    /// Whether a write has failed since the store was opened.
    pub(in crate::store) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Stops all further writes.
    pub(in crate::store) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Bytes that the database's files take.
    pub(in crate::store) fn size_on_disk(&self) -> Result<u64> {
        self.tree.size_on_disk().map_err(into_error)
    }

    /// Notes the keys of every batch from here on; `None` while somebody else does.
    pub(in crate::store) fn watch(self: &Arc<Self>) -> Option<Watch> {
        let mut changed = self.changed();
        if changed.is_some() {
            return None;
        }
        *changed = Some(BTreeSet::new());
        Some(Watch(Arc::clone(self)))
    }

    /// Keys under which no record lies.
    #[cfg(test)]
    pub(in crate::store) fn num_hidden(&self) -> usize {
        self.tree.range(HIDDEN..).count()
    }

    /// Loses a record, as a disk may.
    #[cfg(test)]
    pub(in crate::store) fn forget_silently(&self, key: &[u8]) {
        assert!(self.tree.remove(key).is_ok_and(|was| was.is_some()));
    }

    /// The value that is stored as `stored` under `key`: put together, where it is in pieces. One of which a piece is
    /// missing is shorter than its record, and so damaged.
    fn whole<'a>(&self, key: &[u8], stored: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        let Some(head) = Head::of(stored) else { return Ok(Cow::Borrowed(stored)) };
        let mut value = Vec::with_capacity(head.bytes.min(codec::MAX_RECORD_BYTES));
        for number in 0..head.pieces() {
            let Some(piece) = self.tree.get(pieces::piece_key(key, number)).map_err(into_error)? else { break };
            value.extend_from_slice(&piece);
        }
        Ok(Cow::Owned(value))
    }

    fn changed(&self) -> MutexGuard<'_, Option<BTreeSet<Key>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn or_fail(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let outcome = contain(write).unwrap_or_else(|site| {
            tracing::error!(%site, "the embedded database gave up during a write");
            Err(damaged("the embedded database gave up during a write"))
        });
        if outcome.is_err() {
            self.fail();
        }
        outcome
    }
}

/// The database as it is, between batches or beside them.
impl Snapshot for Db {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let stored = self.tree.get(key).map_err(into_error)?;
        stored.map(|stored| self.whole(key, &stored).map(Cow::into_owned)).transpose()
    }

    fn scan<'a>(&'a self, range: Range<'_>) -> Entries<'a> {
        Box::new(self.tree.range::<&[u8], _>(of_records(range)).map(|entry| {
            let (key, stored) = entry.map_err(into_error)?;
            Ok((key.to_vec(), self.whole(&key, &stored)?.into_owned()))
        }))
    }

    fn last(&self, range: Range<'_>) -> Result<Option<Key>> {
        let last = self.tree.range::<&[u8], _>(of_records(range)).keys().next_back().transpose().map_err(into_error)?;
        Ok(last.map(|key| key.to_vec()))
    }

    fn visit(&self, range: Range<'_>, limit: usize, visitor: Visitor<'_>) -> Result<Option<Key>> {
        let mut last = None;
        for entry in self.tree.range::<&[u8], _>(of_records(range)).take(limit) {
            let (key, stored) = entry.map_err(into_error)?;
            visitor(&key, &self.whole(&key, &stored)?)?;
            last = Some(key);
        }
        Ok(last.map(|key| key.to_vec()))
    }
}

/// The database while no batch is applied: every operation is there as a whole or not at all.
pub(super) struct Between<D> {
    db: D,
    _batches: ArcRwLockReadGuard<RawRwLock, ()>,
}

impl<D: Deref<Target = Db>> Between<D> {
    pub(super) fn batches_of(db: D) -> Self {
        let batches = db.batches.read_arc();
        Self { db, _batches: batches }
    }
}

impl<D: Deref<Target = Db>> Snapshot for Between<D> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get(key)
    }

    fn scan<'a>(&'a self, range: Range<'_>) -> Entries<'a> {
        self.db.scan(range)
    }

    fn last(&self, range: Range<'_>) -> Result<Option<Key>> {
        self.db.last(range)
    }

    fn visit(&self, range: Range<'_>, limit: usize, visitor: Visitor<'_>) -> Result<Option<Key>> {
        self.db.visit(range, limit, visitor)
    }
}

impl Readable for Db {
    fn view(&self) -> Result<View<'_>> {
        Ok(View::new(Between::batches_of(self)))
    }

    fn commits(&self) -> u64 {
        self.batches_applied.load(Ordering::Relaxed)
    }

    fn sum(&self) -> Option<Sum> {
        Some(*self.sum.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fault(&self) -> Result<Option<&'static str>> {
        Ok(files::has_blobs(&self.folder)?.then_some("outside_the_log"))
    }
}

/// The part of `range` in which records lie.
fn of_records((start, end): Range<'_>) -> Range<'_> {
    (start, if end == Bound::Unbounded { Bound::Excluded(HIDDEN) } else { end })
}

/// Sets the record under `key`, in pieces where it is long.
fn put_in(key: &[u8], value: Vec<u8>, batch: &mut sled::Batch, sum: &mut Sum) {
    let weight = weight(key, &value);
    sum.add(weight);
    if value.len() <= PIECE_BYTES {
        return batch.insert(key, value);
    }
    batch.insert(key, &Head { bytes: value.len(), weight }.to_bytes());
    for (number, piece) in value.chunks(PIECE_BYTES).enumerate() {
        batch.insert(pieces::piece_key(key, number), piece);
    }
}

/// See [`Db::watch`]; ends when dropped.
pub(in crate::store) struct Watch(Arc<Db>);

impl Watch {
    /// The database.
    pub(in crate::store) fn db(&self) -> &Db {
        &self.0
    }

    /// The keys changed since the watch began or this was last asked. Under a [`View`] they are all that ever will be
    /// until the view goes.
    ///
    /// Errors: `Overloaded` `copy_outrun` where they were more than the watch remembers.
    pub(in crate::store) fn take_changed(&self) -> Result<BTreeSet<Key>> {
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

fn into_error(error: sled::Error) -> Error {
    match error {
        // sled 0.34 has no kind for a lock that is taken, only this sentence.
        sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock") => locked(),
        sled::Error::Io(cause) if cause.kind() != std::io::ErrorKind::UnexpectedEof => io_error(cause),
        _ => damaged("the embedded database reports corruption"),
    }
}
