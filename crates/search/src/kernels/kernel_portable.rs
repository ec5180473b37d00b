//! Tiles of 2 x 2 in plain Rust, in the shape that compilers turn into whatever vectors the target has.

use super::{Kernel, Sums, Tile, dispatch, tile};

pub(super) const KERNEL: Kernel = Kernel { rows: 2, queries: 2, tile: run };

#[derive(Clone, Copy)]
struct Four([i32; 4]);

// SAFETY: uses nothing that not every processor has.
unsafe impl Sums for Four {
    const STEP: usize = 8;
    type Row = [i16; 8];
    type Query = [i16; 8];

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0; 4])
    }

    #[inline(always)]
    unsafe fn row(p: *const u8) -> [i16; 8] {
        // SAFETY: the caller has 8 elements at `p`.
        unsafe { p.cast::<[u8; 8]>().read() }.map(i16::from)
    }

    #[inline(always)]
    unsafe fn query(p: *const i8) -> [i16; 8] {
        // SAFETY: the caller has 8 elements at `p`.
        unsafe { p.cast::<[i8; 8]>().read() }.map(i16::from)
    }

    #[inline(always)]
    unsafe fn add(self, row: [i16; 8], query: [i16; 8]) -> Self {
        let product = |i: usize| i32::from(row[i]) * i32::from(query[i]);
        Self(std::array::from_fn(|i| self.0[i] + product(2 * i) + product(2 * i + 1)))
    }

    #[inline(always)]
    unsafe fn total(self) -> i32 {
        self.0.iter().sum()
    }
}

unsafe fn call<const R: usize, const Q: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { tile::<Four, R, Q>(t) }
}

unsafe fn run(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe { dispatch!(t, call, 2, [1 2]) }
}
