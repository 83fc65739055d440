//! What a client may send through a WebSocket: small frames, refused by what their heads announce, before any of it has
//! come. The parser behind would wait for the whole frame, and keep it.

use actix_web::{dev::Payload, error::PayloadError};
use futures_util::StreamExt;

/// The most bytes of a frame: nobody listens to what clients say, and a ping carries at most 125.
const MAX_FRAME_BYTES: u64 = 1024;

/// Set in the second byte of a head that a mask ends.
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;

/// A client's bytes, which end with an error at the head of a frame that is too large.
pub(super) fn bounded(payload: Payload) -> Payload {
    let mut place = Place::default();
    let frames = payload.map(move |chunk| -> Result<_, PayloadError> {
        let chunk = chunk?;
        place.pass(&chunk)?;
        Ok(chunk)
    });
    Payload::from(frames.boxed_local())
}

/// Where in a frame the bytes are.
#[derive(Default)]
struct Place {
    /// What has come of the head.
    head: Vec<u8>,
    /// What is still to come of the content, in bytes.
    content: u64,
}

impl Place {
    /// Follows the next bytes.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), PayloadError> {
        loop {
            let passed = bytes.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
            self.content -= passed as u64;
            let Some((&next, rest)) = bytes[passed..].split_first() else { return Ok(()) };
            bytes = rest;
            self.head.push(next);
            let Some(head) = Head::read(&self.head) else { continue };
            if head.content > MAX_FRAME_BYTES {
                return Err(PayloadError::Overflow);
            }
            if self.head.len() == head.bytes {
                self.content = head.content;
                self.head.clear();
            }
        }
    }
}

/// A frame's head (RFC 6455, 5.2).
struct Head {
    /// Its own length.
    bytes: usize,
    /// How many bytes of content follow it.
    content: u64,
}

impl Head {
    /// What the first bytes of a head say, once they say how much follows.
    fn read(bytes: &[u8]) -> Option<Self> {
        let second = *bytes.get(1)?;
        let longer = &bytes[2..];
        let (length_bytes, content) = match second & !MASKED {
            126 => (2, u16::from_be_bytes(*longer.first_chunk()?).into()),
            127 => (8, u64::from_be_bytes(*longer.first_chunk()?)),
            short => (0, short.into()),
        };
        let mask_bytes = if second & MASKED == 0 { 0 } else { MASK_BYTES };
        Some(Self { bytes: 2 + length_bytes + mask_bytes, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked text frame's head and as much content as it announces, up to what is allowed.
    fn frame(length: u64) -> Vec<u8> {
        let mut frame = vec![0x81];
        match length {
            0..126 => frame.push(MASKED | length as u8),
            126..0x1_0000 => {
                frame.push(MASKED | 0x7e);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 0x7f);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([0; MASK_BYTES]);
        frame.extend(vec![0xff; length.min(MAX_FRAME_BYTES) as usize]);
        frame
    }

    fn passes(bytes: &[u8], step: usize) -> bool {
        let mut place = Place::default();
        bytes.chunks(step).all(|chunk| place.pass(chunk).is_ok())
    }

    #[test]
    fn frames_pass_up_to_the_limit_however_they_are_cut() {
        let lengths = [0, 1, 125, 126, 127, 1000, MAX_FRAME_BYTES];
        let all: Vec<u8> = lengths.into_iter().flat_map(frame).collect();
        for step in [1, 2, 3, 7, 100, all.len()] {
            assert!(passes(&all, step), "{step}");
            for length in [MAX_FRAME_BYTES + 1, 0xffff, 0x1_0000, 1 << 62, u64::MAX] {
                let bytes = [&all[..], &frame(length)].concat();
                assert!(!passes(&bytes, step), "{length} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_head_is_refused_before_its_mask_and_its_content() {
        for length in [MAX_FRAME_BYTES + 1, 1 << 62] {
            let bytes = frame(length);
            let announced = if length < 0x1_0000 { 4 } else { 10 };
            assert!(passes(&bytes[..announced - 1], 1) && !passes(&bytes[..announced], 1), "{length}");
        }
    }
}
