//! Rewriting the store while it serves: what is there is copied into a fresh database, which takes the old one's
//! place; the old one goes with all that it had kept of what was removed.
//!
//! Writes go to the old database until the copy has caught up with them (see [`super::copy`]). Then, between two
//! groups of the committer, the last of them are copied, the new database is flushed, and its folder becomes the live one.
//! Whoever reads the old database meanwhile reads on; its folder goes after the last of them.
//!
//! Snapshots of galleries' indexes are left behind: they were made of faces that may have been erased, and can be made
//! anew.

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::{
    Store,
    archive::Change,
    backup::backup_running,
    blocking,
    copy::Copy,
    db::{Db, LAST_THREADS, LOOK_AGAIN},
    erasures::Uploads,
    folders::{Folders, SwitchError},
    keys::{self, Kind, Parsed},
    sled_files::DATA_FILE,
};
use crate::error::{Error, ErrorKind, Result};

/// Pages copied on a blocking thread at once: a stop of the server waits for no more.
const PAGES_AT_ONCE: usize = 16;

/// What a rewrite did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Erasures that are done by it.
    pub erasures: usize,
    /// Bytes of the store's files before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// How long it took.
    pub took: Duration,
    /// How long writes waited for it at once.
    pub held: Duration,
}

impl Store {
    /// Rewrites the store. Erasures that were asked for before it began are done when it has ended, at a time that `now`
    /// tells, but for those of people who may be in `uploads`.
    ///
    /// Errors: `Conflict` `rewrite_running` or `backup_running`; `Full` `not_enough_space`; `Storage` `damaged_record`,
    /// `store_io`; `Overloaded` `copy_outrun` where it does not catch up with the writes. The store is then what it was.
    pub async fn rewrite(&self, uploads: Uploads, now: impl Fn() -> Timestamp) -> Result<Rewritten> {
        let begun = Instant::now();
        let _turn = self.inner.rewriting.try_lock().map_err(|_| rewrite_running())?;
        let pending = self.pending_erasures(uploads).await?;
        let old = self.db();
        let watch = old.watch().ok_or_else(backup_running)?;
        let bytes_before = self.size_on_disk().await?;
        let held = self.replace(old, Copy::new(watch)?, bytes_before).await?;
        self.finish_erasures(&pending, now()).await?;
        let bytes_after = self.size_on_disk().await?;
        Ok(Rewritten { erasures: pending.len(), bytes_before, bytes_after, took: begun.elapsed(), held })
    }

