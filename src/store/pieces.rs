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

use super::keys::Key;

/// The longest value in one piece. Twenty of them, with keys of 400 bytes, stay under 128 KiB.
pub(super) const PIECE_BYTES: usize = 5 << 10;
/// Every key from this one on is hidden: no record's.
pub(super) const HIDDEN: &[u8] = &[MARK];
/// The key of the [`Sum`].
pub(super) const SUM_KEY: &[u8] = HIDDEN;

const MARK: u8 = 0xff;
const HEAD_BYTES: usize = 1 + size_of::<u32>() + size_of::<u64>();

/// What stands in the place of a value in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the value.
    pub(super) bytes: usize,
    /// What its record adds to the sum.
    pub(super) weight: u64,
}

impl Head {
    /// The head in what is stored, if it is one.
    pub(super) fn of(stored: &[u8]) -> Option<Self> {
        let stored: &[u8; HEAD_BYTES] = stored.try_into().ok()?;
        let [MARK, b0, b1, b2, b3, weight @ ..] = *stored else { return None };
        Some(Self { bytes: u32::from_le_bytes([b0, b1, b2, b3]) as usize, weight: u64::from_le_bytes(weight) })
    }

    /// As it is stored.
    pub(super) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut stored = [MARK; HEAD_BYTES];
        stored[1..5].copy_from_slice(&(self.bytes as u32).to_le_bytes());
        stored[5..].copy_from_slice(&self.weight.to_le_bytes());
        stored
    }

    /// How many pieces the value has.
    pub(super) const fn pieces(self) -> usize {
        self.bytes.div_ceil(PIECE_BYTES)
    }
}

/// Where piece `number` of the value under `key` lies. A value has at most 205 of them, see `codec`.
pub(super) fn piece_key(key: &[u8], number: usize) -> Key {
    [HIDDEN, key, &(number as u16).to_be_bytes()].concat()
}

/// How many records there are, and a number that all of them make: it shows that one is gone or is not what was
/// written, even where nothing refers to it. It is written with every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    /// Records.
    pub(super) records: u64,
    /// Their weights, added without carry beyond 64 bits.
    weights: u64,
}

impl Sum {
    /// As it was stored; `None` where these are other bytes.
    pub(super) fn of(stored: &[u8]) -> Option<Self> {
        let (numbers, []) = stored.as_chunks() else { return None };
        let [records, weights] = *numbers else { return None };
        Some(Self { records: u64::from_le_bytes(records), weights: u64::from_le_bytes(weights) })
    }

    /// As it is stored.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut stored = [0; 16];
        stored[..8].copy_from_slice(&self.records.to_le_bytes());
        stored[8..].copy_from_slice(&self.weights.to_le_bytes());
        stored
    }

    /// Counts a record of this [`weight`].
    pub(super) fn add(&mut self, weight: u64) {
        self.records += 1;
        self.weights = self.weights.wrapping_add(weight);
    }

    /// Takes back [`Self::add`].
    pub(super) fn take(&mut self, weight: u64) {
        self.records = self.records.wrapping_sub(1);
        self.weights = self.weights.wrapping_sub(weight);
    }
}

/// What a record adds to the sum: spread over all numbers, so that two losses do not make up for each other.
pub(super) fn weight(key: &[u8], value: &[u8]) -> u64 {
    let both = (u64::from(crc32c::crc32c(key)) << 32) | u64::from(crc32c::crc32c(value));
    // The finaliser of splitmix64 (Steele, Lea and Flood, 2014).
    let mixed = (both ^ (both >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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

    #[test]
    fn a_sum_tells_records_apart_and_forgets_what_is_taken() {
        let mut sum = Sum::default();
        sum.add(weight(b"a", b"1"));
        let one = sum;
        sum.add(weight(b"b", b"2"));
        let mut other = Sum::default();
        other.add(weight(b"a", b"2"));
        other.add(weight(b"b", b"1"));
        assert_ne!(sum, other, "the same keys and the same values, otherwise");
        assert_eq!(Sum::of(&sum.to_bytes()), Some(sum));
        sum.take(weight(b"b", b"2"));
        assert_eq!(sum, one);
        assert_eq!(Sum::of(b"short"), None);
    }
}
