//! Values as the embedded database holds them: none so large that it would put them outside its log.
//!
//! sled 0.34 writes a node of its tree of over a quarter of a segment (128 KiB) to a file of its own in `blobs/`, and
//! flushes neither that file nor its name: after a loss of power, what it had acknowledged is gone, or its log ends
//! there. A leaf holds sixteen values, and some more while two are merged. So a longer value is cut into pieces that
//! lie under keys of their own, where no scan of records comes:
//!
//! ```text
//! key                the value, where it is at most PIECE_BYTES long; else its head:
//!                    0xff, its length (u32), what it adds to the sum (u64), both little-endian
//! 0xff key n         its piece n (u16, big-endian); every piece but the last has PIECE_BYTES
//! 0xff               the sum of all records, see Sum
//! ```
//!
//! A record begins with the version of its layout, which is never 0xff, and no record's key begins with that byte.

use crate::store::keys::Key;

/// The longest value in one piece. Twenty of them, with keys of 400 bytes, stay under 128 KiB.
pub(in crate::store) const PIECE_BYTES: usize = 5 << 10;
/// Every key from this one on is hidden: no record's.
pub(in crate::store) const HIDDEN: &[u8] = &[MARK];
/// The key of the [`Sum`].
pub(in crate::store) const SUM_KEY: &[u8] = HIDDEN;

const MARK: u8 = 0xff;
const HEAD_BYTES: usize = 1 + size_of::<u32>() + size_of::<u64>();

/// What stands in the place of a value in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Head {
    /// Bytes of the value.
    pub(in crate::store) bytes: usize,
    /// What its record adds to the sum.
    pub(in crate::store) weight: u64,
}

impl Head {
    /// The head in what is stored, if it is one.
    pub(in crate::store) fn of(stored: &[u8]) -> Option<Self> {
        let stored: &[u8; HEAD_BYTES] = stored.try_into().ok()?;
        let [MARK, b0, b1, b2, b3, weight @ ..] = *stored else { return None };
        Some(Self { bytes: u32::from_le_bytes([b0, b1, b2, b3]) as usize, weight: u64::from_le_bytes(weight) })
    }

    /// As it is stored.
    pub(in crate::store) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut stored = [MARK; HEAD_BYTES];
        stored[1..5].copy_from_slice(&(self.bytes as u32).to_le_bytes());
        stored[5..].copy_from_slice(&self.weight.to_le_bytes());
        stored
    }

    /// How many pieces the value has.
    pub(in crate::store) const fn pieces(self) -> usize {
        self.bytes.div_ceil(PIECE_BYTES)
    }
}

/// Where piece `number` of the value under `key` lies. A value has at most 205 of them, see `codec`.
pub(in crate::store) fn piece_key(key: &[u8], number: usize) -> Key {
    [HIDDEN, key, &(number as u16).to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_told_from_a_record() {
        let head = Head { bytes: 70_000, weight: 7 };
        assert_eq!(Head::of(&head.to_bytes()), Some(head));
        assert_eq!((head.pieces(), Head { bytes: 2 * PIECE_BYTES, weight: 0 }.pieces()), (14, 2));
        assert_eq!(Head::of(&[1; HEAD_BYTES]), None);
        assert_eq!(Head::of(&[MARK; HEAD_BYTES + 1]), None);
    }
}
