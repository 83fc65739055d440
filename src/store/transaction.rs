//! Operations' reads and writes, and the group in which several are applied at once.
//!
//! A commit costs an engine a write that it waits for, or a round trip, whatever is in it. So operations that wait for
//! each other anyway share one: each sees what those before it wrote, and all of them take place together or not at all.

use std::{collections::BTreeMap, iter::Peekable, ops::Bound};

use super::{
    changes::{self, Changed},
    codec::{self, Record},
    engine::{Commit, Outcome, Read, Snapshot, view::scan_under},
    keys::Key,
    origin::Origin,
};
use crate::{
    domain::{Occurrence, Realm, TenantId},
    error::Result,
};

/// What is to be written: by key, the new bytes or nothing.
#[derive(Default)]
pub(super) struct Writes(BTreeMap<Key, Option<Vec<u8>>>);

impl Writes {
    /// Sets the record under `key`.
    pub(super) fn put<R: Record>(&mut self, key: Key, record: &R) -> Result<()> {
        self.0.insert(key, Some(codec::encode(record)?));
        Ok(())
    }

    /// What is to be set, and what is to be removed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, Option<&[u8]>)> {
        self.0.iter().map(|(key, value)| (key, value.as_deref()))
    }

    /// Those of keys that begin with `prefix` and come after `after`.
    fn under(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = (&Key, &Option<Vec<u8>>)> {
        let (start, prefix) = (after.map_or(Bound::Included(prefix), Bound::Excluded), prefix.to_vec());
        self.0.range::<[u8], _>((start, Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(&prefix))
    }
}

/// In the order of their application: a later change of a key takes the place of an earlier one.
impl FromIterator<(Key, Option<Vec<u8>>)> for Writes {
    fn from_iter<I: IntoIterator<Item = (Key, Option<Vec<u8>>)>>(changes: I) -> Self {
        Self(changes.into_iter().collect())
    }
}

impl IntoIterator for Writes {
    type Item = (Key, Option<Vec<u8>>);
    type IntoIter = std::collections::btree_map::IntoIter<Key, Option<Vec<u8>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Operations whose writes have not reached the engine yet.
pub(super) struct Group<'a> {
    commit: Box<dyn Commit + 'a>,
    writes: Writes,
    changed: Changed,
    bytes: usize,
}

impl<'a> Group<'a> {
    /// None yet.
    pub(super) fn new(commit: Box<dyn Commit + 'a>) -> Self {
        Self { commit, writes: Writes::default(), changed: Changed::new(), bytes: 0 }
    }

    /// Bytes to be written.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Runs an operation; says whether it wrote. One that fails writes nothing.
    pub(super) fn run<T>(&mut self, operation: impl Fn(&mut Transaction<'_>) -> Result<T>) -> Result<(T, bool)> {
        let mut transaction = Transaction {
            stored: &*self.commit,
            earlier: &self.writes,
            own: Writes::default(),
            origin: Origin::default(),
            noted: Vec::new(),
            told: Vec::new(),
        };
        let value = operation(&mut transaction)?;
        let own = transaction.own;
        let wrote = !own.0.is_empty();
        self.bytes += own.0.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum::<usize>();
        self.changed.extend(changes::of(&own));
        self.writes.0.extend(own.0);
        Ok((value, wrote))
    }

    /// Whether it is to be run again in any case, see [`Commit::is_lost`].
    pub(super) fn is_lost(&self) -> bool {
        self.commit.is_lost()
    }

    /// Applies all that was written or nothing. It is durable after the next flush.
    pub(super) fn apply(self) -> Result<Outcome> {
        match self.writes.0.is_empty() {
            true if self.commit.is_lost() => Ok(Outcome::Again),
            true => Ok(Outcome::Done),
            false => self.commit.commit(self.writes, self.changed),
        }
    }
}

/// One operation's reads and writes: it reads what it has written, and what it reads is what was there when the group's
/// commit took place.
pub(super) struct Transaction<'a> {
    stored: &'a dyn Snapshot,
    /// Of the group's operations before this one.
    earlier: &'a Writes,
    own: Writes,
    told: Vec<(TenantId, Occurrence)>,
    origin: Origin,
    /// The realms whose audit log has been told of all that is changed in them.
    noted: Vec<Realm>,
}

impl Transaction<'_> {
    /// Sets the record under `key`.
    pub(super) fn put<R: Record>(&mut self, key: Key, record: &R) -> Result<()> {
        self.own.put(key, record)
    }

    /// Sets bytes that may be no record, to see what becomes of them.
    #[cfg(test)]
    pub(super) fn put_bytes(&mut self, key: Key, bytes: Vec<u8>) {
        self.own.0.insert(key, Some(bytes));
    }

    /// Removes the record under `key`, if there is one.
    pub(super) fn remove(&mut self, key: Key) {
        self.own.0.insert(key, None);
    }

    /// Removes the records under `keys`.
    pub(super) fn remove_each(&mut self, keys: &[Key]) {
        self.own.0.extend(keys.iter().map(|key| (key.clone(), None)));
    }

    /// Has the tenant's event log tell of what the operation does, if it takes place.
    pub(super) fn tell(&mut self, tenant: &TenantId, what: Occurrence) {
        self.told.push((tenant.clone(), what));
    }

    /// What was told and is in no log yet.
    pub(super) fn take_told(&mut self) -> Vec<(TenantId, Occurrence)> {
        std::mem::take(&mut self.told)
    }

    /// Says where what follows comes from.
    pub(super) fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// Where it comes from.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether anything is to be applied.
    pub(super) fn has_written(&self) -> bool {
        !self.own.0.is_empty()
    }

    /// What is to be set, and what is to be removed.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&Key, Option<&[u8]>)> {
        self.own.iter()
    }

    /// Says that the audit log of `realm` has been told of what is changed in it.
    pub(super) fn set_noted(&mut self, realm: &Realm) {
        self.noted.push(realm.clone());
    }

    /// Whether it has been.
    pub(super) fn is_noted(&self, realm: &Realm) -> bool {
        self.noted.contains(realm)
    }

    /// The bytes under `key` as they were before this operation.
    pub(super) fn bytes_before(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.earlier.0.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.stored.get(key),
        }
    }

    /// The keys under which something is to be set.
    pub(super) fn keys_put(&self) -> impl Iterator<Item = &Key> {
        self.own.0.iter().filter_map(|(key, value)| value.as_ref().map(|_| key))
    }
}

