//! Tiles of 6 x 8 in plain Rust: vectors of 4, which every 64-bit target has.

use super::{Kernel, Tile, Vector, VectorWork, chains, dispatch, tile};

pub(super) const KERNEL: Kernel = Kernel { lanes: 4, rows: [6, 6, 4], tile: run, chains: multiply_add };

#[derive(Clone, Copy)]
pub(super) struct Four([f32; 4]);

impl Four {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

// SAFETY: uses no special instructions.
unsafe impl Vector for Four {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller has 4 elements at `p`.
        Self(unsafe { p.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller has `n` elements at `p`.
        Self(std::array::from_fn(|i| if i < n { unsafe { *p.add(i) } } else { 0.0 }))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller has 4 elements at `p`.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        for (i, x) in self.0.into_iter().take(n).enumerate() {
            // SAFETY: the caller has `n` elements at `p`.
            unsafe { *p.add(i) = x }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |x, y| x + y)
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |x, y| if x > y { x } else { y })
    }
}

unsafe fn call<const R: usize, const N: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { tile::<Four, R, N>(t) }
}

unsafe fn run(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { dispatch!(t, call, one: [1 2 3 4 5 6], two: [1 2 3 4 5 6], three: [1 2 3 4]) }
}

unsafe fn multiply_add(rounds: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { chains::<Four>(rounds) }
}

pub(super) fn run_work(work: impl VectorWork) {
    // SAFETY: every processor has these vectors.
    unsafe { work.run::<Four>() }
}
