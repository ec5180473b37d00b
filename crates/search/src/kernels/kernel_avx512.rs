//! Tiles of 4 x 4 with AVX-512 VNNI: 16 of the 32 registers hold sums, 64 elements a step.
#![cfg(target_arch = "x86_64")]

use super::{Kernel, Sums, Tile, dispatch, tile};
use std::arch::x86_64::*;

pub(super) const KERNEL: Kernel = Kernel { rows: 4, queries: 4, tile: run };

// SAFETY: called under `avx512f` and `avx512vnni` only.
unsafe impl Sums for __m512i {
    const STEP: usize = 64;
    type Row = __m512i;
    type Query = __m512i;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the trait's contract, here and below.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn row(p: *const u8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    unsafe fn query(p: *const i8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    unsafe fn add(self, row: __m512i, query: __m512i) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_dpbusd_epi32(self, row, query) }
    }

    #[inline(always)]
    unsafe fn total(self) -> i32 {
        // SAFETY: as above.
        unsafe { _mm512_reduce_add_epi32(self) }
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn call<const R: usize, const Q: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { tile::<__m512i, R, Q>(t) }
}

unsafe fn run(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { dispatch!(t, call, 4, [1 2 3 4]) }
}
