//! The inner loop: for the 64 rows of a group, the sum of a query's table entries at the bits of their codes.
//!
//! A byte shuffle looks up one table for as many rows as a vector has bytes (André, Kermarrec and Le Scouarnec,
//! "Cache locality is not enough", VLDB 2015). Sums of four entries fit into a byte, sums of all into 16 bits.
#![expect(unsafe_code, reason = "vectors are read and written by pointers")]
#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined into the one with the target feature is compiled without it"
)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256i, __m512i};

use super::{
    coder::{Correction, GROUP_ROWS},
    lookup::ENTRIES,
};
use nn::kernels::Isa;

/// The sums of a group's rows, in order.
pub(super) type Sums = [u16; GROUP_ROWS];

/// Bytes that are worked on at once.
///
/// # Safety
/// [`Self::load`], [`Self::store`] and [`Self::table`] touch no more than they say. Who calls any of the functions
/// knows that the processor has the instructions of the type, as it has where [`run`] called, and that what they
/// touch may be touched.
pub(super) unsafe trait Bytes: Copy {
    /// Bytes in a vector.
    const WIDTH: usize;
    /// Queries whose sums fit into the registers together.
    const QUERIES: usize;

    unsafe fn zero() -> Self;
    /// Reads [`Self::WIDTH`] bytes.
    unsafe fn load(from: *const u8) -> Self;
    /// Writes half as many numbers as there are bytes.
    unsafe fn store(self, to: *mut u16);
    /// Reads the [`ENTRIES`] bytes at `from` and repeats them.
    unsafe fn table(from: *const u8) -> Self;
    /// The lower four bits of each byte.
    unsafe fn low(self) -> Self;
    /// The upper four bits of each byte.
    unsafe fn high(self) -> Self;
    /// For each byte of `self`, which is under 16, the table's entry.
    unsafe fn look_up(self, table: Self) -> Self;
    /// Byte by byte.
    unsafe fn add_bytes(self, other: Self) -> Self;
    /// As 16-bit numbers, wrapping.
    unsafe fn add_pairs(self, other: Self) -> Self;
    /// As 16-bit numbers, wrapping.
    unsafe fn subtract_pairs(self, other: Self) -> Self;
    /// The second byte of each pair, as a 16-bit number.
    unsafe fn second(self) -> Self;
    /// 16-bit numbers times 256, wrapping.
    unsafe fn raise(self) -> Self;
    /// A bit for each row that reaches `least`: `(step × sum + base) × correction ≥ least`.
    unsafe fn reaching(sums: &Sums, corrections: &[Correction; GROUP_ROWS], line: &Line) -> u64;
}

/// Work that is compiled once for each kind of [`Bytes`].
pub(super) trait ByteKernel {
    /// Does the work; implementations are `#[inline(always)]`.
    ///
    /// # Safety
    /// The processor has the instructions of `B`.
    unsafe fn run<B: Bytes>(self);
}

/// Runs `kernel` on the widest bytes that `isa` has.
#[inline]
pub(super) fn run<K: ByteKernel>(isa: Isa, kernel: K) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx2,fma")]
        unsafe fn run_avx512<K: ByteKernel>(kernel: K) {
            // SAFETY: this function may only be called where these instructions are.
            unsafe { kernel.run::<__m512i>() }
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn run_avx2<K: ByteKernel>(kernel: K) {
            // SAFETY: as above.
            unsafe { kernel.run::<__m256i>() }
        }
        if isa.is_avx512() && is_x86_feature_detected!("avx512bw") {
            // SAFETY: the processor was asked, here and when the Isa was made.
            return unsafe { run_avx512(kernel) };
        }
        if isa != Isa::PORTABLE {
            // SAFETY: every instruction set but the portable one includes AVX2 and FMA.
            return unsafe { run_avx2(kernel) };
        }
    }
    // SAFETY: plain arrays need no instructions of their own.
    unsafe { kernel.run::<[u8; 16]>() }
}

/// How sums become similarities, and which of these count.
pub(super) struct Line {
    pub(super) step: f32,
    pub(super) base: f32,
    pub(super) least: f32,
}

impl Line {
    /// The estimated similarity of a row.
    #[inline(always)]
    pub(super) fn estimate(&self, sum: u16, correction: f32) -> f32 {
        (self.step * f32::from(sum) + self.base) * correction
    }
}

