//! What a log tells, done once more: the newest readable version of everything, as far as the log goes.
//!
//! A page says all that its range of keys holds, and so also what is no longer there. Done in the order of the log,
//! pages and changes end in what the database held, but for what cannot be read: there an older version stays.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
};

use super::{
    log::{Entry, Log, Message},
    page::{Change, Leaf},
};
use crate::{
    error::Result,
    store::{
        engine::sled::db::{Db, FLUSHES},
        keys::Key,
    },
};

/// Bytes that gather before they are written.
const BATCH_BYTES: usize = 4 << 20;

/// A replay under way.
pub(super) struct Replay<'a> {
    into: &'a Db,
    /// By key: what is stored under it, or that nothing is.
    pending: BTreeMap<Key, Option<Vec<u8>>>,
    bytes: usize,
    /// What the keys of each leaf begin with.
    prefixes: HashMap<u64, Vec<u8>>,
    /// Pages of the tree that holds the number of the last flush.
    of_flushes: HashSet<u64>,
    /// The number of the last flush.
    pub(super) flush: Option<u64>,
    /// Changes of pages of which it is not known what their keys begin with, or that say nothing readable.
    pub(super) lost_changes: u64,
    /// Up to which place in the log a batch goes of which a part is missing at the log's end.
    skipped_to: i64,
}

impl<'a> Replay<'a> {
    pub(super) fn new(into: &'a Db) -> Self {
        Self {
            into,
            pending: BTreeMap::new(),
            bytes: 0,
            prefixes: HashMap::new(),
            of_flushes: HashSet::new(),
            flush: None,
            lost_changes: 0,
            skipped_to: 0,
        }
    }

    pub(super) fn run(&mut self, log: &mut Log) -> Result<()> {
        let end = log.end()?;
        log.each(|entry| self.entry(entry, end))?;
        self.write()
    }

    fn entry(&mut self, Entry { at, page, message }: Entry, end: i64) -> Result<()> {
        match message {
            // Nobody was told of a batch that is not there as a whole.
            Message::BatchUpTo(last) if last > end => self.skipped_to = last,
            Message::BatchUpTo(_) => {}
            _ if at < self.skipped_to => {}
            Message::Page(body) => {
                if let Some(leaf) = Leaf::read(&body) {
                    self.leaf(page, leaf)?;
                }
            }
            Message::Change(body) => self.change(page, &body),
        }
        if self.bytes > BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn leaf(&mut self, page: u64, leaf: Leaf) -> Result<()> {
        let flush = leaf.stored.iter().find(|(key, _)| key == FLUSHES);
        if let Some((_, number)) = flush {
            self.of_flushes.insert(page);
            self.note_flush(number);
            return Ok(());
        }
        let is_new_tree = leaf.low.is_empty() && leaf.high.is_empty() && leaf.stored.is_empty();
        if is_new_tree || self.of_flushes.contains(&page) {
            return Ok(());
        }
        self.forget_range(&leaf)?;
        for (key, value) in leaf.stored {
            self.set(key, Some(value));
        }
        self.prefixes.insert(page, leaf.prefix);
        Ok(())
    }

    /// What was in the range and is not in the leaf is gone.
    fn forget_range(&mut self, leaf: &Leaf) -> Result<()> {
        let high = if leaf.high.is_empty() { Bound::Unbounded } else { Bound::Excluded(leaf.high.as_slice()) };
        let range = (Bound::Included(leaf.low.as_slice()), high);
        let mut gone = self.into.stored_keys(range)?;
        gone.extend(self.pending.range::<[u8], _>(range).map(|(key, _)| key.clone()));
        for key in gone {
            self.set(key, None);
        }
        Ok(())
    }

    fn change(&mut self, page: u64, body: &[u8]) {
        let change = Change::read(body);
        if let Some(Change::Set(FLUSHES, number)) = change {
            self.of_flushes.insert(page);
            return self.note_flush(number);
        }
        // What is no change of a record only says how pages are merged.
        let (end, value) = match change {
            Some(Change::Set(end, value)) => (end, Some(value.to_vec())),
            Some(Change::Remove(end)) => (end, None),
            None => return,
        };
        match self.prefixes.get(&page) {
            Some(prefix) => {
                let key = [prefix, end].concat();
                self.set(key, value);
            }
            None => self.lost_changes += 1,
        }
    }

    fn note_flush(&mut self, number: &[u8]) {
        self.flush = number.try_into().ok().map(u64::from_be_bytes).max(self.flush);
    }

    fn set(&mut self, key: Key, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.pending.insert(key, value);
    }

    fn write(&mut self) -> Result<()> {
        self.bytes = 0;
        self.into.set_stored(std::mem::take(&mut self.pending))
    }
}
