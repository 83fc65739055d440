//! sled's files in a database's folder, and which of them can be done without.
//!
//! ```text
//! db                      the log: all that counts
//! conf                    how it is laid out; written once
//! snap.X                  where the log's pages lie, as of some start: derived from the log
//! snap.X.generating       the next of those, unfinished where a start was cut short; sled would read it as one
//! blobs/                  what does not fit into the log, which is never to happen, see `pieces`
//! ```

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::marker::sync_folder;
use crate::{error::Result, store::failures::io_error};

/// sled's data file inside the store's folder.
pub(in crate::store) const DATA_FILE: &str = "db";
const CONFIG_FILE: &str = "conf";
const SNAPSHOT: &str = "snap.";
const UNFINISHED: &str = ".generating";
/// The folder of what does not fit into the log.
pub(in crate::store) const BLOBS: &str = "blobs";

/// Removes what a start that was cut short has left: call it only under the store's lock.
pub(in crate::store) fn remove_unfinished(folder: &Path) -> Result<()> {
    remove(folder, |name| name.starts_with(SNAPSHOT) && name.ends_with(UNFINISHED))
}

/// Removes what sled derives from its log, and makes anew when it is opened.
pub(in crate::store) fn remove_derived(folder: &Path) -> Result<()> {
    remove(folder, |name| name.starts_with(SNAPSHOT))
}

/// Up to where in the log the newest snapshot goes; 0 where there is none.
pub(in crate::store) fn snapshot_end(folder: &Path) -> Result<u64> {
    let mut end = 0;
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let name = entry.map_err(io_error)?.file_name();
        let place = name.to_str().and_then(|name| u64::from_str_radix(name.strip_prefix(SNAPSHOT)?, 16).ok());
        end = place.unwrap_or(0).max(end);
    }
    Ok(end)
}

/// Whether a node of the tree lies outside the log.
pub(in crate::store) fn has_blobs(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder.join(BLOBS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        read => Ok(read.map_err(io_error)?.next().is_some()),
    }
}

/// Makes durable what sled writes once and does not flush.
pub(in crate::store) fn sync(folder: &Path) -> Result<()> {
    let sync = || {
        File::open(folder.join(CONFIG_FILE))?.sync_all()?;
        sync_folder(folder)
    };
    sync().map_err(io_error)
}

fn remove(folder: &Path, is_meant: impl Fn(&str) -> bool) -> Result<()> {
    let named = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.path());
    let paths: Vec<PathBuf> =
        fs::read_dir(folder).and_then(|entries| entries.map(named).collect()).map_err(io_error)?;
    for path in paths {
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&is_meant) {
            fs::remove_file(&path).map_err(io_error)?;
        }
    }
    Ok(())
}
