//! Packing the right operand: where its rows come from, and how they are laid side by side in panels.

use super::Panels;
use crate::arena::Shared;
use rayon::prelude::*;
use std::ops::Range;

/// Rows that a task of [`pack`] copies.
const CHUNK: usize = 64;

/// A right operand, whatever it is stored as.
pub(crate) trait Rows: Sync {
    /// Elements `first .. first + out.len()` of row `row`.
    fn copy(&self, row: usize, first: usize, out: &mut [f32]);
}

/// A row-major matrix.
pub(crate) struct Matrix<'a> {
    /// Its elements.
    pub(crate) data: &'a [f32],
    /// Elements between rows.
    pub(crate) stride: usize,
}

impl Rows for Matrix<'_> {
    #[inline]
    fn copy(&self, row: usize, first: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.data[row * self.stride + first..][..out.len()]);
    }
}

/// The transpose of a row-major matrix.
pub(crate) struct Transposed<'a> {
    /// The elements of the matrix before transposing.
    pub(crate) data: &'a [f32],
    /// Elements between its rows, which are the columns of the operand.
    pub(crate) stride: usize,
}

impl Rows for Transposed<'_> {
    #[inline]
    fn copy(&self, row: usize, first: usize, out: &mut [f32]) {
        let column = self.data[first * self.stride + row..].iter().step_by(self.stride);
        out.iter_mut().zip(column).for_each(|(o, x)| *o = *x);
    }
}

/// Packs rows `rows` of `source` into `packed`, a packed matrix of `total` rows, at row `at`. The calling tasks write
/// different rows.
#[inline]
pub(crate) fn pack_rows(
    source: &impl Rows,
    rows: Range<usize>,
    panels: Panels,
    packed: Shared,
    total: usize,
    at: usize,
) {
    for panel in panels.iter() {
        let start = total * panel.first + at * panel.width;
        // SAFETY: these rows of this panel are this call's alone.
        let out = unsafe { packed.slice(start..start + rows.len() * panel.width) };
        for (row, out) in rows.clone().zip(out.chunks_exact_mut(panel.width)) {
            let (valid, rest) = out.split_at_mut(panel.columns);
            source.copy(row, panel.first, valid);
            rest.fill(0.0);
        }
    }
}

/// Packs the first `rows` rows of `source`, in parallel when called in a thread pool.
pub(crate) fn pack(source: &impl Rows, rows: usize, panels: Panels, packed: &mut [f32]) {
    let packed = Shared::new(packed);
    (0..rows.div_ceil(CHUNK)).into_par_iter().for_each(|chunk| {
        let first = chunk * CHUNK;
        pack_rows(source, first..rows.min(first + CHUNK), panels, packed, rows, first);
    });
}
