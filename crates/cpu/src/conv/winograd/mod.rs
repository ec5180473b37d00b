//! Convolutions of step 1 by products in a transformed domain. Maps are cut into tiles of `n x n` outputs, whose inputs
//! are the `p x p` positions under them, `p = n + size - 1`; each tile takes `p^2` multiplications for a pair of maps
//! instead of `n^2 size^2`. Tiles are of 4 x 4: 36 instead of 144 for 3 x 3 kernels, 64 instead of 400 for 5 x 5.

mod forward;
#[cfg(test)]
mod points_tests;
mod transform;
mod vectors;
mod weights;

use super::Padded;
use crate::arena::Shared;
use crate::gemm::Vector;
pub(super) use forward::run;
use std::marker::PhantomData;
use std::ops::Range;
use transform::Transform;
use vectors::{EachSpan, Maps, Span};
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

    /// The maps at each of the `S x S` positions from a tile's first on, as parts of `input`; `zeros` outside.
    #[inline(always)]
    fn positions<'a, const S: usize>(
        &self,
        tile: usize,
        input: &'a [f32],
        zeros: &'a [f32],
    ) -> [[&'a [f32]; S]; S] {
        let place = self.place(tile);
        let Padded { side, maps, .. } = self.padded;
        let stored = &input[place.image * self.padded.stored()..][..self.padded.stored()];
        let columns: [Option<usize>; S] = std::array::from_fn(|x| self.padded.position(place.x + x));
        std::array::from_fn(|y| {
            let row = self.padded.position(place.y + y);
            columns.map(|x| match (row, x) {
                (Some(y), Some(x)) => &stored[(y * side + x) * maps..][..maps],
                _ => &zeros[..maps],
            })
        })
    }
}

/// Transforms the maps of a tile of `S x S` positions and stores them as one row of each product's matrix.
struct TileOf<'a, T, const S: usize, const P: usize> {
    transform: PhantomData<T>,
    positions: [[&'a [f32]; S]; S],
    /// The maps that are transformed.
    maps: Range<usize>,
    /// Elements between matrices.
    stride: usize,
    /// Where the row of the first matrix begins.
    start: usize,
    /// The matrices; nobody else uses these rows.
    out: Shared<'a>,
}

impl<T: Transform<S, P>, const S: usize, const P: usize> EachSpan for TileOf<'_, T, S, P> {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        // SAFETY: the caller's promise, and that of `out`.
        unsafe {
            let mut values = [[Maps(V::splat(0.0)); S]; S];
            for (value, position) in values.as_flattened_mut().iter_mut().zip(self.positions.as_flattened()) {
                *value = span.load(&position[self.maps.clone()]);
            }
            for (i, value) in T::square(&values).as_flattened().iter().enumerate() {
                let at = i * self.stride + self.start;
                span.store(*value, self.out.slice(at..at + self.maps.len()));
            }
        }
    }
}
