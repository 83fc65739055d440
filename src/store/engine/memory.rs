//! An engine for tests, in memory: slow, several commits at a time, and it asks for everything to be run again, at random
//! and where another commit came between. What is right on it does not depend on how sled goes about its work.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Change, Commit, Copying, Engine, Entries, Outcome, Range, Readable, Rewriting, Snapshot, View, sum::Sum};
use crate::{
    error::{Error, Result},
    store::{
        changes::{Changed, Feed},
        codec,
        failures::outrun,
        keys::{self, Key},
        operations::open::{FORMAT_VERSION, Format},
        transaction::Writes,
    },
};

/// How long a commit takes.
const SLOW: Duration = Duration::from_micros(100);
/// One commit in so many is to be run again for no reason, and one in so many loses what it reads midway.
const AGAIN_IN: u64 = 5;
const LOST_IN: u64 = 7;
/// The most reads before such a one is lost.
const READS: u64 = 12;
const PAGE: usize = 256;

type Content = Arc<BTreeMap<Key, Arc<[u8]>>>;

/// What outlives a store that is closed, by the folder in which another engine would have it.
static DISKS: LazyLock<Mutex<HashMap<PathBuf, Arc<Disk>>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Disk {
    /// With the number of commits that have made it.
    content: Mutex<(Content, u64)>,
    is_copied: AtomicBool,
}

/// See the module.
pub(in crate::store) struct Memory {
    disk: Arc<Disk>,
    random: AtomicU64,
    has_failed: AtomicBool,
    feed: Feed,
}

impl Memory {
    /// What was kept for `path`, or an empty store.
    pub(in crate::store) fn open(path: &Path) -> Self {
        let disk = Arc::clone(DISKS.lock().unwrap().entry(path.to_owned()).or_default());
        let format = codec::encode(&Format { version: FORMAT_VERSION }).unwrap();
        Arc::make_mut(&mut disk.content.lock().unwrap().0).entry(keys::format()).or_insert(format.into());
        Self { disk, random: AtomicU64::new(1), has_failed: AtomicBool::new(false), feed: Feed::default() }
    }

    /// A number that looks random: splitmix64 (Steele, Lea and Flood, 2014).
    fn random(&self) -> u64 {
        let seed = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn content(&self) -> (Content, u64) {
        self.disk.content.lock().unwrap().clone()
    }
}

impl Snapshot for Content {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(BTreeMap::get(self, key).map(|value| value.to_vec()))
    }

    fn scan<'a>(&'a self, range: Range<'_>) -> Entries<'a> {
        let (Bound::Included(start) | Bound::Excluded(start)) = range.0 else { panic!("every scan has a start") };
        // Where a map would panic.
        let is_empty = |end: &[u8]| end < start || (end == start && range.0 != range.1);
        if matches!(range.1, Bound::Included(end) | Bound::Excluded(end) if is_empty(end)) {
            return Box::new(std::iter::empty());
        }
        Box::new(self.range::<[u8], _>(range).map(|(key, value)| Ok((key.clone(), value.to_vec()))))
    }

    fn last(&self, range: Range<'_>) -> Result<Option<Key>> {
        Ok(self.range::<[u8], _>(range).next_back().map(|(key, _)| key.clone()))
    }
}

impl Readable for Memory {
    fn view(&self) -> Result<View<'_>> {
        Ok(View::new(self.content().0))
    }

    fn commits(&self) -> u64 {
        self.content().1
    }

    fn sum(&self) -> Option<Sum> {
        None
    }

    fn fault(&self) -> Result<Option<&'static str>> {
        Ok(None)
    }
}

impl Engine for Memory {
    fn lanes(&self) -> usize {
        3
    }

