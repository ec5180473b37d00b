//! Tiles of 2 x 4 with AVX2, 16 elements a step. Bytes are widened first: the instruction that multiplies them as they are
//! (`vpmaddubsw`) cuts sums off at 16 bits.
#![cfg(target_arch = "x86_64")]

use super::{Kernel, Sums, Tile, dispatch, tile};
use std::arch::x86_64::*;

pub(super) const KERNEL: Kernel = Kernel { rows: 2, queries: 4, tile: run };

// SAFETY: called under `avx2` only.
unsafe impl Sums for __m256i {
    const STEP: usize = 16;
    type Row = __m256i;
    type Query = __m256i;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the trait's contract, here and below.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn row(p: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(p.cast())) }
    }

    #[inline(always)]
    unsafe fn query(p: *const i8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast())) }
    }

    #[inline(always)]
    unsafe fn add(self, row: __m256i, query: __m256i) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_add_epi32(self, _mm256_madd_epi16(row, query)) }
    }

    #[inline(always)]
    unsafe fn total(self) -> i32 {
        // SAFETY: as above; the eight sums have no padding between them.
        let sums = unsafe { std::mem::transmute::<__m256i, [i32; 8]>(self) };
        sums.iter().sum()
    }
}

#[target_feature(enable = "avx2")]
unsafe fn call<const R: usize, const Q: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { tile::<__m256i, R, Q>(t) }
}

unsafe fn run(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { dispatch!(t, call, 2, [1 2 3 4]) }
}