impl Read for Transaction<'_> {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.own.0.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.bytes_before(key),
        }
    }

    fn bytes_of(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let written = |key: &Key| self.own.0.get(key).or_else(|| self.earlier.0.get(key));
        let mut stored =
            self.stored.get_many(&keys.iter().filter(|key| written(key).is_none()).cloned().collect::<Vec<_>>())?;
        // The stored ones are taken from the end.
        stored.reverse();
        Ok(keys.iter().map(|key| written(key).map_or_else(|| stored.pop().flatten(), Clone::clone)).collect())
    }

    fn scan_bytes(&self, prefix: &[u8], after: Option<&[u8]>) -> impl Iterator<Item = Result<(Key, Vec<u8>)>> {
        let earlier = self.earlier.under(prefix, after);
        let before =
            Overlaid { stored: scan_under(self.stored, prefix, after).peekable(), written: earlier.peekable() };
        Overlaid { stored: before.peekable(), written: self.own.under(prefix, after).peekable() }
    }

    fn last_key(&self, prefix: &[u8], upto: &[u8]) -> Result<Option<Key>> {
        let mut upto = Bound::Included(upto.to_vec());
        loop {
            let range = (Bound::Included(prefix), upto.as_ref().map(Vec::as_slice));
            let [own, earlier] = [&self.own, self.earlier].map(|writes| writes.0.range::<[u8], _>(range).next_back());
            // Of both under one key the operation's own counts.
            let written = match (own, earlier) {
                (Some(own), Some(earlier)) if earlier.0 > own.0 => Some(earlier),
                (own, earlier) => own.or(earlier),
            };
            let stored = self.stored.last(range)?;
            match (written, stored) {
                (Some((written, bytes)), stored) if stored.as_ref().is_none_or(|stored| stored <= written) => {
                    if bytes.is_some() {
                        return Ok(Some(written.clone()));
                    }
                    upto = Bound::Excluded(written.clone());
                }
                (_, stored) => return Ok(stored),
            }
        }
    }
}

/// Stored records, some of which are written anew or removed, in the order of their keys.
struct Overlaid<S: Iterator, W: Iterator> {
    stored: Peekable<S>,
    written: Peekable<W>,
}

