//! What a message says of a page of sled's tree. Only leaves hold records.

use super::numbers::Bytes;

/// A leaf: all keys of a range, from `low` up to `high`, with what is stored under them.
pub(super) struct Leaf {
    pub(super) low: Vec<u8>,
    /// Not in it; empty for the last leaf.
    pub(super) high: Vec<u8>,
    pub(super) stored: Vec<(Vec<u8>, Vec<u8>)>,
    /// What all keys begin with.
    pub(super) prefix: Vec<u8>,
}

/// A change of a leaf, its key without the leaf's prefix.
pub(super) enum Change<'a> {
    Set(&'a [u8], &'a [u8]),
    Remove(&'a [u8]),
}

impl Leaf {
    /// `None` for what is no leaf.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(body);
        let (_next, _merging_child, _merging) = (bytes.number()?, bytes.number()?, bytes.byte()?);
        let prefix = usize::from(bytes.byte()?);
        let (low, high) = (bytes.string()?, bytes.string()?);
        let prefix = low.get(..prefix)?;
        if bytes.byte()? != 0 {
            return None;
        }
        let count = usize::try_from(bytes.number()?).ok()?;
        let keys = (0..count).map(|_| Some([prefix, bytes.string()?].concat())).collect::<Option<Vec<_>>>()?;
        let values = (0..count).map(|_| Some(bytes.string()?.to_vec())).collect::<Option<Vec<_>>>()?;
        let stored = keys.into_iter().zip(values).collect();
        bytes.0.is_empty().then(|| Self { low: low.to_vec(), high: high.to_vec(), stored, prefix: prefix.to_vec() })
    }
}

impl<'a> Change<'a> {
    /// `None` for what changes no record.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes(body);
        let change = match bytes.byte()? {
            0 => Self::Set(bytes.string()?, bytes.string()?),
            1 => Self::Remove(bytes.string()?),
            _ => return None,
        };
        bytes.0.is_empty().then_some(change)
    }
}