    fn begin(&self) -> Result<Box<dyn Commit + '_>> {
        let (content, number) = self.content();
        let reads_left = if self.random().is_multiple_of(LOST_IN) { Some(self.random() % READS) } else { None };
        Ok(Box::new(Optimist { engine: self, content, number, reads_left: Cell::new(reads_left) }))
    }

    fn flush(&self) -> Result<()> {
        self.feed.tell(self.feed.take_staged());
        self.refuse_if_failed()
    }

    fn feed(&self) -> &Feed {
        &self.feed
    }

    fn refuse_if_failed(&self) -> Result<()> {
        let has_failed = self.has_failed.load(Ordering::Acquire);
        if has_failed { Err(Error::storage("a write has failed").with_code("store_failed")) } else { Ok(()) }
    }

    fn refuse_if_full(&self) -> Result<()> {
        Ok(())
    }

    fn fail(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    fn is_there(&self) -> bool {
        true
    }

    fn keep_reserve(&self) {}

    fn size_on_disk(&self) -> Result<u64> {
        Ok(self.content().0.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }

    fn copy(&self) -> Option<Box<dyn Copying>> {
        let claim = Claim::of(&self.disk)?;
        Some(Box::new(Copy { claim, pages: None }))
    }

    fn rewrite(&self, kept: fn(&[u8]) -> bool) -> Option<Box<dyn Rewriting>> {
        Some(Box::new(Rewrite(Claim::of(&self.disk)?, kept)))
    }
}

/// A commit that hopes that none comes between.
struct Optimist<'a> {
    engine: &'a Memory,
    content: Content,
    number: u64,
    /// What it may still read before it is lost, where it is to be.
    reads_left: Cell<Option<u64>>,
}

impl Optimist<'_> {
    fn read(&self) -> Result<()> {
        match self.reads_left.get() {
            Some(0) => Err(Error::internal("lost: to be run again")),
            left => {
                self.reads_left.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

impl Snapshot for Optimist<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read()?;
        Snapshot::get(&self.content, key)
    }

    fn scan<'a>(&'a self, range: Range<'_>) -> Entries<'a> {
        match self.read() {
            Ok(()) => self.content.scan(range),
            Err(lost) => Box::new(std::iter::once(Err(lost))),
        }
    }

    fn last(&self, range: Range<'_>) -> Result<Option<Key>> {
        self.read()?;
        Snapshot::last(&self.content, range)
    }
}

impl Commit for Optimist<'_> {
    fn is_lost(&self) -> bool {
        self.reads_left.get() == Some(0)
    }

    fn commit(self: Box<Self>, writes: Writes, changed: Changed) -> Result<Outcome> {
        if self.is_lost() || self.engine.random().is_multiple_of(AGAIN_IN) {
            return Ok(Outcome::Again);
        }
        thread::sleep(SLOW);
        let Self { engine, content, number, .. } = *self;
        drop(content);
        let mut present = engine.disk.content.lock().unwrap();
        if present.1 != number {
            return Ok(Outcome::Again);
        }
        let content = Arc::make_mut(&mut present.0);
        for (key, value) in writes {
            match value {
                Some(value) => content.insert(key, value.into()),
                None => content.remove(&key),
            };
        }
        present.1 += 1;
        engine.feed.stage(changed);
        Ok(Outcome::Done)
    }
}

/// The one copy that is taken.
struct Claim(Arc<Disk>);

impl Claim {
    fn of(disk: &Arc<Disk>) -> Option<Self> {
        (!disk.is_copied.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(disk)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.is_copied.store(false, Ordering::Release);
    }
}

struct Copy {
    claim: Claim,
    /// The last page first.
    pages: Option<Vec<Vec<Change>>>,
}

impl Copying for Copy {
    fn page(&mut self) -> Result<Option<Vec<Change>>> {
        let pages = self.pages.get_or_insert_with(|| {
            let content = self.claim.0.content.lock().unwrap().0.clone();
            let all: Vec<Change> = content.iter().map(|(key, value)| (key.clone(), Some(value.to_vec()))).collect();
            all.chunks(PAGE).rev().map(<[Change]>::to_vec).collect()
        });
        Ok(pages.pop())
    }
}

struct Rewrite(Claim, fn(&[u8]) -> bool);

impl Rewriting for Rewrite {
    fn step(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn finish(self: Box<Self>) -> Result<Duration> {
        let mut present = self.0.0.content.lock().map_err(|_| outrun())?;
        Arc::make_mut(&mut present.0).retain(|key, _| (self.1)(key));
        present.1 += 1;
        Ok(Duration::ZERO)
    }
}
