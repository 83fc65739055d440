//! What fuzzing asks of what clients send through a socket.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use actix_web::{dev::Payload, error::PayloadError};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};

use super::frames::bounded;

/// As `frames` has it; written here again, for a limit that grows by accident is to be found.
const MAX_FRAME_BYTES: u64 = 1024;

/// A client's bytes pass up to the piece in which a frame begins that is too large, wherever the network cut them. The
/// first byte says how long the pieces are.
pub fn frames(bytes: &[u8]) {
    let Some((&step, sent)) = bytes.split_first() else { return };
    let step = usize::from(step).max(1);
    let pieces: Vec<Result<_, PayloadError>> =
        sent.chunks(step).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let passed = bounded(Payload::from(stream::iter(pieces).boxed_local()));
    let passed = passed.take_while(|piece| std::future::ready(piece.is_ok())).count().now_or_never();
    let expected = match refused_at(sent) {
        Some(at) => at / step,
        None => sent.len().div_ceil(step),
    };
    assert_eq!(passed, Some(expected), "in pieces of {step}");
}

/// Where the byte stands with which a frame says that it is too large (RFC 6455, 5.2).
fn refused_at(sent: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let second = usize::from(*sent.get(at + 1)?);
        let (last_of_length, length) = match second & 0x7f {
            126 => (at + 3, u64::from(u16::from_be_bytes(sent.get(at + 2..at + 4)?.try_into().ok()?))),
            127 => (at + 9, u64::from_be_bytes(sent.get(at + 2..at + 10)?.try_into().ok()?)),
            short => (at + 1, short as u64),
        };
        if length > MAX_FRAME_BYTES {
            return Some(last_of_length);
        }
        at = last_of_length + 1 + if second & 0x80 == 0 { 0 } else { 4 } + length as usize;
    }
}
