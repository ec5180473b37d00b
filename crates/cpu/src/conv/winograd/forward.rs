//! Convolution, and with turned kernels its input gradient.

use super::outputs::OutputTile;
use super::transform::{Input, Kernel, Output, Transform};
use super::vectors::{EachSpan, Maps, Span, Spread};
use super::{SKEW, TILE, TileOf, Tiling};
use crate::arena::Shared;
use crate::backend::Machine;
use crate::conv::forward::Sliding;
use crate::gemm::{
    Ahead, Finish, Left, MAX_ROWS, MAX_WIDTH, Panels, Rows, STORE, Tile, Vector, VectorWork, run_on_vectors,
};
use crate::kept::{Form, Kept};
use ilsvrc_diagnostics::Result;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Elements of a task's transformed inputs and sums: as many as the weights have, which each task reads once, but not
/// so many that they only pass through the caches, nor so few that the kernels have no rows to work on.
const TASK_ELEMENTS: [usize; 2] = [64 * 1024, 1024 * 1024];

/// Rows of weights that a task transforms.
const TASK_ROWS: usize = 8;

/// As [`Sliding::run`], for steps of 1 and kernels of `R x R`, at `P` points.
pub(in crate::conv) fn run<const R: usize, const P: usize>(
    sliding: &Sliding,
    machine: &mut Machine,
    batch: usize,
    maps_in: &[f32],
    (weights, kept): (&impl Rows, Option<&mut Kept>),
    finish: Finish,
    maps_out: &mut [f32],
) -> Result<()> {
    const { assert!(P == TILE + R - 1) };
    let products = P * P;
    let (kernel, set) = (machine.kernel, machine.set);
    let (from, to) = (sliding.padded.maps, sliding.maps);
    let tiling = Tiling::new(sliding.padded, sliding.side);
    let total = batch * tiling.tiles();
    let panels = kernel.panels(to);
    let matrix = panels.packed(from);
    let [least, most] = TASK_ELEMENTS;
    let elements = (products * matrix).clamp(least, most);
    let most = (elements / (products * (from + to))).clamp(1, total);
    // The split changes no sum, so it may look at the number of threads.
    let tasks = total.div_ceil(most).next_multiple_of(machine.pool.current_num_threads()).min(total);
    let most = total.div_ceil(tasks);
    let sizes = [most * from + SKEW, most * to + SKEW];
    let length = products * matrix;
    let shared = if kept.is_some() { 0 } else { length };
    let (packed, own) = machine.scratch.get(shared + from, products * (sizes[0] + sizes[1]))?;
    let (packed, zeros) = packed.split_at_mut(shared);
    zeros.fill(0.0);
    let (packed, ready) = match kept {
        Some(kept) => kept.weights(Form::Transformed, length)?,
        None => (packed, false),
    };
    let maps_out = Shared::new(maps_out);

    machine.pool.install(|| {
        let shared = Shared::new(packed);
        let left = if ready { 0 } else { from };
        (0..left.div_ceil(TASK_ROWS)).into_par_iter().for_each(|task| {
            let rows = task * TASK_ROWS..from.min((task + 1) * TASK_ROWS);
            run_on_vectors(set, Weights::<_, R, P> { weights, from, rows, panels, packed: shared });
        });
        let (packed, zeros) = (&*packed, &*zeros);
        (0..tasks).into_par_iter().for_each(|task| {
            // SAFETY: one call in a task without parallel work.
            let (inputs, sums) = unsafe { own.own() }.split_at_mut(products * sizes[0]);
            let tiles = total * task / tasks..total * (task + 1) / tasks;
            let count = tiles.len();
            run_on_vectors(
                set,
                Inputs::<P> {
                    tiling: &tiling,
                    from: maps_in,
                    zeros,
                    tiles: tiles.clone(),
                    stride: sizes[0],
                    out: Shared::new(inputs),
                },
            );
            for product in 0..products {
                let a = &inputs[product * sizes[0]..][..count * from];
                let c = &mut sums[product * sizes[1]..][..count * to];
                for panel in panels.iter() {
                    let b = &packed[product * matrix + from * panel.first..][..from * panel.width];
                    for rows in kernel.tiles(count, &panel) {
                        let mut starts = [0; MAX_ROWS];
                        let starts = &mut starts[..rows.len()];
                        starts.iter_mut().zip(rows.clone()).for_each(|(start, row)| *start = row * from);
                        let tile = Tile {
                            a,
                            left: Left::Rows(starts),
                            segments: &[0],
                            inner: from,
                            b,
                            panel,
                            c: c[rows.start * to + panel.first..].as_mut_ptr(),
                            c_stride: to,
                            finish: STORE,
                            ahead: Ahead::NOTHING,
                        };
                        // SAFETY: `c` is this task's, of `count` rows of `to`.
                        unsafe { kernel.run(&tile) };
                    }
                }
            }
            run_on_vectors(
                set,
                Outputs::<P> {
                    tiling: &tiling,
                    maps: to,
                    sums,
                    tiles,
                    stride: sizes[1],
                    finish,
                    to: maps_out,
                },
            );
        });
    });
    Ok(())
}