/// The sums of a group for `Q` queries. `lines` holds 64 bytes for each byte of a code, `tables` two tables.
///
/// # Safety
/// The processor has the instructions of `B`.
#[inline(always)]
pub(super) unsafe fn sums<B: Bytes, const Q: usize>(lines: &[u8], tables: [&[u8]; Q], out: &mut [Sums; Q]) {
    const { assert!(GROUP_ROWS.is_multiple_of(B::WIDTH)) };
    let num_lines = lines.len() / GROUP_ROWS;
    assert!(tables.iter().all(|tables| tables.len() == num_lines * 2 * ENTRIES), "two tables a line");
    for part in 0..GROUP_ROWS / B::WIDTH {
        let first = part * B::WIDTH;
        // SAFETY: the caller's promise; a line has 64 bytes, so `WIDTH` of them from `first` on are inside, and so are
        // half as many sums in each half of `out`; the tables are as many as just checked.
        unsafe {
            let mut all = [B::zero(); Q];
            let mut seconds = [B::zero(); Q];
            let mut entries = [B::zero(); Q];
            for number in 0..num_lines {
                let codes = B::load(lines.as_ptr().add(number * GROUP_ROWS + first));
                let (low, high) = (codes.low(), codes.high());
                for query in 0..Q {
                    let table = tables[query].as_ptr().add(number * 2 * ENTRIES);
                    let pair = low.look_up(B::table(table)).add_bytes(high.look_up(B::table(table.add(ENTRIES))));
                    if number % 2 == 0 {
                        entries[query] = pair;
                    } else {
                        let four = entries[query].add_bytes(pair);
                        all[query] = all[query].add_pairs(four);
                        seconds[query] = seconds[query].add_pairs(four.second());
                        entries[query] = B::zero();
                    }
                }
            }
            for query in 0..Q {
                let all = all[query].add_pairs(entries[query]);
                let second = seconds[query].add_pairs(entries[query].second());
                all.subtract_pairs(second.raise()).store(out[query].as_mut_ptr().add(first / 2));
                second.store(out[query].as_mut_ptr().add(GROUP_ROWS / 2 + first / 2));
            }
        }
    }
}

// SAFETY: arrays are read and written as what they are; a table is as long as one.
unsafe impl Bytes for [u8; 16] {
    const WIDTH: usize = 16;
    const QUERIES: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0; 16]
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's promise; bytes need no alignment.
        unsafe { from.cast::<Self>().read() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u16) {
        let pairs: [u16; 8] = std::array::from_fn(|at| u16::from_le_bytes([self[2 * at], self[2 * at + 1]]));
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[u16; 8]>().write_unaligned(pairs) }
    }
    #[inline(always)]
    unsafe fn table(from: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::load(from) }
    }
    #[inline(always)]
    unsafe fn low(self) -> Self {
        self.map(|byte| byte & 15)
    }
    #[inline(always)]
    unsafe fn high(self) -> Self {
        self.map(|byte| byte >> 4)
    }
    #[inline(always)]
    unsafe fn look_up(self, table: Self) -> Self {
        self.map(|byte| table[usize::from(byte & 15)])
    }
    #[inline(always)]
    unsafe fn add_bytes(self, other: Self) -> Self {
        std::array::from_fn(|at| self[at].wrapping_add(other[at]))
    }
    #[inline(always)]
    unsafe fn add_pairs(self, other: Self) -> Self {
        pairwise(self, other, u16::wrapping_add)
    }
    #[inline(always)]
    unsafe fn subtract_pairs(self, other: Self) -> Self {
        pairwise(self, other, u16::wrapping_sub)
    }
    #[inline(always)]
    unsafe fn second(self) -> Self {
        pairwise(self, self, |pair, _| pair >> 8)
    }
    #[inline(always)]
    unsafe fn raise(self) -> Self {
        pairwise(self, self, |pair, _| pair << 8)
    }
    #[inline(always)]
    unsafe fn reaching(sums: &Sums, corrections: &[Correction; GROUP_ROWS], line: &Line) -> u64 {
        let reaches = |row: usize| u64::from(line.estimate(sums[row], corrections[row].factor()) >= line.least) << row;
        (0..GROUP_ROWS).map(reaches).fold(0, |mask, bit| mask | bit)
    }
}

