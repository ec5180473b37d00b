//! Tiles of 6 x 16 (12 of the 16 registers hold sums) with AVX2 and FMA.
#![cfg(target_arch = "x86_64")]

use super::{Kernel, Tile, Vector, VectorWork, chains, dispatch, tile};
use std::arch::x86_64::*;

pub(super) const KERNEL: Kernel = Kernel { lanes: 8, rows: [6, 6, 4], tile: run, chains: multiply_add };

/// A mask whose first `n` of 8 elements are set.
#[inline(always)]
unsafe fn mask(n: usize) -> __m256i {
    const BITS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: 8 elements from `8 - n <= 8` are inside `BITS`; called under `avx2` only.
    unsafe { _mm256_loadu_si256(BITS.as_ptr().add(8 - n).cast()) }
}

// SAFETY: called under `avx2` and `fma` only.
unsafe impl Vector for __m256 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the trait's contract, here and below.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: as above; masked-out elements are not accessed.
        unsafe { _mm256_maskload_ps(p, mask(n)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(p, self) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: as above; masked-out elements are not accessed.
        unsafe { _mm256_maskstore_ps(p, mask(n), self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_fmadd_ps(a, b, self) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_max_ps(self, other) }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn call<const R: usize, const N: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { tile::<__m256, R, N>(t) }
}

unsafe fn run(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { dispatch!(t, call, one: [1 2 3 4 5 6], two: [1 2 3 4 5 6], three: [1 2 3 4]) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_add(rounds: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { chains::<__m256>(rounds) }
}

#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_work(work: impl VectorWork) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<__m256>() }
}
