//! What fuzzing asks of every parser: `tests/fuzz/parsers` with what libFuzzer thinks of, the test below with the inputs
//! that are kept of it. Nothing else is compiled with these modules, through which alone it reaches what is private.

pub use crate::{
    http::fuzzing::{addresses, frames, ids, json, multipart},
    intake::fuzzing::{archive, roster, taken},
    service::access::fuzzing::tokens,
    store::fuzzing::{backup, keys, records},
};
// In tests these are asked by their own crates'.
#[cfg(fuzzing)]
pub use crate::{
    nn::import::fuzzing::{onnx, weights},
    vision::decode::fuzzing::{jpeg, photo, png, tiff},
};

#[cfg(test)]
#[path = "../tests/fuzz/parsers/replay.rs"]
mod replay;

#[test]
fn what_fuzzing_found_once_is_read_as_it_should() {
    replay::replay(&[
        ("addresses", addresses),
        ("archive", archive),
        ("backup", backup),
        ("frames", frames),
        ("ids", ids),
        ("json", json),
        ("keys", keys),
        ("multipart", multipart),
        ("records", records),
        ("roster", roster),
        ("taken", taken),
        ("tokens", tokens),
    ]);
}