/// `combine` on the pairs of bytes as 16-bit numbers.
#[inline(always)]
fn pairwise(a: [u8; 16], b: [u8; 16], combine: impl Fn(u16, u16) -> u16) -> [u8; 16] {
    let mut result = [0; 16];
    for at in (0..16).step_by(2) {
        let (a, b) = (u16::from_le_bytes([a[at], a[at + 1]]), u16::from_le_bytes([b[at], b[at + 1]]));
        result[at..at + 2].copy_from_slice(&combine(a, b).to_le_bytes());
    }
    result
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::{
        __m256, __m256i, __m512i, _CMP_GE_OQ, _mm_loadu_si128, _mm256_add_epi8, _mm256_add_epi16, _mm256_and_si256,
        _mm256_broadcastsi128_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cvtepi32_ps, _mm256_cvtepu16_epi32,
        _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_movemask_ps, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_ps,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srli_epi16,
        _mm256_storeu_si256, _mm256_sub_epi16, _mm512_add_epi8, _mm512_add_epi16, _mm512_and_si512,
        _mm512_broadcast_i32x4, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32,
        _mm512_fmadd_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi8, _mm512_set1_ps, _mm512_setzero_si512,
        _mm512_shuffle_epi8, _mm512_slli_epi16, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_si512,
        _mm512_sub_epi16,
    };

    use super::{Bytes, Correction, GROUP_ROWS, Line, Sums};

    // SAFETY: 32 bytes are loaded, 16 numbers stored, and a table read as the 16 bytes that it is.
    unsafe impl Bytes for __m256i {
        const WIDTH: usize = 32;
        const QUERIES: usize = 2;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller's promise, here and below.
            unsafe { _mm256_setzero_si256() }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: as above; the load needs no alignment.
            unsafe { _mm256_loadu_si256(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u16) {
            // SAFETY: as above; the store needs no alignment.
            unsafe { _mm256_storeu_si256(to.cast(), self) }
        }
        #[inline(always)]
        unsafe fn table(from: *const u8) -> Self {
            // SAFETY: as above; a table has 16 bytes.
            unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())) }
        }
        #[inline(always)]
        unsafe fn low(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_and_si256(self, _mm256_set1_epi8(15)) }
        }
        #[inline(always)]
        unsafe fn high(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(self), _mm256_set1_epi8(15)) }
        }
        #[inline(always)]
        unsafe fn look_up(self, table: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_shuffle_epi8(table, self) }
        }
        #[inline(always)]
        unsafe fn add_bytes(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_add_epi8(self, other) }
        }
        #[inline(always)]
        unsafe fn add_pairs(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_add_epi16(self, other) }
        }
        #[inline(always)]
        unsafe fn subtract_pairs(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_sub_epi16(self, other) }
        }
        #[inline(always)]
        unsafe fn second(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_srli_epi16::<8>(self) }
        }
        #[inline(always)]
        unsafe fn raise(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_slli_epi16::<8>(self) }
        }
        #[inline(always)]
        unsafe fn reaching(sums: &Sums, corrections: &[Correction; GROUP_ROWS], line: &Line) -> u64 {
            let mut mask = 0;
            for at in (0..GROUP_ROWS).step_by(8) {
                // SAFETY: as above; 8 numbers from `at` on are inside both arrays.
                unsafe {
                    let sums = _mm256_cvtepu16_epi32(_mm_loadu_si128(sums.as_ptr().add(at).cast()));
                    let numbers: __m256 =
                        _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(line.step), _mm256_set1_ps(line.base));
                    let factors = _mm256_cvtepu16_epi32(_mm_loadu_si128(corrections.as_ptr().add(at).cast()));
                    let factors = _mm256_castsi256_ps(_mm256_slli_epi32::<{ Correction::SHIFT as i32 }>(factors));
                    let estimates = _mm256_mul_ps(numbers, factors);
                    let reaching = _mm256_cmp_ps::<_CMP_GE_OQ>(estimates, _mm256_set1_ps(line.least));
                    mask |= (_mm256_movemask_ps(reaching) as u64) << at;
                }
            }
            mask
        }
    }

    // SAFETY: 64 bytes are loaded, 32 numbers stored, and a table read as the 16 bytes that it is.
    unsafe impl Bytes for __m512i {
        const WIDTH: usize = 64;
        const QUERIES: usize = 4;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller's promise, here and below.
            unsafe { _mm512_setzero_si512() }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: as above; the load needs no alignment.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u16) {
            // SAFETY: as above; the store needs no alignment.
            unsafe { _mm512_storeu_si512(to.cast(), self) }
        }
        #[inline(always)]
        unsafe fn table(from: *const u8) -> Self {
            // SAFETY: as above; a table has 16 bytes.
            unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())) }
        }
        #[inline(always)]
        unsafe fn low(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_and_si512(self, _mm512_set1_epi8(15)) }
        }
        #[inline(always)]
        unsafe fn high(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(self), _mm512_set1_epi8(15)) }
        }
        #[inline(always)]
        unsafe fn look_up(self, table: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_shuffle_epi8(table, self) }
        }
        #[inline(always)]
        unsafe fn add_bytes(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_add_epi8(self, other) }
        }
        #[inline(always)]
        unsafe fn add_pairs(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_add_epi16(self, other) }
        }
        #[inline(always)]
        unsafe fn subtract_pairs(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_sub_epi16(self, other) }
        }
        #[inline(always)]
        unsafe fn second(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_srli_epi16::<8>(self) }
        }
        #[inline(always)]
        unsafe fn raise(self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_slli_epi16::<8>(self) }
        }
        #[inline(always)]
        unsafe fn reaching(sums: &Sums, corrections: &[Correction; GROUP_ROWS], line: &Line) -> u64 {
            let mut mask = 0;
            for at in (0..GROUP_ROWS).step_by(16) {
                // SAFETY: as above; 16 numbers from `at` on are inside both arrays.
                unsafe {
                    let sums = _mm512_cvtepu16_epi32(_mm256_loadu_si256(sums.as_ptr().add(at).cast()));
                    let numbers =
                        _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(line.step), _mm512_set1_ps(line.base));
                    let factors = _mm512_cvtepu16_epi32(_mm256_loadu_si256(corrections.as_ptr().add(at).cast()));
                    let factors = _mm512_castsi512_ps(_mm512_slli_epi32::<{ Correction::SHIFT }>(factors));
                    let estimates = _mm512_mul_ps(numbers, factors);
                    let reaching = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(estimates, _mm512_set1_ps(line.least));
                    mask |= u64::from(reaching) << at;
                }
            }
            mask
        }
    }
}
