//! Convolutions of step 1 by products in a transformed domain. Maps are cut into tiles of `n x n` outputs, whose inputs
//! are the `6 x 6` positions under them (`n + size - 1 = 6`); each tile takes 36 multiplications for a pair of maps,
//! instead of `n^2 size^2`: 144 for 3 x 3 kernels, 100 for 5 x 5.

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
use transform::{POINTS, Transform};
use vectors::{EachSpan, Maps, Span};
pub(super) use weights::weight_gradient;

/// Products of a tile.
const PRODUCTS: usize = POINTS * POINTS;

/// What is stored for one product begins this far after a multiple of a page, or that of all 36 would share a few
/// lines of a cache.
const SKEW: usize = 16;

/// How the outputs of maps are cut into tiles.
#[derive(Clone, Copy)]
struct Tiling {
    /// The maps that are read.
    padded: Padded,
    /// Side of the maps that are written.
    side: usize,
    /// Side of a tile.
    outputs: usize,
    /// Tiles of a row.
    across: usize,
    /// Rows and columns by which the inputs of a tile begin further down and right.
    origin: [usize; 2],
}

/// Where a tile lies.
struct Place {
    image: usize,
    /// Its first row and column of outputs.
    y: usize,
    x: usize,
}

impl Tiling {
    fn new(padded: Padded, side: usize, outputs: usize) -> Self {
        Self { padded, side, outputs, across: side.div_ceil(outputs), origin: [0; 2] }
    }

    /// Tiles of an image.
    fn tiles(&self) -> usize {
        self.across * self.across
    }

    /// The place of a tile, counted through all images.
    #[inline(always)]
    fn place(&self, tile: usize) -> Place {
        let (image, tile) = (tile / self.tiles(), tile % self.tiles());
        Place { image, y: tile / self.across * self.outputs, x: tile % self.across * self.outputs }
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
        let columns: [Option<usize>; S] =
            std::array::from_fn(|x| self.padded.position(place.x + self.origin[1] + x));
        std::array::from_fn(|y| {
            let row = self.padded.position(place.y + self.origin[0] + y);
            columns.map(|x| match (row, x) {
                (Some(y), Some(x)) => &stored[(y * side + x) * maps..][..maps],
                _ => &zeros[..maps],
            })
        })
    }
}

/// Transforms the maps of a tile of `S x S` positions and stores them as one row of each of the 36 matrices.
struct TileOf<'a, T, const S: usize> {
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

impl<T: Transform<S, POINTS>, const S: usize> EachSpan for TileOf<'_, T, S> {
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
