//! Where heads of requests end (RFC 9112, 2.1): with an empty line behind one that is not. Lines end with LF, with CR
//! before it or without, as the parser behind takes them.

/// Follows bytes through a head.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadEnd {
    /// Whether a line with something in it has ended: empty lines before a head are none of it.
    has_line: bool,
    /// Whether there is something in the line by now.
    is_in_line: bool,
}

impl HeadEnd {
    /// How many of the bytes, which follow those of before, come before the end of the head, the end included: all of them
    /// where it does not end in them. Whether it does; then the next head begins.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        match bytes.iter().position(|&byte| self.ends_with(byte)) {
            Some(last) => {
                *self = Self::default();
                (last + 1, true)
            }
            None => (bytes.len(), false),
        }
    }

    fn ends_with(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' => {
                let is_end = self.has_line && !self.is_in_line;
                self.has_line |= self.is_in_line;
                self.is_in_line = false;
                is_end
            }
            b'\r' => false,
            _ => {
                self.is_in_line = true;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_empty_line_however_it_is_cut() {
        const HEADS: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\nA:\r\nB: \r\n\r\n",
            b"GET / HTTP/1.1\n\n",
            b"POST / HTTP/1.1\r\nContent-Length: 2\n\r\n",
        ];
        let all = HEADS.concat();
        for step in [1, 2, 3, 5, all.len()] {
            let (mut end, mut ends, mut at) = (HeadEnd::default(), Vec::new(), 0);
            while at < all.len() {
                let (passed, is_end) = end.pass(&all[at..all.len().min(at + step)]);
                at += passed;
                ends.extend(is_end.then_some(at));
            }
            let mut expected = 0;
            let expected = HEADS.map(|head| {
                expected += head.len();
                expected
            });
            assert_eq!(ends, expected, "in steps of {step}");
        }
    }
}
