//! A number that all records make, by which it shows that one of them is gone.

/// How many records there are, and a number that all of them make: it shows that one is gone or is not what was
/// written, even where nothing refers to it. It is written with every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Sum {
    /// Records.
    pub(in crate::store) records: u64,
    /// Their weights, added without carry beyond 64 bits.
    weights: u64,
}

impl Sum {
    /// As it was stored; `None` where these are other bytes.
    pub(in crate::store) fn of(stored: &[u8]) -> Option<Self> {
        let (numbers, []) = stored.as_chunks() else { return None };
        let [records, weights] = *numbers else { return None };
        Some(Self { records: u64::from_le_bytes(records), weights: u64::from_le_bytes(weights) })
    }

    /// As it is stored.
    pub(in crate::store) fn to_bytes(self) -> [u8; 16] {
        let mut stored = [0; 16];
        stored[..8].copy_from_slice(&self.records.to_le_bytes());
        stored[8..].copy_from_slice(&self.weights.to_le_bytes());
        stored
    }

    /// Counts a record of this [`weight`].
    pub(in crate::store) fn add(&mut self, weight: u64) {
        self.records += 1;
        self.weights = self.weights.wrapping_add(weight);
    }

    /// Takes back [`Self::add`].
    pub(in crate::store) fn take(&mut self, weight: u64) {
        self.records = self.records.wrapping_sub(1);
        self.weights = self.weights.wrapping_sub(weight);
    }
}

/// What a record adds to the sum: spread over all numbers, so that two losses do not make up for each other.
pub(in crate::store) fn weight(key: &[u8], value: &[u8]) -> u64 {
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
