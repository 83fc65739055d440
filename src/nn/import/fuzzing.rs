//! What fuzzing asks of the readers of networks: `tests/fuzz/parsers` with what libFuzzer thinks of, the test below with
//! the inputs that are kept of it.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use std::collections::HashSet;

use super::{Arch, architectures::tensors, onnx::Graph, weights::check_architecture};

/// What is taken out of a graph has names of its own, and as many numbers as its shape says. The first byte says which
/// architecture the rest is read as.
pub fn onnx(bytes: &[u8]) {
    let Some((arch, model)) = chosen(bytes) else { return };
    let Ok(named) = Graph::decode(model).and_then(|graph| tensors(arch, &graph)) else { return };
    let names: HashSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), named.len(), "a name is there twice");
    for (name, weight) in &named {
        let numbers = weight.shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        assert_eq!(numbers, Some(weight.values.len()), "{name} of {:?}", weight.shape);
    }
}

/// Weights are those of their architecture, or refused as such.
pub fn weights(bytes: &[u8]) {
    let Some((arch, file)) = chosen(bytes) else { return };
    if let Err(error) = check_architecture(arch, file) {
        assert_eq!(error.code(), "bad_model");
    }
}

fn chosen(bytes: &[u8]) -> Option<(Arch, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    Some((Arch::ALL[usize::from(first) % Arch::ALL.len()], rest))
}

#[cfg(test)]
#[path = "../../../tests/fuzz/parsers/replay.rs"]
mod replay;

#[test]
fn what_fuzzing_found_once_is_read_as_it_should() {
    replay::replay(&[("onnx", onnx), ("weights", weights)]);
}