/// Transforms kernels into packed matrices, one for each product.
struct Weights<'a, W, const R: usize, const P: usize> {
    /// Row (kernel position, map read), column (map written).
    weights: &'a W,
    from: usize,
    /// The maps read whose kernels are transformed.
    rows: Range<usize>,
    panels: Panels,
    packed: Shared<'a>,
}

impl<W: Rows, const R: usize, const P: usize> VectorWork for Weights<'_, W, R, P> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let mut memory = [[[0.0; MAX_WIDTH]; R]; R];
        let memory = memory.as_flattened_mut().as_flattened_mut();
        for panel in self.panels.iter() {
            let kernels = &mut memory[..R * R * panel.width];
            for row in self.rows.clone() {
                for (position, out) in kernels.chunks_exact_mut(panel.width).enumerate() {
                    let (valid, rest) = out.split_at_mut(panel.columns);
                    self.weights.copy(position * self.from + row, panel.first, valid);
                    rest.fill(0.0);
                }
                let matrix = self.panels.packed(self.from);
                let to = self.packed.strided(
                    self.from * panel.first + row * panel.width,
                    P * P,
                    matrix,
                    panel.width,
                );
                let mut kernels =
                    Kernels::<R, P> { kernels: kernels.as_ptr(), width: panel.width, to, matrix };
                // SAFETY: the caller's promise; this row of each matrix is this task's alone.
                unsafe { kernels.spans::<V>(panel.width) };
            }
        }
    }
}

/// The kernels from one map to those of a panel.
struct Kernels<const R: usize, const P: usize> {
    /// `R x R` positions of `width` maps.
    kernels: *const f32,
    width: usize,
    /// Where their row begins in the first packed matrix; nobody else uses these rows.
    to: *mut f32,
    /// Elements of a packed matrix.
    matrix: usize,
}

impl<const R: usize, const P: usize> EachSpan for Kernels<R, P> {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        // SAFETY: the caller's promise, and those of the fields.
        unsafe {
            let from = Spread::<_, R, WHOLE> { first: self.kernels, step: self.width, span };
            let mut to = Spread::<_, P, WHOLE> { first: self.to, step: self.matrix, span };
            <Kernel as Transform<R, P>>::square::<Maps<V>>(&from, &mut to);
        }
    }
}

/// Transforms the inputs of tiles into rows of left matrices, one matrix for each product.
struct Inputs<'a, const P: usize> {
    tiling: &'a Tiling,
    from: &'a [f32],
    zeros: &'a [f32],
    tiles: Range<usize>,
    /// Elements between matrices.
    stride: usize,
    out: Shared<'a>,
}

impl<const P: usize> VectorWork for Inputs<'_, P> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let maps = self.tiling.padded.maps;
        for (tile, start) in self.tiles.zip((0..).step_by(maps)) {
            self.tiling.prefetch(
                tile + self.tiling.across,
                self.tiling.padded.side,
                maps,
                self.from.as_ptr(),
            );
            let positions = &self.tiling.positions(tile, self.from, self.zeros);
            let to = self.out.strided(start, P * P, self.stride, maps);
            let mut tile =
                TileOf::<Input, P, P> { transform: PhantomData, positions, to, stride: self.stride };
            // SAFETY: the caller's promise.
            unsafe { tile.spans::<V>(maps) };
        }
    }
}

/// Transforms sums of products into outputs.
struct Outputs<'a, const P: usize> {
    tiling: &'a Tiling,
    maps: usize,
    sums: &'a [f32],
    tiles: Range<usize>,
    /// Elements between matrices of sums.
    stride: usize,
    finish: Finish<'a>,
    to: Shared<'a>,
}

impl<const P: usize> VectorWork for Outputs<'_, P> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { tiling, maps, sums, tiles, stride, finish, to } = self;
        let last = (P * P - 1) * stride;
        for (tile, number) in tiles.enumerate() {
            tiling.prefetch(number + tiling.across, tiling.side, maps, to.at(0));
            let place = tiling.place(number);
            let sums = sums[tile * maps..][..last + maps].as_ptr();
            let row = tiling.side * maps;
            let rows = TILE.min(tiling.side - place.y);
            let columns = TILE.min(tiling.side - place.x);
            let first = (place.image * tiling.side + place.y) * row + place.x * maps;
            let to = to.strided(first, rows, row, columns * maps);
            let bias = finish.bias.map(|bias| bias[..maps].as_ptr());
            let activation = finish.activation;
            let to = OutputTile { to, row, maps, rows, columns, bias, activation };
            let mut tile = SumsOf::<P> { sums, stride, to };
            // SAFETY: the caller's promise; the outputs of its tiles are this task's alone.
            unsafe { tile.spans::<V>(maps) };
        }
    }
}

/// A tile's sums of products.
struct SumsOf<const P: usize> {
    /// Its row in the first matrix of sums.
    sums: *const f32,
    /// Elements between matrices.
    stride: usize,
    to: OutputTile,
}

impl<const P: usize> EachSpan for SumsOf<P> {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        let from = Spread::<_, P, WHOLE> { first: self.sums, step: self.stride, span };
        // SAFETY: the caller's promise, and those of the fields.
        unsafe { <Output as Transform<P, TILE>>::square(&from, &mut self.to.span::<V, WHOLE>(span)) };
    }
}
