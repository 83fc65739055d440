//! The folders of a store: each holds a database, and one of them is live.
//!
//! ```text
//! store/
//!   lock     held by the process that has the store open
//!   live     the number of the folder that counts
//!   reserve  bytes for a start on a full disk
//!   7/       its database
//!   8/       while the store is rewritten: the next one
//! ```
//!
//! A start on a full disk gives up `reserve`, and so has the room that it needs; a start with room makes it again.
//!
//! The file `live` is replaced as a whole, so after a crash it names the old folder or the new, and whatever other
//! folder there is goes at the next start.

use std::{
    fs::{self, File, TryLockError},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    files::{BLOBS, DATA_FILE},
    marker::{self, make_private_folder, sync_folder},
    rewrite,
};
use crate::{
    error::{Error, Result},
    runtime::disk,
    store::failures::{damaged, io_error, locked},
};

pub(in crate::store) const LOCK: &str = "lock";
pub(in crate::store) const LIVE: &str = "live";
const LIVE_ASIDE: &str = "live.new";
const RESERVE: &str = "reserve";
/// What a start may need: some segments of the database's log, what it derives from it, small files beside it.
const RESERVE_BYTES: u64 = 8 << 20;
/// The folder of a store that was never rewritten.
const FIRST: u64 = 1;
/// Flushes of a database before its store can be live: that of its opening, and that of its version or of what was
/// restored. Only later ones acknowledge anything.
const FLUSHES_BEFORE_LIVE: u64 = 2;

/// Why another folder has not become the live one.
#[derive(Debug)]
pub(in crate::store) enum SwitchError {
    /// The old one still is.
    NotDone(Error),
    /// After a loss of power either may be it.
    Unsure(Error),
}

impl From<SwitchError> for Error {
    fn from(error: SwitchError) -> Self {
        let (SwitchError::NotDone(error) | SwitchError::Unsure(error)) = error;
        error
    }
}

/// The folders of one open store; see the module. Dropping it lets others open the store.
pub(in crate::store) struct Folders {
    path: PathBuf,
    live: AtomicU64,
    lock: File,
}

