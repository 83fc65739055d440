//! Reading many records by several threads at once.
//!
//! Nothing says where the middle of a range of keys lies, so it is cut half way between its first and its last key, as
//! numbers, and each half is narrowed to the keys that it holds, and so on: enough ranges, uneven as they are, keep
//! every thread busy to the end.

use std::{
    ops::Bound,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tracing::Span;

use crate::{
    error::Result,
    store::{
        engine::{Readable, View, view::after_all_with},
        keys::Key,
    },
};

/// Records shown under one view: writes wait for no more than this.
const PAGE: usize = 256;
/// Ranges a thread, so that those who are done early find another.
const RANGES_A_THREAD: usize = 16;

/// From the first key to the last, both of them in it.
type Range = (Key, Key);

/// What a thread of [`sweep`] does with the records it comes by.
pub(in crate::store) trait Visitor {
    /// One record. Writes wait while a page of them is shown.
    fn visit(&mut self, key: &[u8], bytes: &[u8]) -> Result<()>;

    /// After each page; nothing waits for this.
    fn page_ends(&mut self) -> Result<()>;
}

/// Shows every record whose key starts with `prefix` to one of `threads` visitors, in no order. Writes go on
/// meanwhile: a record that is added or removed may or may not be shown. The first error ends all.
pub(in crate::store) fn sweep<V: Visitor>(
    stored: &dyn Readable,
    prefix: &[u8],
    threads: usize,
    visitor: impl Fn() -> V + Sync,
) -> Result<()> {
    let ranges = Mutex::new(split(&stored.view()?, prefix, threads)?);
    let failed = AtomicBool::new(false);
    let next = || ranges.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        let mut visitor = visitor();
        while let Some(range) = next() {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            show(stored, range, &mut visitor).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    let span = Span::current();
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| span.in_scope(work))).collect();
        let mut outcome = work();
        for other in others {
            let theirs = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(theirs);
        }
        outcome
    })
}

fn show(stored: &dyn Readable, (first, last): Range, visitor: &mut impl Visitor) -> Result<()> {
    let mut from = Bound::Included(first);
    loop {
        let range = (from.as_ref().map(Vec::as_slice), Bound::Included(last.as_slice()));
        let shown = stored.view()?.visit(range, PAGE, |key, bytes| visitor.visit(key, bytes))?;
        let Some(shown) = shown else { return Ok(()) };
        visitor.page_ends()?;
        from = Bound::Excluded(shown);
    }
}

/// Cuts the keys with this prefix into ranges, the first one last.
fn split(view: &View<'_>, prefix: &[u8], threads: usize) -> Result<Vec<Range>> {
    let beyond = after_all_with(prefix);
    let end = beyond.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut ranges: Vec<Range> = view.ends((Bound::Included(prefix), end))?.into_iter().collect();
    let wanted = if threads > 1 { threads * RANGES_A_THREAD } else { 1 };
    while ranges.len() < wanted {
        let before = ranges.len();
        let mut halves = Vec::with_capacity(2 * before);
        for (first, last) in ranges {
            let middle = middle(&first, &last);
            if first < middle && middle <= last {
                let lower = (Bound::Included(first.as_slice()), Bound::Excluded(middle.as_slice()));
                let upper = (Bound::Included(middle.as_slice()), Bound::Included(last.as_slice()));
                halves.extend(view.ends(lower)?.into_iter().chain(view.ends(upper)?));
            } else {
                halves.push((first, last));
            }
        }
        ranges = halves;
        if ranges.len() == before {
            break;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// Half way between two keys, which are read as fractions of base 256.
fn middle(first: &[u8], last: &[u8]) -> Key {
    let digit = |key: &[u8], at: usize| u16::from(key.get(at).copied().unwrap_or(0));
    let length = first.len().max(last.len()) + 1;
    // From the last digit on: the sum, with its carries, ...
    let mut sum = vec![0_u8; length];
    let mut carry = 0;
    for at in (0..length).rev() {
        let digits = digit(first, at) + digit(last, at) + carry;
        sum[at] = digits as u8;
        carry = digits >> 8;
    }
    // ... and from the first digit on, the half of it.
    for digit in &mut sum {
        let value = carry << 8 | u16::from(*digit);
        *digit = (value / 2) as u8;
        carry = value % 2;
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        error::Error,
        store::{engine::sled::Db, transaction::Writes},
    };

    struct Keys<'a>(&'a Mutex<Vec<Key>>, Vec<Key>);

    impl Visitor for Keys<'_> {
        fn visit(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
            assert_eq!(bytes, key);
            self.1.push(key.to_vec());
            if key == b"x:poison" { Err(Error::internal("poison")) } else { Ok(()) }
        }

        fn page_ends(&mut self) -> Result<()> {
            self.0.lock().unwrap().append(&mut self.1);
            Ok(())
        }
    }

    fn db_with(keys: &BTreeSet<Key>) -> (tempfile::TempDir, Arc<Db>) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path(), 8 << 20).unwrap();
        db.apply(keys.iter().map(|key| (key.clone(), Some(key.clone()))).collect::<Writes>()).unwrap();
        (folder, Arc::new(db))
    }

    fn swept(stored: &dyn Readable, prefix: &[u8], threads: usize) -> Result<Vec<Key>> {
        let seen = Mutex::new(Vec::new());
        sweep(stored, prefix, threads, || Keys(&seen, Vec::new()))?;
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        Ok(seen)
    }

    #[test]
    fn every_record_is_shown_once_however_its_key_is_made() {
        let mut keys = BTreeSet::new();
        for n in 0..3000_u64 {
            keys.insert(format!("a:{n}").into_bytes());
            keys.insert(format!("a:{n:08}").into_bytes());
            keys.insert([b"a:\xff".as_slice(), &n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()].concat());
            keys.insert([b"a:z".as_slice(), &vec![0; n as usize % 50]].concat());
        }
        let wanted: Vec<Key> = keys.iter().cloned().collect();
        keys.extend([b"a9".to_vec(), b"a;".to_vec(), b"b".to_vec(), b"a".to_vec()]);
        let (_folder, db) = db_with(&keys);
        for threads in [1, 2, 7] {
            assert_eq!(swept(&*db, b"a:", threads).unwrap(), wanted, "{threads} threads");
        }
        assert_eq!(swept(&*db, b"b", 4).unwrap(), [b"b".to_vec()]);
        assert_eq!(swept(&*db, b"c", 4).unwrap(), Vec::<Key>::new());
        assert!(split(&db.view().unwrap(), b"a:", 2).unwrap().len() >= 2 * RANGES_A_THREAD);
    }

    #[test]
    fn an_error_ends_all_threads() {
        let mut keys: BTreeSet<Key> = (0..2000).map(|n| format!("x:{n}").into_bytes()).collect();
        keys.insert(b"x:poison".to_vec());
        let (_folder, db) = db_with(&keys);
        assert!(swept(&*db, b"x:", 3).is_err());
    }

    proptest! {
        #[test]
        fn the_middle_lies_between(a in prop::collection::vec(any::<u8>(), 0..6), b in prop::collection::vec(any::<u8>(), 0..6)) {
            let (first, last) = if a < b { (a, b) } else { (b, a) };
            let middle = middle(&first, &last);
            let padded = |key: &[u8]| { let mut key = key.to_vec(); key.resize(7, 0); key };
            prop_assert!(padded(&first) <= padded(&middle) && padded(&middle) <= padded(&last));
        }
    }
}
