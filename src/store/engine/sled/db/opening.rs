//! Opening the database: what sled may see, what it is told, and whether what it then shows is all that was promised.

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
    time::Instant,
};

use parking_lot::RwLock;

use super::{Db, FLUSHES, LAST_THREADS, LOOK_AGAIN, into_error};
use crate::{
    error::{Error, Result},
    runtime::contain,
    store::{
        engine::{
            Read, Readable,
            sled::{
                files::{self, DATA_FILE},
                marker::Marker,
                pieces::SUM_KEY,
                salvage::judge,
            },
            sum::{Sum, weight},
        },
        failures::{DAMAGED, LOCKED, damaged, io_error},
        keys,
        operations::open::Format,
    },
};

/// The first version of the store that has a sum of its records.
const SUMMED_SINCE: u32 = 2;

impl Db {
    /// Opens or makes the database in the folder `path`, which exists. The store's lock is held: no other process is
    /// in it.
    ///
    /// Errors: `store_locked` where another process has it, `store_damaged` where it cannot be read or has lost writes.
    pub(in crate::store) fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        judge::require_kept(path)?;
        files::remove_unfinished(path)?;
        Self::recover_when_free(path, cache_bytes).or_else(|error| {
            if error.code() != DAMAGED {
                return Err(error);
            }
            // What can be made anew may be all that is damaged. With it goes one witness of what the log held.
            files::remove_derived(path)?;
            judge::require_kept(path)?;
            let db = Self::recover_when_free(path, cache_bytes)?;
            db.require_whole()?;
            Ok(db)
        })
    }

    /// Threads of a database that this process has just closed, or given up, may hold sled's own lock for a moment.
    fn recover_when_free(path: &Path, cache_bytes: u64) -> Result<Self> {
        let begun = Instant::now();
        loop {
            match Self::recover(path, cache_bytes) {
                Err(error) if error.code() == LOCKED && begun.elapsed() < LAST_THREADS => thread::sleep(LOOK_AGAIN),
                outcome => return outcome,
            }
        }
    }

    /// Errors unless every record can be read and they are those that were written: `store_damaged`.
    fn require_whole(&self) -> Result<()> {
        let read = || {
            let mut sum = Sum::default();
            let view = self.view()?;
            for entry in view.scan_bytes(&[], None) {
                let (key, value) = entry?;
                sum.add(weight(&key, &value));
            }
            let version = view.get::<Format>(&keys::format())?.map_or(0, |format| format.version);
            Ok::<_, Error>(version < SUMMED_SINCE || Some(sum) == self.sum())
        };
        match contain(read) {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(error)) if error.code() != DAMAGED => Err(error),
            _ => Err(damaged("records are missing in the embedded database")),
        }
    }

    fn recover(path: &Path, cache_bytes: u64) -> Result<Self> {
        // No timed flushes: every write is flushed by the committer before it is acknowledged.
        let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
        // sled asserts what it reads while it recovers, so a damaged file can panic.
        let open = || {
            let tree = config.open()?;
            let flushes = tree.open_tree(FLUSHES)?;
            let number = flushes.get(FLUSHES)?;
            let sum = tree.get(SUM_KEY)?;
            Ok((tree, flushes, number, sum))
        };
        let (tree, flushes, number, sum) = contain(open)
            .map_err(|site| damaged(format!("the embedded database gave up while it was recovering: {site}")))?
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
            folder: path.to_owned(),
            is_old: files::has_blobs(path)?,
            last_flush: AtomicU64::new(number.unwrap_or(0)),
            sum: Mutex::new(sum.and_then(|stored| Sum::of(&stored)).unwrap_or_default()),
            batches: Arc::new(RwLock::new(())),
            changed: Mutex::new(None),
            batches_applied: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        };
        db.flush()?;
        files::sync(path)?;
        Ok(db)
    }
}