impl Folders {
    /// Takes the store in `path`, which is made where it does not exist. Follow it by [`Self::keep_only_live`] once the
    /// live database has been opened.
    ///
    /// Errors: `store_locked`; `store_damaged` where the live folder is not to be found; `store_io`.
    pub(in crate::store) fn open(path: &Path) -> Result<Self> {
        make_private_folder(path)?;
        let lock = File::options().write(true).create(true).truncate(false).open(path.join(LOCK)).map_err(io_error)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => locked(),
            TryLockError::Error(error) => io_error(error),
        })?;
        let written = read_if_any(&path.join(LIVE))?;
        let live = match &written {
            Some(text) => marker::parse(text).ok_or_else(|| damaged("the file live is not what was written"))?,
            None => FIRST,
        };
        let folders = Self { path: path.to_owned(), live: AtomicU64::new(live), lock };
        let others = folders.others()?;
        if written.is_some() && !folders.live().join(DATA_FILE).exists() {
            return Err(damaged("the live folder has no database"));
        }
        if written.is_none() && (!others.is_empty() || path.join(DATA_FILE).exists()) {
            return Err(damaged("the file live is missing"));
        }
        if written.is_none() {
            folders.forget_unfinished()?;
        }
        folders.give_up_reserve_if_full();
        folders.make_reserve();
        make_private_folder(&folders.live())?;
        Ok(folders)
    }

    /// Removes what a first start or a restore has left that was cut short. sled does not open each such rest: what it
    /// writes once, it writes in two steps.
    fn forget_unfinished(&self) -> Result<()> {
        let marker = read_if_any(&self.live().join(marker::FILE_NAME))?.unwrap_or_default();
        let flushes = if marker.is_empty() { Some(0) } else { marker::parse(&marker) };
        if flushes.is_some_and(|flushes| flushes <= FLUSHES_BEFORE_LIVE) { self.remove(&self.live()) } else { Ok(()) }
    }

    /// Gives up the reserve where the disk is full.
    fn give_up_reserve_if_full(&self) {
        if disk::free_bytes(&self.path).is_ok_and(|free| free < RESERVE_BYTES) {
            drop(fs::remove_file(self.path.join(RESERVE)));
        }
    }

    /// Makes the reserve where it is missing or not whole and there is room. Without it a store works all the same.
    pub(in crate::store) fn make_reserve(&self) {
        let path = self.path.join(RESERVE);
        let has_room = disk::free_bytes(&self.path).is_ok_and(|free| free > disk::STORE_LEAVES + RESERVE_BYTES);
        let is_whole = fs::metadata(&path).is_ok_and(|reserve| reserve.len() == RESERVE_BYTES);
        if has_room && !is_whole {
            let made = File::create(&path).and_then(|file| disk::fill(&file, RESERVE_BYTES));
            if made.is_err() {
                drop(fs::remove_file(&path));
            }
        }
    }

    /// Whether the folder is still where it was when it was opened.
    pub(in crate::store) fn is_there(&self) -> bool {
        disk::is_same_file(&self.lock, &self.path.join(LOCK))
    }

    /// Makes it durable which folder is live, and removes the others.
    pub(in crate::store) fn keep_only_live(&self) -> Result<()> {
        if !self.path.join(LIVE).exists() {
            self.write_live(self.live.load(Ordering::Acquire))?;
        }
        self.others()?.iter().try_for_each(|other| self.remove(other))
    }

    /// The live folder.
    pub(in crate::store) fn live(&self) -> PathBuf {
        self.numbered(self.live.load(Ordering::Acquire))
    }

    /// Makes an empty folder for the next database.
    pub(in crate::store) fn make_next(&self) -> Result<PathBuf> {
        let next = self.next();
        self.remove(&next)?;
        make_private_folder(&next)?;
        sync_folder(&self.path).map_err(io_error)?;
        Ok(next)
    }

    /// Makes the folder of [`Self::make_next`] the live one. After an error the old one is it, unless the error is
    /// [`Unsure`](SwitchError::Unsure).
    pub(in crate::store) fn switch(&self) -> Result<(), SwitchError> {
        let next = self.live.load(Ordering::Acquire) + 1;
        self.write_live_aside(next).map_err(SwitchError::NotDone)?;
        self.take_live_aside().map_err(SwitchError::Unsure)?;
        self.live.store(next, Ordering::Release);
        Ok(())
    }

    /// Removes the folder of [`Self::make_next`], which has not become live.
    pub(in crate::store) fn remove_next(&self) -> Result<()> {
        self.remove(&self.next())
    }

    /// Removes one of the folders for good, if it is there.
    pub(in crate::store) fn remove(&self, folder: &Path) -> Result<()> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync_folder(&self.path)).map_err(io_error),
        }
    }

    /// Bytes that are free on the disk, for this user.
    pub(in crate::store) fn free_bytes(&self) -> Result<u64> {
        disk::free_bytes(&self.path).map_err(io_error)
    }

    fn numbered(&self, number: u64) -> PathBuf {
        self.path.join(number.to_string())
    }

    fn next(&self) -> PathBuf {
        self.numbered(self.live.load(Ordering::Acquire) + 1)
    }

    fn write_live(&self, number: u64) -> Result<()> {
        self.write_live_aside(number)?;
        self.take_live_aside()
    }

    fn write_live_aside(&self, number: u64) -> Result<()> {
        let write = || {
            let mut file = File::create(self.path.join(LIVE_ASIDE))?;
            file.write_all(marker::text(number).as_bytes())?;
            file.sync_all()
        };
        write().map_err(io_error)
    }

    fn take_live_aside(&self) -> Result<()> {
        fs::rename(self.path.join(LIVE_ASIDE), self.path.join(LIVE))
            .and_then(|()| sync_folder(&self.path))
            .map_err(io_error)
    }

    /// The numbered folders that are not live.
    fn others(&self) -> Result<Vec<PathBuf>> {
        let mut others = numbered(&self.path)?;
        others.retain(|folder| *folder != self.live());
        Ok(others)
    }
}

