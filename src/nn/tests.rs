//! The networks against ONNX Runtime, and weight files that are not what they should be.

use super::*;

#[test]
fn the_embedded_networks_answer_as_onnx_runtime_does() {
    let verified = verify_embedded().unwrap();
    assert_eq!(verified.len(), 4);
    println!("{verified:?}");
}
