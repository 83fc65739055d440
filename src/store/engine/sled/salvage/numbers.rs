//! sled's way of writing numbers and byte strings.

/// Bytes that are still to be read; each reader gives `None` where they are not what it expects.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    /// Up to 240 in one byte; up to 2287 and 67823 in two and three, the high one first; else the count of bytes that
    /// follow, plus 247, and these, little-endian.
    pub(super) fn number(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ ..=240 => Some(small.into()),
            high @ 241..=248 => Some(240 + 256 * (u64::from(high) - 241) + u64::from(self.byte()?)),
            249 => Some(2288 + 256 * u64::from(self.byte()?) + u64::from(self.byte()?)),
            long => {
                let mut number = [0; 8];
                let taken = self.take(usize::from(long) - 247)?;
                number[..taken.len()].copy_from_slice(taken);
                Some(u64::from_le_bytes(number))
            }
        }
    }

    /// Bytes with their number before them.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read() {
        let cases: [(&[u8], u64); 8] = [
            (&[0], 0),
            (&[240], 240),
            (&[241, 0], 240),
            (&[248, 255], 2287),
            (&[249, 255, 255], 67_823),
            (&[250, 1, 2, 3], 0x03_02_01),
            (&[251, 0, 0, 0, 1], 1 << 24),
            (&[255, 255, 255, 255, 255, 255, 255, 255, 255], u64::MAX),
        ];
        for (bytes, number) in cases {
            assert_eq!(Bytes(bytes).number(), Some(number), "{bytes:?}");
            assert_eq!(Bytes(&bytes[..bytes.len() - 1]).number(), None, "{bytes:?}");
        }
        assert_eq!(Bytes(&[2, 7, 8, 9]).string(), Some(&[7, 8][..]));
        assert_eq!(Bytes(&[4, 7, 8, 9]).string(), None);
    }
}
