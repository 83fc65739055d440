//! What keeps the records: an ordered key-value store. Everything above knows keys and records, and nothing of how an
//! engine keeps them; the rules are written once, above.
//!
//! | engine | for |
//! |---|---|
//! | [`sled`] | one process, embedded |
//! | `memory` | tests: slow, and asks for everything to be run again at random |
//!
//! An engine is a handle that many threads share. It promises:
//!
//! - a [`View`] and a [`Commit`] see whole commits, as of one moment;
//! - a commit takes place as a whole or not at all, and as if no other went on beside it: where it cannot, it asks to be
//!   run again ([`Outcome::Again`]), whatever was read in it;
//! - after [`Engine::flush`] every commit before it survives a loss of power.

pub(super) mod committer;
#[cfg(test)]
pub(super) mod memory;
pub(super) mod sled;
pub(super) mod sum;
pub(super) mod view;

use std::{any::Any, time::Duration};

use self::sum::Sum;
pub(super) use self::view::{Read, View};
use super::keys::Key;
use crate::{
    error::Result,
    store::{
        changes::{Changed, Feed},
        transaction::Writes,
    },
};

/// The part of the keys that is meant.
pub(super) type Range<'a> = (std::ops::Bound<&'a [u8]>, std::ops::Bound<&'a [u8]>);

/// A key and its new value, or nothing where it is removed.
pub(super) type Change = (Key, Option<Vec<u8>>);

/// Keys and their values, in order.
pub(super) type Entries<'a> = Box<dyn Iterator<Item = Result<(Key, Vec<u8>)>> + 'a>;

/// Is shown keys and their values.
pub(super) type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// What is stored, as of one moment.
pub(super) trait Snapshot {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The values under `keys`, in their order. One round trip, where each has one.
    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// What lies in `range`, in the order of the keys.
    fn scan<'a>(&'a self, range: Range<'_>) -> Entries<'a>;

    /// The last key of `range`.
    fn last(&self, range: Range<'_>) -> Result<Option<Key>>;

    /// Shows what lies in `range` in place, at most `limit` of it; the last key shown.
    fn visit(&self, range: Range<'_>, limit: usize, visitor: Visitor<'_>) -> Result<Option<Key>> {
        let mut last = None;
        for entry in self.scan(range).take(limit) {
            let (key, value) = entry?;
            visitor(&key, &value)?;
            last = Some(key);
        }
        Ok(last)
    }
}

/// What can be read of a database, whether it is open to be written or not.
pub(super) trait Readable: Any + Send + Sync {
    /// What is stored now. Keep it short: writes may wait for it.
    fn view(&self) -> Result<View<'_>>;

    /// Grows with every commit; under a [`View`] it stands for what that shows.
    fn commits(&self) -> u64;

    /// The sum of all records as of the last commit, where the engine keeps one.
    fn sum(&self) -> Option<Sum>;

    /// The code of what is wrong with how the engine has laid out its files, as far as no record shows it.
    fn fault(&self) -> Result<Option<&'static str>>;
}

/// See the module.
pub(super) trait Engine: Readable {
    /// How many commits can go on side by side.
    fn lanes(&self) -> usize;

    /// Begins a commit.
    fn begin(&self) -> Result<Box<dyn Commit + '_>>;

    /// What commits have changed: this process's own before [`Self::flush`] has returned, those of others when they are
    /// heard of.
    fn feed(&self) -> &Feed;

    /// Returns when every commit so far would survive a loss of power, and the feed has told of it. Called by one thread
    /// at a time.
    ///
    /// Errors fail the engine: what reached the disk is unknown from then on.
    fn flush(&self) -> Result<()>;

    /// An error once a write has failed: `Storage` `store_failed`. Nothing is acknowledged any more until the store has
    /// been opened afresh.
    fn refuse_if_failed(&self) -> Result<()>;

    /// An error while there is no room for writes: `Full` `disk_full`.
    fn refuse_if_full(&self) -> Result<()>;

    /// Stops all further writes, for good.
    fn fail(&self);

    /// Whether what it keeps is still where it was when it was opened.
    fn is_there(&self) -> bool;

    /// Sees to it that the next start will have the room that it needs. Blocks.
    fn keep_reserve(&self);

    /// Bytes that it takes on the disk.
    fn size_on_disk(&self) -> Result<u64>;

    /// Begins a copy; `None` while another is taken.
    fn copy(&self) -> Option<Box<dyn Copying>>;

    /// Begins to rewrite all that is stored, so that nothing is left on the disk of what was removed; records whose keys
    /// are not to be `kept` are left behind. `None` while a copy is taken.
    fn rewrite(&self, kept: fn(&[u8]) -> bool) -> Option<Box<dyn Rewriting>>;
}

/// What reads and then writes, as if nothing else did meanwhile.
pub(super) trait Commit: Snapshot {
    /// Whether it is to be run again, whatever has been made of what it read.
    fn is_lost(&self) -> bool {
        false
    }

    /// Applies all of `writes` or none; `changed` is what the feed tells of them. Errors fail the engine.
    fn commit(self: Box<Self>, writes: Writes, changed: Changed) -> Result<Outcome>;
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has taken place.
    Done,
    /// Another came between: nothing was written, and all of it is to be run again.
    Again,
}

/// A copy of all that is stored as of one moment, taken while writes go on.
pub(super) trait Copying: Send {
    /// The next page, in which a later change of a key takes the place of an earlier one; `None` where there is no more.
    /// The moment is that of the last page.
    ///
    /// Errors: `Storage` `damaged_record` for a record that is not what was written; `Overloaded` `copy_outrun`.
    fn page(&mut self) -> Result<Option<Vec<Change>>>;
}

/// A rewrite under way. Dropped before its end, it leaves everything as it was.
pub(super) trait Rewriting: Send {
    /// Does some of it; whether what is left is little enough for [`Self::finish`]. Blocks.
    fn step(&mut self) -> Result<bool>;

    /// Does the rest, and returns how long writes waited for it. Blocks until nobody reads what was there before.
    fn finish(self: Box<Self>) -> Result<Duration>;
}
