//! The embedded engine: sled, one database in a folder, one commit at a time. The only place that names sled.
//!
//! | module | holds |
//! |---|---|
//! | `db` | one database |
//! | `pieces` | long values as it holds them |
//! | `files`, `marker` | its files, and how far it had come |
//! | `folders` | which database is live |
//! | `copy` | a copy as of one moment, while it serves |
//! | `rewrite` | such a copy in the database's own place, without what was removed |
//! | `salvage` | what can be read of a database that does not open |

mod copy;
mod db;
pub(in crate::store) mod files;
pub(in crate::store) mod folders;
pub(in crate::store) mod marker;
pub(in crate::store) mod pieces;
mod rewrite;
mod salvage;

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::{RwLock, RwLockReadGuard};

use self::{
    copy::Copy,
    db::{Between, Watch},
};
pub(in crate::store) use self::{
    db::Db,
    folders::Folders,
    rewrite::{close_and_remove, require_space},
};
pub use self::{
    folders::copy_closed,
    salvage::{Inspection, Salvaged, inspect, salvage},
};
use super::{Change, Commit, Copying, Engine, Entries, Outcome, Range, Readable, Rewriting, Snapshot, View, sum::Sum};
use crate::{
    error::Result,
    store::{
        changes::{Changed, Feed},
        keys::Key,
        operations::migrations,
        transaction::Writes,
    },
};

/// See the module. Dropping it lets others open its folder.
pub(in crate::store) struct Sled {
    shared: Arc<Shared>,
}

/// What a rewrite shares with the engine.
struct Shared {
    /// Replaced by a rewrite.
    live: ArcSwap<Db>,
    folders: Folders,
    cache_bytes: u64,
    /// Held shared by a commit, and exclusively while another database becomes the live one.
    writing: RwLock<()>,
    feed: Feed,
}

impl Sled {
    /// Opens the store's folder, made where it does not exist, and brings it to this program's version. Blocks while the
    /// database recovers. Errors as for [`Store::open`](crate::store::Store::open).
    pub(in crate::store) fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        let folders = Folders::open(path)?;
        let db = Db::open(&folders.live(), cache_bytes)?;
        let live = ArcSwap::from_pointee(migrations::run(db, &folders, cache_bytes)?);
        folders.keep_only_live()?;
        Ok(Self {
            shared: Arc::new(Shared { live, folders, cache_bytes, writing: RwLock::new(()), feed: Feed::default() }),
        })
    }

    /// Makes a store in the folder `path`, which must not hold one, of the pages that `next` gives; `require` may refuse
    /// it when it is whole. Blocks.
    pub(in crate::store) fn fill(
        path: &Path,
        cache_bytes: u64,
        mut next: impl FnMut() -> Result<Option<Vec<Change>>>,
        require: impl FnOnce(&Db) -> Result<()>,
    ) -> Result<()> {
        let folders = Folders::open(path)?;
        let db = Db::open(&folders.live(), cache_bytes)?;
        while let Some(page) = next()? {
            db.apply(page.into_iter().collect())?;
        }
        require(&db)?;
        db.flush()?;
        folders.keep_only_live()
    }

    /// Watches the live database, and none that another has just taken the place of.
    fn watch(&self) -> Option<Watch> {
        loop {
            let live = self.live();
            let watch = live.watch()?;
            if Arc::ptr_eq(&live, &self.live()) {
                return Some(watch);
            }
        }
    }

    /// The live database. Who holds on to it goes on reading what it was before a rewrite.
    pub(in crate::store) fn live(&self) -> Arc<Db> {
        self.shared.live.load_full()
    }
}

impl Readable for Sled {
    fn view(&self) -> Result<View<'_>> {
        Ok(View::new(Between::batches_of(self.live())))
    }

    fn commits(&self) -> u64 {
        self.live().commits()
    }

    fn sum(&self) -> Option<Sum> {
        self.live().sum()
    }

    fn fault(&self) -> Result<Option<&'static str>> {
        self.live().fault()
    }
}

impl Engine for Sled {
    /// A batch costs sled a write and a wait, whatever is in it: commits share one.
    fn lanes(&self) -> usize {
        1
    }

    fn begin(&self) -> Result<Box<dyn Commit + '_>> {
        let writing = self.shared.writing.read();
        Ok(Box::new(Alone { db: self.live(), feed: &self.shared.feed, _writing: writing }))
    }

    fn flush(&self) -> Result<()> {
        let changed = self.shared.feed.take_staged();
        // Asked for only now: whatever was applied to a database before is in this one.
        // Where it fails, so does whichever is live by then.
        self.live().flush().inspect_err(|_| self.fail())?;
        self.shared.feed.tell(changed);
        Ok(())
    }

    fn feed(&self) -> &Feed {
        &self.shared.feed
    }

    fn refuse_if_failed(&self) -> Result<()> {
        self.live().refuse_if_failed()
    }

    fn refuse_if_full(&self) -> Result<()> {
        self.live().refuse_if_full()
    }

    fn fail(&self) {
        self.live().fail();
    }

    fn is_there(&self) -> bool {
        self.shared.folders.is_there()
    }

    fn keep_reserve(&self) {
        self.shared.folders.make_reserve();
    }

    fn size_on_disk(&self) -> Result<u64> {
        self.live().size_on_disk()
    }

    fn copy(&self) -> Option<Box<dyn Copying>> {
        Some(Box::new(Copy::new(self.watch()?)))
    }

    fn rewrite(&self, kept: fn(&[u8]) -> bool) -> Option<Box<dyn Rewriting>> {
        let copy = Copy::new(self.watch()?);
        Some(Box::new(rewrite::Rewrite::new(Arc::clone(&self.shared), copy, kept)))
    }
}

/// The one commit under way: nothing else writes, so it reads the database as it is.
struct Alone<'a> {
    db: Arc<Db>,
    feed: &'a Feed,
    _writing: RwLockReadGuard<'a, ()>,
}

impl Snapshot for Alone<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get(key)
    }

    fn scan<'a>(&'a self, range: Range<'_>) -> Entries<'a> {
        self.db.scan(range)
    }

    fn last(&self, range: Range<'_>) -> Result<Option<Key>> {
        self.db.last(range)
    }
}

impl Commit for Alone<'_> {
    fn commit(self: Box<Self>, writes: Writes, changed: Changed) -> Result<Outcome> {
        self.db.apply(writes)?;
        self.feed.stage(changed);
        Ok(Outcome::Done)
    }
}