/// Copies the store in `from`, which nobody has open, to the folder `into`.
///
/// Errors: `store_locked`; `store_damaged` where the live folder is not to be found; `Full` `not_enough_space`; `store_io`.
pub fn copy_closed(from: &Path, into: &Path) -> Result<()> {
    let _lock = lock_if_any(from)?;
    let live = read_if_any(&from.join(LIVE))?.ok_or_else(|| damaged("the file live is missing"))?;
    let number = marker::parse(&live).ok_or_else(|| damaged("the file live is not what was written"))?;
    let (old, new) = (from.join(number.to_string()), into.join(number.to_string()));
    make_private_folder(&new)?;
    rewrite::require_space(disk::free_bytes(into).map_err(io_error)?, log_bytes(&old).unwrap_or(0))?;
    for entry in fs::read_dir(&old).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        // What lies outside the log in an old store.
        let files = if path.is_dir() {
            fs::read_dir(&path).map_err(io_error)?.flatten().map(|file| file.path()).collect()
        } else {
            vec![path]
        };
        for file in files {
            let target = new.join(file.strip_prefix(&old).unwrap_or(&file));
            target.parent().map_or(Ok(()), make_private_folder)?;
            fs::copy(&file, target).map_err(io_error)?;
        }
    }
    make_private_folder(&new.join(BLOBS))?;
    fs::write(into.join(LIVE), live).map_err(io_error)
}

/// Keeps others from the store in `path` meanwhile, where its lock can be read at all: for who only reads, and reads what
/// is left of a store too.
///
/// Errors: `store_locked` where a process has it open.
pub(in crate::store) fn lock_if_any(path: &Path) -> Result<Option<File>> {
    let Ok(lock) = File::open(path.join(LOCK)) else { return Ok(None) };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Err(locked()),
        _ => Ok(Some(lock)),
    }
}

/// The numbered folders of the store in `path`.
pub(in crate::store) fn numbered(path: &Path) -> Result<Vec<PathBuf>> {
    let mut numbered = Vec::new();
    for entry in fs::read_dir(path).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        if path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok()).is_some() {
            numbered.push(path);
        }
    }
    Ok(numbered)
}

/// Bytes of the log of the database in `folder`; none where there is no database.
pub(in crate::store) fn log_bytes(folder: &Path) -> Option<u64> {
    fs::metadata(folder.join(DATA_FILE)).ok().map(|data| data.len())
}

fn read_if_any(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(io_error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_database(folder: &Path) {
        fs::write(folder.join(DATA_FILE), b"x").unwrap();
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_switch_holds_and_what_is_not_live_goes() {
        let place = tempfile::tempdir().unwrap();
        let open = || Folders::open(place.path());
        let folders = open().unwrap();
        with_database(&folders.live());
        folders.keep_only_live().unwrap();
        assert_eq!(open().err().unwrap().code(), "store_locked");
        with_database(&folders.make_next().unwrap());
        drop(folders);
        let folders = open().unwrap();
        folders.keep_only_live().unwrap();
        assert_eq!(names(place.path()), ["1", "live", "lock", "reserve"], "an unfinished one goes at the next start");
        with_database(&folders.make_next().unwrap());
        folders.switch().unwrap();
        drop(folders);
        let folders = open().unwrap();
        assert_eq!(folders.live(), place.path().join("2"));
        folders.keep_only_live().unwrap();
        assert_eq!(names(place.path()), ["2", "live", "lock", "reserve"], "the old one goes at the next start");
    }

    #[test]
    fn a_store_without_its_live_folder_is_never_an_empty_one() {
        let place = tempfile::tempdir().unwrap();
        let code = || Folders::open(place.path()).err().map(|error| error.code());
        assert_eq!(code(), None);
        assert_eq!(code(), None, "a first start that was cut short is made again");
        fs::create_dir(place.path().join("4")).unwrap();
        assert_eq!(code(), Some("store_damaged"), "nobody knows which is live");
        fs::write(place.path().join(LIVE), marker::text(4)).unwrap();
        assert_eq!(code(), Some("store_damaged"), "no database in it");
        with_database(&place.path().join("4"));
        assert_eq!(code(), None);
        fs::write(place.path().join(LIVE), b"4").unwrap();
        assert_eq!(code(), Some("store_damaged"));
    }
}
