//! Convolutions of step 1 by products in a transformed domain. Maps are cut into tiles of `n x n` outputs, whose inputs
//! are the `p x p` positions under them, `p = n + size - 1`; each tile takes `p^2` multiplications for a pair of maps
//! instead of `n^2 size^2`. Tiles are of 4 x 4: 36 instead of 144 for 3 x 3 kernels, 64 instead of 400 for 5 x 5.

mod forward;
mod outputs;
mod photos;
#[cfg(test)]
mod points_tests;
mod transform;
mod vectors;
mod weights;

use super::Padded;
use crate::gemm::Vector;
use crate::isa::prefetch_run;
pub(super) use forward::run;
pub(super) use photos::{COLOURS, Photos, SIZE};
use std::marker::PhantomData;
use transform::Transform;
use vectors::{EachSpan, Maps, Scattered, Span, Spread};
pub(super) use weights::weight_gradient;

/// Side of a tile of outputs.
pub(super) const TILE: usize = 4;

/// What is stored for one product begins this far after a multiple of a page, or that of all products would share a few
/// lines of a cache.
const SKEW: usize = 16;

/// How the outputs of maps are cut into tiles.
#[derive(Clone, Copy)]
struct Tiling {
    /// The maps that are read.
    padded: Padded,
    /// Side of the maps that are written.
    side: usize,
    /// Tiles of a row.
    across: usize,
}

/// Where a tile lies.
struct Place {
    image: usize,
    /// Its first row and column of outputs.
    y: usize,
    x: usize,
}

impl Tiling {
    fn new(padded: Padded, side: usize) -> Self {
        // Only convolutions of step 1 are transformed.
        assert!(padded.dilation == 1);
        Self { padded, side, across: side.div_ceil(TILE) }
    }

    /// Tiles of an image.
    fn tiles(&self) -> usize {
        self.across * self.across
    }

    /// The place of a tile, counted through all images.
    #[inline(always)]
    fn place(&self, tile: usize) -> Place {
        let (image, tile) = (tile / self.tiles(), tile % self.tiles());
        Place { image, y: tile / self.across * TILE, x: tile % self.across * TILE }
    }

    /// Asks for what lies in maps of `side` where a tile's outputs do; of a tile behind the last, for nothing that matters.
    #[inline(always)]
    fn prefetch(&self, tile: usize, side: usize, maps: usize, data: *const f32) {
        let Place { image, y, x } = self.place(tile);
        for y in y..side.min(y + TILE) {
            let row = data.wrapping_add(((image * side + y) * side + x) * maps);
            prefetch_run(row, TILE.min(side.saturating_sub(x)) * maps);
        }
    }

    /// Where the maps of each of the `S x S` positions from a tile's first on lie in `input`; `zeros` for those outside.
    #[inline(always)]
    fn positions<const S: usize>(&self, tile: usize, input: &[f32], zeros: &[f32]) -> [[*const f32; S]; S] {
        let place = self.place(tile);
        let Padded { side, maps, pad, .. } = self.padded;
        let stored = &input[place.image * self.padded.stored()..][..self.padded.stored()];
        // Stored rows and columns, and which of the tile's are inside.
        let [y, x] = [place.y, place.x].map(|first| first as isize - pad);
        let [rows, columns] = [y, x].map(|first| {
            let inside = |p: isize| (p - first).clamp(0, S as isize) as usize;
            inside(0)..inside(side as isize)
        });
        let mut positions = [[zeros[..maps].as_ptr(); S]; S];
        for (dy, positions) in positions.iter_mut().enumerate() {
            if !rows.contains(&dy) {
                continue;
            }
            let row = (y + dy as isize) * side as isize + x;
            for (dx, position) in positions.iter_mut().enumerate() {
                if columns.contains(&dx) {
                    // SAFETY: the row and the column are inside.
                    *position = unsafe { stored.as_ptr().offset((row + dx as isize) * maps as isize) };
                }
            }
        }
        positions
    }
}

/// Transforms the maps of a tile of `S x S` positions and stores them as one row of each product's matrix.
struct TileOf<'a, T, const S: usize, const P: usize> {
    transform: PhantomData<T>,
    /// They have the maps that are transformed.
    positions: &'a [[*const f32; S]; S],
    /// Where the row of the first matrix begins; nobody else uses these rows.
    to: *mut f32,
    /// Elements between matrices.
    stride: usize,
}

impl<T: Transform<S, P>, const S: usize, const P: usize> EachSpan for TileOf<'_, T, S, P> {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        let from = Scattered { positions: self.positions, span };
        let mut to = Spread::<_, P, WHOLE> { first: self.to, step: self.stride, span };
        // SAFETY: the caller's promise, and those of the fields.
        unsafe { T::square::<Maps<V>>(&from, &mut to) };
    }
}
