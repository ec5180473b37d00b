//! Tiles of 14 x 8 (28 of the 32 registers hold sums) with NEON, which every aarch64 has.
#![cfg(target_arch = "aarch64")]

use super::{Kernel, Tile, Vector, VectorWork, chains, dispatch, tile};
use std::arch::aarch64::*;

pub(super) const KERNEL: Kernel = Kernel { lanes: 4, rows: [14, 14, 9], tile: run, chains: multiply_add };

// SAFETY: uses only instructions that every aarch64 has.
unsafe impl Vector for float32x4_t {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the trait's contract, here and below.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { vld1q_f32(p) }
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: as above; `n` elements are read.
        unsafe {
            let four: [f32; 4] = std::array::from_fn(|i| if i < n { *p.add(i) } else { 0.0 });
            vld1q_f32(four.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: as above.
        unsafe { vst1q_f32(p, self) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        let mut four = [0.0; 4];
        // SAFETY: as above; `n` elements are written.
        unsafe {
            vst1q_f32(four.as_mut_ptr(), self);
            p.copy_from_nonoverlapping(four.as_ptr(), n);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { vfmaq_f32(self, a, b) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as above. `vmaxq_f32` would give NaN for either; the contract names `other`.
        unsafe { vbslq_f32(vcgtq_f32(self, other), self, other) }
    }
}

unsafe fn call<const R: usize, const N: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { tile::<float32x4_t, R, N>(t) }
}

unsafe fn run(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        dispatch!(t, call, one: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], two: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
            three: [1 2 3 4 5 6 7 8 9])
    }
}

unsafe fn multiply_add(rounds: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { chains::<float32x4_t>(rounds) }
}

pub(super) unsafe fn run_work(work: impl VectorWork) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<float32x4_t>() }
}
