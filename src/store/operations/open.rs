//! Opening a store: its folder, its version, and what to say when it is not one.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    domain::Amounts,
    error::Result,
    runtime::{Clock, SystemClock},
    store::{
        Inner, Store,
        engine::{
            Engine,
            committer::{Committer, FlushObserver},
            sled::Sled,
        },
        events::log::{EventLog, EventObserver},
    },
};

/// The layout of keys and records that this program reads and writes.
///
/// Whoever changes it raises this, and writes a step in [`super::migrations`].
pub(in crate::store) const FORMAT_VERSION: u32 = 7;
/// 16 MiB, as `store.cache_bytes` is unless it is set: the database's own default of 1 GiB is more than the rest of the
/// server together.
pub(in crate::store) const DEFAULT_CACHE_BYTES: u64 = 16 << 20;

/// As `events.max_events` is unless it is set.
const DEFAULT_MAX_EVENTS: u64 = 100_000;

/// What no disk holds.
const NO_LIMITS: Amounts = Amounts { people: u64::MAX, groups: u64::MAX, samples: u64::MAX };

/// Told of every look into the store.
pub type ReadObserver = Arc<dyn Fn() + Send + Sync>;

/// How to open a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// Its folder, made where it does not exist.
    pub path: PathBuf,
    /// Memory for pages read from the disk.
    pub cache_bytes: u64,
    /// The limits of a tenant for which nothing else was set.
    pub default_limits: Amounts,
    /// Tells the times of the audit log and of events.
    pub clock: Arc<dyn Clock>,
    /// Told of every flush how long it took.
    pub on_flush: Option<FlushObserver>,
    /// Told of every read.
    pub on_read: Option<ReadObserver>,
    /// The most events that a tenant's log keeps.
    pub max_events: u64,
    /// Told of every event.
    pub on_event: Option<EventObserver>,
    /// Whether it is kept in memory, by the engine for tests.
    #[cfg(test)]
    pub in_memory: bool,
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
            on_read: None,
            max_events: DEFAULT_MAX_EVENTS,
            on_event: None,
            #[cfg(test)]
            in_memory: false,
        }
    }
}

impl StoreOptions {
    fn open_engine(&self) -> Result<Arc<dyn Engine>> {
        #[cfg(test)]
        if self.in_memory {
            return Ok(Arc::new(crate::store::engine::memory::Memory::open(&self.path)));
        }
        Ok(Arc::new(Sled::open(&self.path, self.cache_bytes)?))
    }
}

/// The record under [`keys::format`].
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Format {
    pub(in crate::store) version: u32,
}

impl Store {
    /// Opens the store, or makes an empty one. Blocks while the database recovers.
    ///
    /// Errors, but for `Full` `not_enough_space` of a migration all of kind `Storage`: `store_locked` where another
    /// process has it open, `store_damaged` where it cannot be read or has lost writes that were acknowledged,
    /// `newer_store` where a later version of this program wrote it, `store_io` for what the file system refuses.
    pub fn open(options: StoreOptions) -> Result<Self> {
        let engine = options.open_engine()?;
        let StoreOptions { default_limits, on_flush, on_read, clock, max_events, on_event, .. } = options;
        let inner = Inner {
            committer: Committer::start(&engine, on_flush)?,
            on_read,
            engine,
            rewriting: tokio::sync::Mutex::default(),
            erasures: Arc::default(),
            default_limits,
            clock,
            events: Arc::new(EventLog::new(max_events, on_event)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::operations::migrations::set_version;

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(StoreOptions::new(folder.path())).unwrap());
        set_version(&Sled::open(folder.path(), DEFAULT_CACHE_BYTES).unwrap().live(), FORMAT_VERSION + 1).unwrap();
        for _ in 0..2 {
            let error = Store::open(StoreOptions::new(folder.path())).err().unwrap();
            assert_eq!(error.code(), "newer_store");
        }
    }
}
