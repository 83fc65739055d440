//! Reading records, whatever keeps them.

use std::ops::Bound;

use super::{Entries, Range, Snapshot};
use crate::{
    error::Result,
    store::{
        codec::{self, Record},
        keys::Key,
    },
};

/// What is stored, as of one moment; it must not be kept for long.
pub(in crate::store) struct View<'a>(Box<dyn Snapshot + 'a>);

impl<'a> View<'a> {
    pub(super) fn new(snapshot: impl Snapshot + 'a) -> Self {
        Self(Box::new(snapshot))
    }

    /// See [`Snapshot::visit`].
    pub(in crate::store) fn visit(
        &self,
        range: Range<'_>,
        limit: usize,
        mut visitor: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<Option<Key>> {
        self.0.visit(range, limit, &mut visitor)
    }

    /// The first and the last key of `range`.
    pub(in crate::store) fn ends(&self, range: Range<'_>) -> Result<Option<(Key, Key)>> {
        let Some(first) = self.0.visit(range, 1, &mut |_, _| Ok(()))? else { return Ok(None) };
        let last = self.0.last(range)?;
        Ok(Some((first.clone(), last.unwrap_or(first))))
    }
}

/// Reading, whether inside an operation or beside it.
pub(in crate::store) trait Read {
    /// The bytes under `key`.
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The bytes under each of `keys`, in their order: at the cost of one.
    fn bytes_of(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>>;

    /// Keys and bytes whose key starts with `prefix` and lies after `after`, in the order of their keys.
    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>>;

    /// The last key that starts with `prefix` and is not after `upto`, which starts with it too.
    fn last_key(&self, prefix: &[u8], upto: &[u8]) -> Result<Option<Key>>;

    /// The record under `key`.
    fn get<R: Record>(&self, key: &[u8]) -> Result<Option<R>> {
        self.bytes(key)?.map(|bytes| codec::decode(&bytes)).transpose()
    }

    /// The records under each of `keys`, in their order.
    fn get_many<R: Record>(&self, keys: &[Key]) -> Result<Vec<Option<R>>> {
        let decoded = |bytes: Option<Vec<u8>>| bytes.map(|bytes| codec::decode(&bytes)).transpose();
        self.bytes_of(keys)?.into_iter().map(decoded).collect()
    }

    /// Whether there is a record under `key`.
    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.bytes(key)?.is_some())
    }

    /// The records of [`Self::scan_bytes`].
    fn scan<R: Record>(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<R>> {
        self.scan_bytes(prefix, after).map(|entry| codec::decode(&entry?.1))
    }

    /// The keys of [`Self::scan_bytes`].
    fn scan_keys(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Key>> {
        self.scan_bytes(prefix, None).map(|entry| Ok(entry?.0))
    }
}

impl Read for View<'_> {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(key)
    }

    fn bytes_of(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        self.0.get_many(keys)
    }

    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>> {
        scan_under(&*self.0, prefix, after)
    }

    fn last_key(&self, prefix: &[u8], upto: &[u8]) -> Result<Option<Key>> {
        self.0.last((Bound::Included(prefix), Bound::Included(upto)))
    }
}

/// What lies under `prefix` and after `after`, in order.
pub(in crate::store) fn scan_under<'a>(snapshot: &'a dyn Snapshot, prefix: &[u8], after: Option<&[u8]>) -> Entries<'a> {
    let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
    let beyond = after_all_with(prefix);
    snapshot.scan((start, beyond.as_deref().map_or(Bound::Unbounded, Bound::Excluded)))
}

/// The least key that is greater than all with this prefix; `None` where there is none.
pub(in crate::store) fn after_all_with(prefix: &[u8]) -> Option<Key> {
    let end = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut key = prefix[..=end].to_vec();
    key[end] += 1;
    Some(key)
}
