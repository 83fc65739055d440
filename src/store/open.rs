//! Opening a store: its folder, its version, and what to say when it is not one.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Inner, Store,
    codec::Record,
    committer::{Committer, FlushObserver},
    db::{Db, Read, damaged},
    keys,
    marker::make_private_folder,
    transaction::Group,
};
use crate::{
    domain::Amounts,
    error::{Error, Result},
    runtime::{Clock, SystemClock},
};

/// The layout of keys and records that this program reads and writes.
pub(super) const FORMAT_VERSION: u32 = 1;
/// 64 MiB: the database's own default of 1 GiB is more than the rest of the server together.
pub(super) const DEFAULT_CACHE_BYTES: u64 = 64 << 20;

/// What no disk holds.
const NO_LIMITS: Amounts = Amounts { people: u64::MAX, groups: u64::MAX, samples: u64::MAX };

/// How to open a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// Its folder, made where it does not exist.
    pub path: PathBuf,
    /// Memory for pages read from the disk.
    pub cache_bytes: u64,
    /// The limits of a tenant for which nothing else was set.
    pub default_limits: Amounts,
    /// Tells the times of the audit log.
    pub clock: Arc<dyn Clock>,
    /// Told of every flush how long it took.
    pub on_flush: Option<FlushObserver>,
}

impl StoreOptions {
    /// The defaults for the store in the folder `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: DEFAULT_CACHE_BYTES,
            default_limits: NO_LIMITS,
            clock: Arc::new(SystemClock),
            on_flush: None,
        }
    }
}

/// The record under [`keys::format`].
#[derive(Serialize, Deserialize)]
pub(super) struct Format {
    version: u32,
}

impl Record for Format {
    const KIND: u8 = 0;
}

impl Store {
    /// Opens the store, or makes an empty one. Blocks while the database recovers.
    ///
    /// Errors, all of kind `Storage`: `store_locked` where another process has it open, `store_damaged` where it
    /// cannot be read or has lost writes that were acknowledged, `newer_store` where a later version of this program wrote it, `store_io` for what the file
    /// system refuses.
    pub fn open(options: StoreOptions) -> Result<Self> {
        make_private_folder(&options.path)?;
        let db = Db::open(&options.path, options.cache_bytes)?;
        check_format(&db)?;
        let db = Arc::new(db);
        let committer = Committer::start(&db, options.on_flush)?;
        Ok(Self {
            inner: Arc::new(Inner { committer, db, default_limits: options.default_limits, clock: options.clock }),
        })
    }
}

/// Reads the version, or writes it where the database is new.
fn check_format(db: &Db) -> Result<()> {
    let (format, empty) = {
        let view = db.view();
        (view.get::<Format>(&keys::format())?, view.scan_keys(&[]).next().transpose()?.is_none())
    };
    match format {
        Some(format) => check_version(format.version),
        None if !empty => Err(damaged("the embedded database has lost the store's version")),
        None => {
            let mut group = Group::new(db);
            group.run(|transaction| transaction.put(keys::format(), &Format { version: FORMAT_VERSION }))?;
            group.apply()?;
            db.flush()
        }
    }
}

/// Errors unless this program reads stores of `version`: `Storage` `newer_store`.
pub(super) fn check_version(version: u32) -> Result<()> {
    if version == FORMAT_VERSION {
        return Ok(());
    }
    let message =
        format!("the store has version {version} and this program reads {FORMAT_VERSION}: upgrade the program");
    Err(Error::storage(message).with_code("newer_store"))
}

/// Errors unless the database has a version that this program reads.
pub(super) fn require_format(db: &Db) -> Result<()> {
    let format: Option<Format> = db.view().get(&keys::format())?;
    check_version(format.ok_or_else(|| damaged("the backup has no store's version"))?.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(StoreOptions::new(folder.path())).unwrap());
        {
            let db = Db::open(folder.path(), DEFAULT_CACHE_BYTES).unwrap();
            let mut group = Group::new(&db);
            let newer = Format { version: FORMAT_VERSION + 1 };
            group.run(|transaction| transaction.put(keys::format(), &newer)).unwrap();
            group.apply().unwrap();
            db.flush().unwrap();
        }
        for _ in 0..2 {
            let error = Store::open(StoreOptions::new(folder.path())).err().unwrap();
            assert_eq!(error.code(), "newer_store");
        }
    }
}
