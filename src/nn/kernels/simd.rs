//! One vector type an instruction set, behind one trait, so that each kernel is written once.
//!
//! A kernel is a [`Kernel`] whose `run` is generic over [`Simd`] and always inlined; [`super::Isa::run`]
//! calls it from a function compiled for the instruction set, which is how the generic body gets its instructions.
#![expect(clippy::inline_always, reason = "bodies take their target features from the caller they are inlined into")]

/// Vectors of `f32` on one instruction set. A value of an implementing type is the proof that the processor has it.
///
/// # Safety
/// [`Self::LANES`] divides [`super::LANE_ALIGN`], and [`Self::load`] and [`Self::store`] touch no more than so many
/// numbers: it is all that kernels go by over memory of whole multiples of [`super::LANE_ALIGN`].
pub unsafe trait Simd: Copy {
    /// A vector of [`Self::LANES`] numbers.
    type V: Copy;
    /// Numbers in a vector.
    const LANES: usize;
    /// Rows of a register tile of the product: with two vectors a row it fills the register file.
    const TILE_ROWS: usize;

    /// Reads [`Self::LANES`] numbers.
    ///
    /// # Safety
    /// They must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// Writes [`Self::LANES`] numbers.
    ///
    /// # Safety
    /// They must be writable at `to`.
    unsafe fn store(self, to: *mut f32, value: Self::V);
    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// One step of a product's sum: `x · w + sum` in every lane. Where steps are pairs (see [`super::pairs`]) the lanes
    /// of `x` and `w` hold two numbers each.
    #[inline(always)]
    fn step(self, x: Self::V, w: Self::V, sum: Self::V) -> Self::V {
        self.mul_add(x, w, sum)
    }
    /// The larger of each lane.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of each lane.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// a0 b0 a1 b1 …, in two vectors.
    fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V);
}

/// Work that is compiled once for each instruction set.
pub trait Kernel {
    /// Does the work; implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S);
}

/// Plain Rust, four lanes: what every processor runs.
#[derive(Clone, Copy)]
pub struct Portable;

// SAFETY: four lanes, read and written as arrays of four.
unsafe impl Simd for Portable {
    type V = [f32; 4];
    const LANES: usize = 4;
    const TILE_ROWS: usize = 6;

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's promise; an array of f32 has f32's alignment.
        unsafe { from.cast::<[f32; 4]>().read() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        // SAFETY: the caller's promise; an array of f32 has f32's alignment.
        unsafe { to.cast::<[f32; 4]>().write(value) }
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; 4]
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Not f32::mul_add: without an FMA instruction that is a slow library call.
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        let larger = |x: f32, y: f32| if x > y { x } else { y };
        [larger(a[0], b[0]), larger(a[1], b[1]), larger(a[2], b[2]), larger(a[3], b[3])]
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        let smaller = |x: f32, y: f32| if x < y { x } else { y };
        [smaller(a[0], b[0]), smaller(a[1], b[1]), smaller(a[2], b[2]), smaller(a[3], b[3])]
    }
    #[inline(always)]
    fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        ([a[0], b[0], a[1], b[1]], [a[2], b[2], a[3], b[3]])
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Avx512Bf16};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, __m512bh, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
        _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
        _mm512_add_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_max_ps, _mm512_min_ps,
        _mm512_permutex2var_ps, _mm512_set1_ps, _mm512_setr_epi32, _mm512_storeu_ps,
    };

    use super::Simd;

    /// AVX2 and FMA, eight lanes, sixteen registers.
    #[derive(Clone, Copy)]
    pub struct Avx2(());

    impl Avx2 {
        /// # Safety
        /// The processor must have `avx2` and `fma`.
        pub unsafe fn new() -> Self {
            Self(())
        }
    }

    /// AVX-512F, sixteen lanes, thirty-two registers.
    #[derive(Clone, Copy)]
    pub struct Avx512(());

    impl Avx512 {
        /// # Safety
        /// The processor must have `avx512f`.
        pub unsafe fn new() -> Self {
            Self(())
        }
    }

    // SAFETY: eight lanes, in 32 bytes.
    unsafe impl Simd for Avx2 {
        type V = __m256;
        const LANES: usize = 8;
        const TILE_ROWS: usize = 6;

        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::V {
            // SAFETY: the caller's promise; `self` proves avx2.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, value: Self::V) {
            // SAFETY: the caller's promise; `self` proves avx2.
            unsafe { _mm256_storeu_ps(to, value) }
        }
        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            // SAFETY: `self` proves avx2.
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: `self` proves avx2.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: `self` proves fma.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: `self` proves avx2.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: `self` proves avx2.
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
            // SAFETY: `self` proves avx2.
            unsafe {
                let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
            }
        }
    }

    // SAFETY: sixteen lanes, in 64 bytes.
    unsafe impl Simd for Avx512 {
        type V = __m512;
        const LANES: usize = 16;
        const TILE_ROWS: usize = 14;

        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::V {
            // SAFETY: the caller's promise; `self` proves avx512f.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, value: Self::V) {
            // SAFETY: the caller's promise; `self` proves avx512f.
            unsafe { _mm512_storeu_ps(to, value) }
        }
        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            // SAFETY: `self` proves avx512f.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: `self` proves avx512f.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: `self` proves avx512f.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: `self` proves avx512f.
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: Self::V, b: Self::V) -> Self::V {
            // SAFETY: `self` proves avx512f.
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
            // SAFETY: `self` proves avx512f.
            unsafe {
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
                (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
            }
        }
    }

    /// [`Avx512`] with products of pairs of bf16 numbers, summed in f32.
    #[derive(Clone, Copy)]
    pub struct Avx512Bf16(Avx512);

    impl Avx512Bf16 {
        /// # Safety
        /// The processor must have `avx512f` and `avx512bf16`.
        pub unsafe fn new() -> Self {
            // SAFETY: the caller's promise.
            Self(unsafe { Avx512::new() })
        }
    }

    // SAFETY: all that touches memory is Avx512's.
    unsafe impl Simd for Avx512Bf16 {
        type V = __m512;
        const LANES: usize = Avx512::LANES;
        const TILE_ROWS: usize = Avx512::TILE_ROWS;

        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::V {
            // SAFETY: the caller's promise.
            unsafe { self.0.load(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, value: Self::V) {
            // SAFETY: the caller's promise.
            unsafe { self.0.store(to, value) }
        }
        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            self.0.splat(value)
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.add(a, b)
        }
        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            self.0.mul_add(a, b, c)
        }
        #[inline(always)]
        fn step(self, x: Self::V, w: Self::V, sum: Self::V) -> Self::V {
            // SAFETY: `self` proves avx512bf16; both types are 64 bytes of plain numbers.
            unsafe {
                let (x, w) = (std::mem::transmute::<__m512, __m512bh>(x), std::mem::transmute::<__m512, __m512bh>(w));
                _mm512_dpbf16_ps(sum, x, w)
            }
        }
        #[inline(always)]
        fn max(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.max(a, b)
        }
        #[inline(always)]
        fn min(self, a: Self::V, b: Self::V) -> Self::V {
            self.0.min(a, b)
        }
        #[inline(always)]
        fn interleave(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
            self.0.interleave(a, b)
        }
    }
}