impl<'a, S, W> Iterator for Overlaid<S, W>
where
    S: Iterator<Item = Result<(Key, Vec<u8>)>>,
    W: Iterator<Item = (&'a Key, &'a Option<Vec<u8>>)>,
{
    type Item = Result<(Key, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((written, _)) = self.written.peek() else { return self.stored.next() };
            match self.stored.peek() {
                Some(Err(_)) => return self.stored.next(),
                Some(Ok((stored, _))) if stored < *written => return self.stored.next(),
                Some(Ok((stored, _))) if stored == *written => drop(self.stored.next()),
                _ => {}
            }
            if let Some((key, Some(bytes))) = self.written.next() {
                return Some(Ok((key.clone(), bytes.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::store::engine::{Engine, Readable, sled::Sled};

    /// Keys of one and two letters, so that some are prefixes of others.
    fn changes() -> impl Strategy<Value = Vec<(Key, Option<Vec<u8>>)>> {
        prop::collection::vec(("[ab]{1,3}".prop_map(String::into_bytes), any::<Option<[u8; 1]>>()), 0..12)
            .prop_map(|changes| changes.into_iter().map(|(key, value)| (key, value.map(Vec::from))).collect())
    }

    fn change(transaction: &mut Transaction<'_>, changes: &[(Key, Option<Vec<u8>>)]) {
        for (key, value) in changes {
            match value {
                Some(bytes) => transaction.put_bytes(key.clone(), bytes.clone()),
                None => transaction.remove(key.clone()),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn an_operation_sees_what_it_and_those_before_it_wrote_as_if_it_were_stored(
            stored in changes(), earlier in changes(), failed in changes(), own in changes(),
            prefix in "[ab]{0,2}", after in "[ab]{0,3}",
        ) {
            let folder = tempfile::tempdir().unwrap();
            let db = Sled::open(folder.path(), 1 << 20).unwrap();
            let before: Vec<_> = db.view().unwrap().scan_bytes(&[], None).collect::<Result<_>>().unwrap();
            db.live().apply(stored.iter().cloned().collect()).unwrap();
            let mut plain: BTreeMap<Key, Vec<u8>> = before.into_iter().collect();
            for (key, value) in stored.iter().chain(&earlier).chain(&own) {
                match value {
                    Some(bytes) => plain.insert(key.clone(), bytes.clone()),
                    None => plain.remove(key),
                };
            }
            let (prefix, after) = (prefix.as_bytes(), [prefix.as_bytes(), after.as_bytes()].concat());
            let mut group = Group::new(db.begin().unwrap());
            group.run(|transaction| { change(transaction, &earlier); Ok(()) }).unwrap();
            let failed: Result<((), bool)> = group.run(|transaction| {
                change(transaction, &failed);
                Err(crate::Error::internal("changed its mind"))
            });
            prop_assert!(failed.is_err());
            let (seen, _) = group.run(|transaction| {
                change(transaction, &own);
                let all = transaction.scan_bytes(prefix, None).collect::<Result<Vec<_>>>()?;
                let rest = transaction.scan_bytes(prefix, Some(&after)).collect::<Result<Vec<_>>>()?;
                let last = plain.range(prefix.to_vec()..=after.clone()).next_back().map(|(key, _)| key.clone());
                assert_eq!(transaction.last_key(prefix, &after)?, last);
                let keys: Vec<Key> = stored.iter().chain(&earlier).chain(&own).map(|(key, _)| key.clone()).collect();
                let known: Vec<_> = keys.iter().map(|key| plain.get(key).cloned()).collect();
                assert_eq!(keys.iter().map(|key| transaction.bytes(key)).collect::<Result<Vec<_>>>()?, known);
                assert_eq!(transaction.bytes_of(&keys)?, known);
                Ok((all, rest))
            }).unwrap();
            let expected: Vec<_> = plain.clone().into_iter().filter(|(key, _)| key.starts_with(prefix)).collect();
            let expected_rest: Vec<_> = expected.iter().filter(|(key, _)| *key > after).cloned().collect();
            prop_assert_eq!(seen, (expected, expected_rest));
            group.apply().unwrap();
            let now: Vec<_> = db.view().unwrap().scan_bytes(&[], None).collect::<Result<_>>().unwrap();
            prop_assert_eq!(now, plain.into_iter().collect::<Vec<_>>());
        }
    }
}
