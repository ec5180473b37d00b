//! Tiles of 14 x 32 (28 of the 32 registers hold sums) with AVX-512.
#![cfg(target_arch = "x86_64")]

use super::{Kernel, Tile, Vector, VectorWork, chains, dispatch, tile};
use std::arch::x86_64::*;

pub(super) const KERNEL: Kernel = Kernel { lanes: 16, rows: [14, 14, 9], tile: run, chains: multiply_add };

// SAFETY: called under `avx512f` only.
unsafe impl Vector for __m512 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the trait's contract, here and below.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: as above; masked-out elements are not accessed.
        unsafe { _mm512_maskz_loadu_ps((1 << n) - 1, p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(p, self) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: as above; masked-out elements are not accessed.
        unsafe { _mm512_mask_storeu_ps(p, (1 << n) - 1, self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(self, other) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn call<const R: usize, const N: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { tile::<__m512, R, N>(t) }
}

unsafe fn run(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        dispatch!(t, call, one: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], two: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            three: [1 2 3 4 5 6 7 8 9])
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn multiply_add(rounds: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { chains::<__m512>(rounds) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn run_work(work: impl VectorWork) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<__m512>() }
}
