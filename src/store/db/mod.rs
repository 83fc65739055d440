//! The embedded database under the store. The only module that names sled.
//!
//! sled runs with one tree and one writer ([`super::committer`]), so an operation may read, scan and then write
//! one atomic batch without conflicts. Readers hold a [`View`], which a batch waits for and which waits for a batch:
//! no reader sees half of an operation.
//!
//! What is stored under a key is its record, or the record in [`pieces`]; only here is that seen.

mod opening;
mod stored;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::File,
    ops::Bound,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    codec::{self, Record},
    failures::{damaged, io_error, locked, outrun},
    keys::Key,
    marker::Marker,
    pieces::{self, HIDDEN, Head, PIECE_BYTES, SUM_KEY, Sum},
    sled_files,
    transaction::Writes,
};
use crate::{
    error::{Error, Result},
    runtime::{contain, disk},
};

/// The tree and the key of the number of the last flush, see [`super::marker`].
pub(super) const FLUSHES: &[u8] = b"flushes";
/// How long the last threads of a closed database may go on.
pub(super) const LAST_THREADS: Duration = Duration::from_secs(10);
/// Between two looks at whether they have ended.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What a watch remembers before it gives up, some 50 MB.
const MAX_WATCHED_KEYS: usize = 500_000;

/// The open database.
pub(super) struct Db {
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
    batches: RwLock<()>,
    /// The keys changed since a [`Watch`] began, where there is one.
    changed: Mutex<Option<BTreeSet<Key>>>,
    batches_applied: AtomicU64,
    /// Set for good by the first write that fails, see [`Self::refuse_if_failed`].
    failed: AtomicBool,
}

impl Db {
    /// A view in which every operation is there as a whole or not at all. Keep it short: writes wait for it.
    pub(super) fn view(&self) -> View<'_> {
        View { db: self, _guard: self.batches.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Applies all of `writes` or none. They are durable after the next [`Self::flush`]. Called by one thread at a time.
    pub(super) fn apply(&self, writes: Writes) -> Result<()> {
        self.or_fail(|| {
            let mut sum = self.sum();
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
            let _exclusive = self.batches.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(changed) = self.changed().as_mut().filter(|changed| changed.len() <= MAX_WATCHED_KEYS) {
                changed.extend(keys);
            }
            self.batches_applied.fetch_add(1, Ordering::Relaxed);
            self.tree.apply_batch(batch).map_err(into_error)?;
            *self.sum.lock().unwrap_or_else(PoisonError::into_inner) = sum;
            Ok(())
        })
    }

    /// Removes the record under `key`, with its pieces.
    fn take_out(&self, key: &[u8], batch: &mut sled::Batch, sum: &mut Sum) -> Result<()> {
        let Some(stored) = self.tree.get(key).map_err(into_error)? else { return Ok(()) };
        let head = Head::of(&stored);
        sum.take(head.map_or_else(|| pieces::weight(key, &stored), |head| head.weight));
        batch.remove(key);
        for number in 0..head.map_or(0, Head::pieces) {
            batch.remove(pieces::piece_key(key, number));
        }
        Ok(())
    }

    /// The sum of all records as of the last batch.
    pub(super) fn sum(&self) -> Sum {
        *self.sum.lock().unwrap_or_else(PoisonError::into_inner)
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
            debug_assert!(self.is_old || !sled_files::has_blobs(&self.folder)?, "nothing outside the log");
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

    /// An error while the disk has no room for what the database needs besides: `Full` `disk_full`.
    pub(super) fn refuse_if_full(&self) -> Result<()> {
        disk::require_room(&self.folder, disk::STORE_LEAVES)
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
        let last = self.tree.range::<&[u8], _>(of_records(range)).keys().next_back().transpose().map_err(into_error)?;
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

    /// Keys under which no record lies.
    #[cfg(test)]
    pub(super) fn num_hidden(&self) -> usize {
        self.tree.range(HIDDEN..).count()
    }

    /// Loses a record, as a disk may.
    #[cfg(test)]
    pub(super) fn forget_silently(&self, key: &[u8]) {
        assert!(self.tree.remove(key).is_ok_and(|was| was.is_some()));
    }

    /// Whether something lies outside the log, where no flush reaches it.
    pub(super) fn has_blobs(&self) -> Result<bool> {
        sled_files::has_blobs(&self.folder)
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
        let stored = self.tree.get(key).map_err(into_error)?;
        stored.map(|stored| self.whole(key, &stored).map(Cow::into_owned)).transpose()
    }

    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>> {
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let prefix = prefix.to_vec();
        self.tree
            .range::<&[u8], _>(of_records((start, Bound::Unbounded)))
            .map(|entry| {
                let (key, stored) = entry.map_err(into_error)?;
                Ok((key.to_vec(), self.whole(&key, &stored)?.into_owned()))
            })
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
        for entry in self.db.tree.range::<&[u8], _>(of_records(range)).take(limit) {
            let (key, stored) = entry.map_err(into_error)?;
            visitor(&key, &self.db.whole(&key, &stored)?)?;
            last = Some(key);
        }
        Ok(last.map(|key| key.to_vec()))
    }

    /// The first and the last key of `range`.
    pub(super) fn ends(&self, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Option<(Key, Key)>> {
        let mut keys = self.db.tree.range::<&[u8], _>(of_records(range)).keys();
        let Some(first) = keys.next().transpose().map_err(into_error)? else { return Ok(None) };
        let last = keys.next_back().transpose().map_err(into_error)?;
        Ok(Some((first.to_vec(), last.unwrap_or(first).to_vec())))
    }
}

/// The part of `range` in which records lie.
fn of_records<'a>((start, end): (Bound<&'a [u8]>, Bound<&'a [u8]>)) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (start, if end == Bound::Unbounded { Bound::Excluded(HIDDEN) } else { end })
}

/// Sets the record under `key`, in pieces where it is long.
fn put_in(key: &[u8], value: Vec<u8>, batch: &mut sled::Batch, sum: &mut Sum) {
    let weight = pieces::weight(key, &value);
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

fn into_error(error: sled::Error) -> Error {
    match error {
        // sled 0.34 has no kind for a lock that is taken, only this sentence.
        sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock") => locked(),
        sled::Error::Io(cause) if cause.kind() != std::io::ErrorKind::UnexpectedEof => io_error(cause),
        _ => damaged("the embedded database reports corruption"),
    }
}
