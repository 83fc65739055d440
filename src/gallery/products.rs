//! Scalar products of many vectors with many, straight from where they lie.
//!
//! A tile of queries by rows keeps its sums in registers, so that each number that is loaded serves several
//! products: one query over a large gallery runs at the speed of memory.
#![expect(unsafe_code, reason = "vectors are read by pointers")]

use std::sync::LazyLock;

use nn::kernels::{
    Isa, LANE_ALIGN,
    simd::{Kernel, Simd},
};

/// Queries and rows of a tile.
const TILE: (usize, usize) = (2, 4);
/// Numbers in the widest vector: those of all others divide it.
const MOST_LANES: usize = LANE_ALIGN;

/// Writes the product of query `i` and row `j` to `out[i * rows.len() + j]`.
///
/// # Panics
/// Where the vectors are not all of one length, or `out` is not `queries.len() * rows.len()` long.
pub(super) fn products(queries: &[&[f32]], rows: &[&[f32]], out: &mut [f32]) {
    // An instruction set that the processor lacks was refused when the networks were loaded.
    static ISA: LazyLock<Isa> = LazyLock::new(|| Isa::chosen().unwrap_or(Isa::PORTABLE));
    products_by(*ISA, queries, rows, out);
}

fn products_by(isa: Isa, queries: &[&[f32]], rows: &[&[f32]], out: &mut [f32]) {
    assert_eq!(out.len(), queries.len() * rows.len(), "one place a product");
    isa.run(Products { queries, rows, out });
}

struct Products<'a> {
    queries: &'a [&'a [f32]],
    rows: &'a [&'a [f32]],
    out: &'a mut [f32],
}

/// In tiles. Rows are the outer loop: there may be many, and each is read from memory once.
impl Kernel for Products<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const Q: usize = TILE.0;
        const R: usize = TILE.1;
        let Self { queries, rows, out } = self;
        let width = rows.len();
        let (row_tiles, last_rows) = rows.as_chunks::<R>();
        let (query_tiles, last_queries) = queries.as_chunks::<Q>();
        let first_last_query = queries.len() - last_queries.len();
        for (tile_index, row_tile) in row_tiles.iter().enumerate() {
            let column = tile_index * R;
            for (query_index, query_tile) in query_tiles.iter().enumerate() {
                let sums = tile::<S, Q, R>(simd, query_tile, row_tile);
                for (offset, sums) in sums.iter().enumerate() {
                    out[(query_index * Q + offset) * width + column..][..R].copy_from_slice(sums);
                }
            }
            for (offset, query) in last_queries.iter().enumerate() {
                let [sums] = tile::<S, 1, R>(simd, &[*query], row_tile);
                out[(first_last_query + offset) * width + column..][..R].copy_from_slice(&sums);
            }
        }
        for (offset, row) in last_rows.iter().enumerate() {
            for (query_index, query) in queries.iter().enumerate() {
                let [[sum]] = tile::<S, 1, 1>(simd, &[*query], &[*row]);
                out[query_index * width + row_tiles.len() * R + offset] = sum;
            }
        }
    }
}

/// The products of `Q` queries and `R` rows. By indices: iterators and closures over the sums make the compiler keep
/// them in memory instead of registers, at half the speed.
#[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
#[inline(always)]
fn tile<S: Simd, const Q: usize, const R: usize>(simd: S, queries: &[&[f32]; Q], rows: &[&[f32]; R]) -> [[f32; R]; Q] {
    let length = queries[0].len();
    assert!(queries.iter().chain(rows).all(|vector| vector.len() == length), "vectors of one length");
    let whole = length - length % S::LANES;
    let mut sums = [[simd.splat(0.0); R]; Q];
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: every load ends at or before `whole`, and all vectors are that long.
        unsafe {
            let row_lanes: [S::V; R] = std::array::from_fn(|row| simd.load(rows[row].as_ptr().add(at)));
            for query in 0..Q {
                let query_lanes = simd.load(queries[query].as_ptr().add(at));
                for row in 0..R {
                    sums[query][row] = simd.mul_add(query_lanes, row_lanes[row], sums[query][row]);
                }
            }
        }
    }
    let mut products = [[0.0; R]; Q];
    for query in 0..Q {
        for row in 0..R {
            let mut product = sum_of_lanes(simd, sums[query][row]);
            for at in whole..length {
                product += queries[query][at] * rows[row][at];
            }
            products[query][row] = product;
        }
    }
    products
}

#[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
#[inline(always)]
fn sum_of_lanes<S: Simd>(simd: S, lanes: S::V) -> f32 {
    const { assert!(S::LANES <= MOST_LANES) };
    let mut numbers = [0.0; MOST_LANES];
    // SAFETY: there are `MOST_LANES` numbers, which are at least `S::LANES`.
    unsafe { simd.store(numbers.as_mut_ptr(), lanes) };
    let eight: [f32; 8] = std::array::from_fn(|at| numbers[at] + numbers[at + 8]);
    let four: [f32; 4] = std::array::from_fn(|at| eight[at] + eight[at + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testing::Fenced;

    use super::*;

    proptest! {
        #![proptest_config(testing::cases(64))]
        #[test]
        fn every_instruction_set_agrees_with_the_plain_sum(
            (length, queries, rows) in (0_usize..70, 0_usize..6, 0_usize..11),
            seed in any::<u64>(),
        ) {
            let number = |n: usize| {
                let mixed = (n as u64 + 1).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (mixed >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let matrix = |count: usize, from: usize| -> Vec<Fenced<f32>> {
                (0..count).map(|row| (0..length).map(|k| number(from + row * length + k)).collect()).collect()
            };
            let (queries, rows) = (matrix(queries, 0), matrix(rows, 10_000));
            let queries: Vec<&[f32]> = queries.iter().map(|query| &query[..]).collect();
            let rows: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
            for isa in Isa::available() {
                let mut out = Fenced::filled(f32::NAN, queries.len() * rows.len());
                products_by(isa, &queries, &rows, &mut out);
                for (i, query) in queries.iter().enumerate() {
                    for (j, row) in rows.iter().enumerate() {
                        let expected: f64 = query.iter().zip(*row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        prop_assert!((f64::from(out[i * rows.len() + j]) - expected).abs() < 1e-4);
                    }
                }
            }
        }
    }
}
