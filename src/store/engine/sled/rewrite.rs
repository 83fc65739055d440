//! Rewriting the database while it serves: what is there is copied into a fresh one, which takes the old one's place; the
//! old one goes with all that it had kept of what was removed.
//!
//! Writes go to the old database until the copy has caught up with them (see [`super::copy`]). Then, between two
//! commits, the last of them are copied, the new database is flushed, and its folder becomes the live one. Whoever reads
//! the old database meanwhile reads on; its folder goes after the last of them.

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{Change, Readable, Rewriting},
    Shared,
    copy::Copy,
    db::{Db, LAST_THREADS, LOOK_AGAIN},
    files::DATA_FILE,
    folders::{Folders, SwitchError},
};
use crate::error::{Error, ErrorKind, Result};

/// Pages copied in one step: a stop of the server waits for no more.
const PAGES_AT_ONCE: usize = 16;

/// See the module.
pub(super) struct Rewrite {
    shared: Arc<Shared>,
    copy: Copy,
    kept: fn(&[u8]) -> bool,
    /// The database that is to be the live one, from the first step on.
    new: Option<Db>,
    has_switched: bool,
}

impl Rewrite {
    pub(super) fn new(shared: Arc<Shared>, copy: Copy, kept: fn(&[u8]) -> bool) -> Self {
        Self { shared, copy, kept, new: None, has_switched: false }
    }

    fn put(&self, new: &Db, mut page: Vec<Change>) -> Result<()> {
        page.retain(|(key, _)| (self.kept)(key));
        new.apply(page.into_iter().collect())
    }

    /// The fresh database.
    fn fresh(&mut self) -> Result<Db> {
        if let Some(new) = self.new.take() {
            return Ok(new);
        }
        require_space(self.shared.folders.free_bytes()?, self.shared.live.load().size_on_disk()?)?;
        Db::open(&self.shared.folders.make_next()?, self.shared.cache_bytes)
    }

    /// Copies what is left and makes the new database the live one, while nothing is written; the old one.
    fn switch(&mut self, new: Db) -> Result<Arc<Db>> {
        let old = self.shared.live.load_full();
        old.refuse_if_failed()?;
        let page = self.copy.last_page()?;
        self.put(&new, page)?;
        new.count_from(old.commits() + 1);
        new.flush()?;
        // It may have failed meanwhile: then nothing of it is taken for durable.
        old.refuse_if_failed()?;
        crash_point("copied");
        self.shared.folders.switch().inspect_err(|error| {
            if matches!(error, SwitchError::Unsure(_)) {
                old.fail();
            }
        })?;
        crash_point("switched");
        self.has_switched = true;
        Ok(self.shared.live.swap(Arc::new(new)))
    }
}

impl Rewriting for Rewrite {
    fn step(&mut self) -> Result<bool> {
        let new = self.fresh()?;
        for _ in 0..PAGES_AT_ONCE {
            // A database that finds no room may never come back from it, and holds up all others of the process.
            new.refuse_if_full()?;
            if let Some(page) = self.copy.page_before_last()? {
                self.put(&new, page)?;
            } else {
                // So little is left to flush later.
                new.flush()?;
                self.new = Some(new);
                return Ok(true);
            }
        }
        crash_point("copying");
        self.new = Some(new);
        Ok(false)
    }

    fn finish(mut self: Box<Self>) -> Result<Duration> {
        let new = self.fresh()?;
        let old_folder = self.shared.folders.live();
        let shared = Arc::clone(&self.shared);
        let begun = Instant::now();
        let old = {
            let _nothing_is_written = shared.writing.write();
            self.switch(new)?
        };
        let held = begun.elapsed();
        // It watches the old database.
        drop(self);
        close_and_remove(alone_with(old), &shared.folders, &old_folder)?;
        Ok(held)
    }
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        // Where it is not known which folder is live, both stay.
        if !self.has_switched && !self.shared.live.load().has_failed() {
            drop(self.new.take());
            drop(self.shared.folders.remove_next());
        }
    }
}

/// Waits until nobody else has the database.
fn alone_with(mut db: Arc<Db>) -> Db {
    loop {
        match Arc::try_unwrap(db) {
            Ok(alone) => return alone,
            Err(shared) => db = shared,
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Closes a database and removes its folder, once its threads have let go of their lock.
pub(in crate::store) fn close_and_remove(db: Db, folders: &Folders, folder: &Path) -> Result<()> {
    drop(db);
    if let Ok(file) = File::open(folder.join(DATA_FILE)) {
        let closed = Instant::now();
        while file.try_lock().is_err() && closed.elapsed() < LAST_THREADS {
            thread::sleep(LOOK_AGAIN);
        }
    }
    folders.remove(folder)
}

/// Errors unless so many bytes are free: `Full` `not_enough_space`.
pub(in crate::store) fn require_space(free: u64, needed: u64) -> Result<()> {
    if free >= needed {
        return Ok(());
    }
    let message = format!("rewriting the store may take {needed} bytes beside it and {free} are free: make room first");
    Err(Error::new(ErrorKind::Full, message).with_code("not_enough_space"))
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
