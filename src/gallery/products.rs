//! Scalar products of many vectors with many, straight from where they lie.
//!
//! A tile of queries by rows keeps its sums in registers, so that each number that is loaded serves several
//! products. On one core 30 faces by 60 rows take about 20 µs, and one query over a large gallery runs at the speed of
//! memory. Left to vectorise such a tile by itself, the compiler was up to twenty times slower, hence the intrinsics.
//! AVX-512 was a tenth faster on a roster, for the tile waits for its loads, and is left out.

#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined into the one with the target feature is compiled without it"
)]

/// Numbers that are added and multiplied at once.
trait Lanes: Copy {
    const LENGTH: usize;

    /// # Safety
    /// The processor has the instructions of the type.
    unsafe fn zero() -> Self;

    /// # Safety
    /// As for [`Self::zero`], and `from` points at [`Self::LENGTH`] numbers.
    unsafe fn load(from: *const f32) -> Self;

    /// `self + a × b`.
    ///
    /// # Safety
    /// As for [`Self::zero`].
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self;

    /// The sum of the lanes.
    fn sum(self) -> f32;
}

impl Lanes for [f32; 4] {
    const LENGTH: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of numbers is aligned as a number is.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + a[lane] * b[lane])
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        (self[0] + self[2]) + (self[1] + self[3])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps};

    use super::Lanes;

    impl Lanes for __m256 {
        const LENGTH: usize = 8;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise; the load needs no alignment.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm256_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: both are 32 bytes without padding.
            let lanes: [f32; 8] = unsafe { std::mem::transmute(self) };
            ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
        }
    }

    /// See [`super::products`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn products_avx2(queries: &[&[f32]], rows: &[&[f32]], out: &mut [f32]) {
        // SAFETY: this function is entered only where the processor has AVX2 and FMA.
        unsafe { super::all::<__m256, 2, 4>(queries, rows, out) }
    }
}

/// Writes the product of query `i` and row `j` to `out[i * rows.len() + j]`.
///
/// # Panics
/// Where the vectors are not all of one length, or `out` is not `queries.len() * rows.len()` long.
pub(super) fn products(queries: &[&[f32]], rows: &[&[f32]], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: both features were found.
        unsafe { x86::products_avx2(queries, rows, out) };
        return;
    }
    products_portable(queries, rows, out);
}

fn products_portable(queries: &[&[f32]], rows: &[&[f32]], out: &mut [f32]) {
    // SAFETY: plain arrays need no instructions of their own.
    unsafe { all::<[f32; 4], 2, 2>(queries, rows, out) }
}

/// All products, in tiles of `Q` queries by `R` rows. Rows are the outer loop: there may be many, and each is read
/// from memory once.
#[inline(always)]
unsafe fn all<V: Lanes, const Q: usize, const R: usize>(queries: &[&[f32]], rows: &[&[f32]], out: &mut [f32]) {
    assert_eq!(out.len(), queries.len() * rows.len(), "one place a product");
    let width = rows.len();
    let (row_tiles, last_rows) = rows.as_chunks::<R>();
    let (query_tiles, last_queries) = queries.as_chunks::<Q>();
    let first_last_query = queries.len() - last_queries.len();
    for (tile_index, row_tile) in row_tiles.iter().enumerate() {
        let column = tile_index * R;
        for (query_index, query_tile) in query_tiles.iter().enumerate() {
            // SAFETY: the caller's promise.
            let sums = unsafe { tile::<V, Q, R>(query_tile, row_tile) };
            for (offset, sums) in sums.iter().enumerate() {
                out[(query_index * Q + offset) * width + column..][..R].copy_from_slice(sums);
            }
        }
        for (offset, query) in last_queries.iter().enumerate() {
            // SAFETY: the caller's promise.
            let [sums] = unsafe { tile::<V, 1, R>(&[*query], row_tile) };
            out[(first_last_query + offset) * width + column..][..R].copy_from_slice(&sums);
        }
    }
    for (offset, row) in last_rows.iter().enumerate() {
        for (query_index, query) in queries.iter().enumerate() {
            // SAFETY: the caller's promise.
            let [[sum]] = unsafe { tile::<V, 1, 1>(&[*query], &[*row]) };
            out[query_index * width + row_tiles.len() * R + offset] = sum;
        }
    }
}

/// The products of `Q` queries and `R` rows. By indices: iterators and closures over the sums make the compiler keep
/// them in memory instead of registers, at half the speed.
#[inline(always)]
unsafe fn tile<V: Lanes, const Q: usize, const R: usize>(queries: &[&[f32]; Q], rows: &[&[f32]; R]) -> [[f32; R]; Q] {
    let length = queries[0].len();
    assert!(queries.iter().chain(rows).all(|vector| vector.len() == length), "vectors of one length");
    let whole = length - length % V::LENGTH;
    // SAFETY: the caller's promise; every load ends at or before `whole`, and all vectors are that long.
    let mut sums = [[unsafe { V::zero() }; R]; Q];
    for at in (0..whole).step_by(V::LENGTH) {
        // SAFETY: as above.
        unsafe {
            let row_lanes: [V; R] = std::array::from_fn(|row| V::load(rows[row].as_ptr().add(at)));
            for query in 0..Q {
                let query_lanes = V::load(queries[query].as_ptr().add(at));
                for row in 0..R {
                    sums[query][row] = sums[query][row].multiply_add(query_lanes, row_lanes[row]);
                }
            }
        }
    }
    let mut products = [[0.0; R]; Q];
    for query in 0..Q {
        for row in 0..R {
            let mut product = sums[query][row].sum();
            for at in whole..length {
                product += queries[query][at] * rows[row][at];
            }
            products[query][row] = product;
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Products = fn(&[&[f32]], &[&[f32]], &mut [f32]);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_kernels_agree_with_the_plain_sum(
            (length, queries, rows) in (0_usize..70, 0_usize..6, 0_usize..11),
            seed in any::<u64>(),
        ) {
            let number = |n: usize| {
                let mixed = (n as u64 + 1).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (mixed >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let matrix = |count: usize, from: usize| -> Vec<Vec<f32>> {
                (0..count).map(|row| (0..length).map(|k| number(from + row * length + k)).collect()).collect()
            };
            let (queries, rows) = (matrix(queries, 0), matrix(rows, 10_000));
            let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            for kernel in [products as Products, products_portable] {
                let mut out = vec![f32::NAN; queries.len() * rows.len()];
                kernel(&queries, &rows, &mut out);
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
