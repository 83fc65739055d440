//! What a vector must be before it is stored or searched for.

use super::products::products;
use error::{Error, Result};

/// How far a vector's length may be from 1. Rounding alone stays below a hundredth of this.
const LENGTH_TOLERANCE: f32 = 1e-3;

/// Checks that `vector` has `dimension` numbers, all finite, and length 1: then a product is a cosine.
///
/// Errors: `Invalid` `bad_vector`.
pub fn check_vector(vector: &[f32], dimension: usize) -> Result<()> {
    let mut square = [0.0];
    products(&[vector], &[vector], &mut square);
    // NaN and infinity reach the sum, and no comparison with NaN holds.
    if vector.len() == dimension && (square[0].sqrt() - 1.0).abs() <= LENGTH_TOLERANCE {
        return Ok(());
    }
    Err(Error::invalid(format!("a face vector is {dimension} finite numbers of length 1 together"))
        .with_code("bad_vector"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_unit_vectors_of_the_dimension_pass() {
        assert!(check_vector(&[0.6, 0.8], 2).is_ok());
        assert!(check_vector(&[0.6, -0.800_01], 2).is_ok());
        let bad: [&[f32]; 8] = [
            &[],
            &[1.0],
            &[0.6, 0.8, 0.0],
            &[0.0, 0.0],
            &[3.0, 4.0],
            &[0.59, 0.8],
            &[f32::NAN, 1.0],
            &[f32::INFINITY, 0.0],
        ];
        for vector in bad {
            assert_eq!(check_vector(vector, 2).unwrap_err().code(), "bad_vector", "{vector:?}");
        }
    }
}
