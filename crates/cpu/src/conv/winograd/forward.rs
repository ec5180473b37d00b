//! Convolution, and with turned kernels its input gradient.

use super::transform::{Input, Kernel, Output, Transform};
use super::vectors::{EachSpan, Maps, Span};
use super::{Place, SKEW, TILE, TileOf, Tiling};
use crate::arena::Shared;
use crate::backend::Machine;
use crate::conv::forward::Sliding;
use crate::gemm::{
    Finish, Left, MAX_ROWS, MAX_WIDTH, Panel, Panels, Rows, STORE, Tile, Vector, VectorWork, run_on_vectors,
};
use crate::kept::{Form, Kept};
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Activation;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Elements of a task's transformed inputs and sums: as many as the weights have, which each task reads once, but not
/// so many that they only pass through the caches, nor so few that the kernels have no rows to work on.
const TASK_ELEMENTS: [usize; 2] = [128 * 1024, 1024 * 1024];

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
                let start = self.from * panel.first + row * panel.width;
                let mut kernels = Kernels::<R, P> {
                    kernels,
                    panel,
                    packed: self.packed,
                    matrix: self.panels.packed(self.from),
                    start,
                };
                // SAFETY: the caller's promise.
                unsafe { kernels.spans::<V>(panel.width) };
            }
        }
    }
}

/// The kernels from one map to those of a panel.
struct Kernels<'a, const R: usize, const P: usize> {
    kernels: &'a [f32],
    panel: Panel,
    packed: Shared<'a>,
    /// Elements of a packed matrix.
    matrix: usize,
    /// Where their row begins in each.
    start: usize,
}

impl<const R: usize, const P: usize> EachSpan for Kernels<'_, R, P> {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        let width = self.panel.width;
        // SAFETY: the caller's promise; this row of each matrix is this task's alone.
        unsafe {
            let mut values = [[Maps(V::splat(0.0)); R]; R];
            for (i, value) in values.as_flattened_mut().iter_mut().enumerate() {
                *value = span.load(&self.kernels[i * width..][..width]);
            }
            for (i, value) in <Kernel as Transform<R, P>>::square(&values).as_flattened().iter().enumerate() {
                let at = i * self.matrix + self.start;
                span.store(*value, self.packed.slice(at..at + width));
            }
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
            let positions = self.tiling.positions(tile, self.from, self.zeros);
            let (maps, stride, out) = (0..maps, self.stride, self.out);
            let mut tile =
                TileOf::<Input, P, P> { transform: PhantomData, positions, maps, stride, start, out };
            // SAFETY: the caller's promise.
            unsafe { tile.spans::<V>(self.tiling.padded.maps) };
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
        for (tile, number) in self.tiles.clone().enumerate() {
            let place = self.tiling.place(number);
            // SAFETY: the caller's promise.
            unsafe { OutputTile { of: &self, tile, place }.spans::<V>(self.maps) };
        }
    }
}

/// The outputs of a tile.
struct OutputTile<'a, const P: usize> {
    of: &'a Outputs<'a, P>,
    tile: usize,
    place: Place,
}

impl<const P: usize> EachSpan for OutputTile<'_, P> {
    #[inline(always)]
    unsafe fn span<V: Vector, const WHOLE: bool>(&mut self, span: Span<WHOLE>) {
        let Outputs { tiling, maps, sums, stride, finish, to, .. } = self.of;
        let place = &self.place;
        // SAFETY: the caller's promise; the outputs of its tiles are this task's alone.
        unsafe {
            let zero = V::splat(0.0);
            let bias = match finish.bias {
                Some(bias) => span.load::<V>(&bias[..*maps]).0,
                None => zero,
            };
            let mut values = [[Maps(zero); P]; P];
            for (i, value) in values.as_flattened_mut().iter_mut().enumerate() {
                *value = span.load(&sums[i * stride + self.tile * maps..][..*maps]);
            }
            for (y, row) in (place.y..tiling.side).zip(<Output as Transform<P, TILE>>::square(&values)) {
                for (x, Maps(value)) in (place.x..tiling.side).zip(row) {
                    let mut value = value.add(bias);
                    if finish.activation == Activation::Relu {
                        // In this order a NaN goes on instead of becoming 0.
                        value = zero.max(value);
                    }
                    let at = ((place.image * tiling.side + y) * tiling.side + x) * maps;
                    let out = to.slice(at..at + maps);
                    span.store(Maps(value), out);
                    if finish.activation == Activation::Tanh {
                        span.of(out).iter_mut().for_each(|x| *x = x.tanh());
                    }
                }
            }
        }
    }
}