    /// [`Self::rewrite`] where an erasure that it would end has been pending for `patience`.
    pub async fn rewrite_if_due(
        &self,
        patience: SignedDuration,
        uploads: Uploads,
        now: impl Fn() -> Timestamp,
    ) -> Result<Option<Rewritten>> {
        let oldest = self.pending_erasures(uploads.clone()).await?.oldest;
        match oldest.filter(|oldest| now().duration_since(*oldest) >= patience) {
            Some(_) => self.rewrite(uploads, now).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn is_being_rewritten(&self) -> bool {
        self.inner.rewriting.try_lock().is_err()
    }

    /// Puts a copy in the place of `old` and removes that; how long writes waited.
    async fn replace(&self, old: Arc<Db>, copy: Copy, bytes: u64) -> Result<Duration> {
        let folders = &self.inner.folders;
        let old_folder = folders.live();
        let switched = self.copy_and_switch(&old, copy, bytes).await;
        let (last, held) = switched.inspect_err(|_| {
            // Where it is not known which folder is live, both stay.
            if !old.has_failed() {
                drop(folders.remove_next());
            }
        })?;
        drop(old);
        let old = alone_with(last).await;
        let folders = Arc::clone(folders);
        blocking(move || close_and_remove(old, &folders, &old_folder)).await?;
        Ok(held)
    }

    /// The old database, which nobody is given any more, and how long writes waited.
    async fn copy_and_switch(&self, old: &Arc<Db>, mut copy: Copy, bytes: u64) -> Result<(Arc<Db>, Duration)> {
        let (folders, cache_bytes) = (Arc::clone(&self.inner.folders), self.inner.cache_bytes);
        let mut new = blocking(move || {
            require_space(folders.free_bytes()?, bytes)?;
            Db::open(&folders.make_next()?, cache_bytes)
        })
        .await?;
        let mut is_caught_up = false;
        while !is_caught_up {
            (copy, new, is_caught_up) = blocking(move || {
                let is_caught_up = copy_pages(&mut copy, &new)?;
                Ok((copy, new, is_caught_up))
            })
            .await?;
        }
        let (old, live, folders) = (Arc::clone(old), Arc::clone(&self.inner.live), Arc::clone(&self.inner.folders));
        let switch = move || {
            let begun = Instant::now();
            old.refuse_if_failed()?;
            put(&new, copy.last_page()?)?;
            new.flush()?;
            crash_point("copied");
            folders.switch().inspect_err(|error| {
                if matches!(error, SwitchError::Unsure(_)) {
                    old.fail();
                }
            })?;
            crash_point("switched");
            Ok((live.swap(Arc::new(new)), begun.elapsed()))
        };
        self.inner.committer.alone(switch).await
    }
}

/// Copies some pages; whether the copy has caught up. It is then flushed, so that little is left to flush later.
fn copy_pages(copy: &mut Copy, new: &Db) -> Result<bool> {
    for _ in 0..PAGES_AT_ONCE {
        // A database that finds no room may never come back from it, and holds up all others of the process.
        new.refuse_if_full()?;
        match copy.page()? {
            Some(page) => put(new, page)?,
            None => return new.flush().map(|()| true),
        }
    }
    crash_point("copying");
    Ok(false)
}

/// Adds a page of a copy to a fresh database, but for snapshots.
pub(super) fn put(new: &Db, page: Vec<Change>) -> Result<()> {
    let is_of_snapshot =
        |key: &[u8]| matches!(keys::parse(key), Some(Parsed::Data(_, Kind::Snapshot | Kind::Chunk(..))));
    new.apply(page.into_iter().filter(|(key, _)| !is_of_snapshot(key)).collect())
}

/// Waits until nobody else has the database.
async fn alone_with(mut db: Arc<Db>) -> Db {
    loop {
        match Arc::try_unwrap(db) {
            Ok(alone) => return alone,
            Err(shared) => db = shared,
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Closes a database and removes its folder, once its threads have let go of their lock.
pub(super) fn close_and_remove(db: Db, folders: &Folders, folder: &Path) -> Result<()> {
    drop(db);
    if let Ok(file) = File::open(folder.join(DATA_FILE)) {
        let closed = Instant::now();
        while file.try_lock().is_err() && closed.elapsed() < LAST_THREADS {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
    folders.remove(folder)
}

/// Errors unless so many bytes are free: `Full` `not_enough_space`.
pub(super) fn require_space(free: u64, needed: u64) -> Result<()> {
    if free >= needed {
        return Ok(());
    }
    let message = format!("rewriting the store may take {needed} bytes beside it and {free} are free: make room first");
    Err(Error::new(ErrorKind::Full, message).with_code("not_enough_space"))
}

/// The error while the store is rewritten.
pub(super) fn rewrite_running() -> Error {
    Error::new(ErrorKind::Conflict, "the store is being rewritten").with_code("rewrite_running")
}

/// Ends the process here where a test says so.
#[cfg(test)]
fn crash_point(point: &str) {
    if std::env::var("ROLLCALL_TEST_CRASH_AT").is_ok_and(|at| at == point) {
        std::process::abort();
    }
}

#[cfg(not(test))]
fn crash_point(_point: &str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_a_clear_error() {
        assert!(require_space(5, 5).is_ok());
        let error = require_space(4, 5).unwrap_err();
        assert_eq!(error.code(), "not_enough_space");
        assert!(error.message().contains("5 bytes"), "{error}");
    }
}
